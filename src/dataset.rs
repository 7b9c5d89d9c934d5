//! Datasets: files are read, and the rest of each field, which is the language, is compiled and run on them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dlc_dsl::Diagnostic;
use dlc_dsl::lower::dataset::{DatasetCall, Format, Reader};
use dlc_ir::{Tensor, Type};
use dlc_runtime::Tensors;
use dlc_runtime::data::csv::Table;
use dlc_runtime::data::{self, DataError, Problem};
use dlc_runtime::loader::Examples;

use crate::compiler::Timings;
use crate::labels::check_finite;
use crate::{Compiler, Error, Model};

/// The examples of a dataset. What the fields compute is computed here, once, for all examples.
pub(crate) fn load(model: &Model, compiler: &Compiler, call: &DatasetCall) -> Result<Arc<Examples>, Error> {
    let source = model.source();
    let dataset = source.dataset(call).map_err(|d| model.error(d))?;
    let mut read = vec![];
    for reader in &dataset.readers {
        let tensor = read_one(reader, model).map_err(|e| {
            let diagnostic = Diagnostic::error(e.code(), e.to_string());
            model.error(vec![diagnostic.primary(reader.span, "read here")])
        })?;
        read.push(tensor);
    }
    let types: Vec<Type> = read.iter().map(|t| t.ty().clone()).collect();
    let lowered = source.lower_dataset(&dataset, &types, model.dtype()).map_err(|d| model.error(d))?;
    let program = compiler.compile_graph(model, lowered.graph, &mut Timings::default())?;
    let names: Vec<String> = (1..=read.len()).map(|i| format!("read_{i}")).collect();
    let mut session = program.session();
    // a reader whose values no field needs is no input of the program
    let takes = |name: &str| session.signature().inputs().any(|(n, _)| n == name);
    let inputs: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(&read).filter(|(n, _)| takes(n)).collect();
    let fields: Tensors = session.run(inputs).map_err(|e| Error::plain(e.code(), e.to_string()))?;
    let examples = Examples::new(fields).map_err(|e| {
        let diagnostic = Diagnostic::error(e.code(), e.to_string());
        model.error(vec![diagnostic.primary(call.span, "this data")])
    })?;
    check_finite(model, call, &examples)?;
    Ok(Arc::new(examples))
}

fn read_one(reader: &Reader, model: &Model) -> Result<Tensor, DataError> {
    let path = resolve(&reader.from, &reader.path, model.folder());
    let named = |tensors: Tensors| {
        let name = reader.select.first().map_or("", String::as_str);
        tensors.require(name).cloned().map_err(|e| DataError::new(&path, Problem::Unsupported(e.to_string())))
    };
    match reader.format {
        Format::Idx => data::idx::read(&path),
        Format::Npy => data::npy::read(&path),
        Format::Npz => named(data::npz::read(&path)?),
        Format::Safetensors => named(data::safetensors::read(&path)?.tensors),
        Format::Csv => {
            let table = Table::read(&path)?;
            if !reader.matrix {
                return table.column(reader.select.first().map_or("", String::as_str), model.dtype());
            }
            let columns: Vec<&str> = if reader.select.is_empty() {
                let kept = |c: &&String| !reader.drop.contains(*c);
                table.columns().iter().filter(kept).map(String::as_str).collect()
            } else {
                reader.select.iter().map(String::as_str).collect()
            };
            table.select(&columns, model.dtype())
        }
    }
}

/// A path of a text, relative to the folder of the text that names it.
pub(crate) fn resolve(from: &str, path: &str, folder: &Path) -> PathBuf {
    let path = Path::new(path);
    if path.is_absolute() {
        return path.to_owned();
    }
    match Path::new(from).parent() {
        Some(parent) if !from.is_empty() => parent.join(path),
        _ => folder.join(path),
    }
}
