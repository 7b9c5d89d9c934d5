//! Datasets: files are read, and the rest of each field, which is the language, is compiled and run on them.

pub(crate) mod json;
pub(crate) mod labels;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use dlc_dsl::Diagnostic;
use dlc_dsl::lower::dataset::{DatasetCall, Format, Reader};
use dlc_ir::{DType, Tensor, Type};
use dlc_runtime::Tensors;
use dlc_runtime::data::csv::Table;
use dlc_runtime::data::{self, DataError, Problem};
use dlc_runtime::loader::Examples;

use crate::compile::Timings;
use crate::data::labels::{check_finite, check_whole};
use crate::model::failure::failed_run;
use crate::model::loaded::Key;
use crate::{Compiler, Error, Model};

/// The examples of a dataset. What the fields compute is computed here, once, for all examples, whatever machine is compiled for.
pub(crate) fn load(model: &Model, compiler: &Compiler, call: &DatasetCall) -> Result<Arc<Examples>, Error> {
    let compiler = &compiler.here();
    let options = compiler.options()?;
    let (level, math) = (options.level, options.passes.math);
    let key = Key { call: call.clone(), float: model.dtype(), level, math };
    let loaded = || model.loaded().0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, examples)) = loaded().iter().find(|(k, _)| *k == key) {
        return Ok(Arc::clone(examples));
    }
    let examples = read(model, compiler, call)?;
    loaded().push((key, Arc::clone(&examples)));
    Ok(examples)
}

fn read(model: &Model, compiler: &Compiler, call: &DatasetCall) -> Result<Arc<Examples>, Error> {
    let source = model.source();
    let dataset = source.dataset(call).map_err(|d| model.error(d))?;
    let mut read = vec![];
    let mut opened = Opened::default();
    for reader in &dataset.readers {
        let tensor = opened.read(reader, model).map_err(|e| {
            let diagnostic = Diagnostic::error(e.code(), e.to_string());
            model.error(vec![diagnostic.primary(reader.span, "read here")])
        })?;
        read.push(tensor);
    }
    let types: Vec<Type> = read.iter().map(|t| t.ty().clone()).collect();
    let lowered = source.lower_dataset(&dataset, &types, model.dtype()).map_err(|d| model.error(d))?;
    check_whole(model, &dataset, &read, lowered.graph.entry())?;
    let program = compiler.compile_graph(model, lowered.graph, &mut Timings::default())?;
    let names: Vec<String> = (1..=read.len()).map(|i| format!("read_{i}")).collect();
    let mut session = program.try_session()?;
    // a reader whose values no field needs is no input of the program
    let taken: HashSet<String> = session.signature().inputs().map(|(name, _)| name.to_owned()).collect();
    let takes = |name: &str| taken.contains(name);
    let inputs: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(&read).filter(|(n, _)| takes(n)).collect();
    let fields: Tensors = session.run(inputs).map_err(|e| failed_run(model, &e))?;
    let examples = Examples::new(fields).map_err(|e| {
        let diagnostic = Diagnostic::error(e.code(), e.to_string());
        model.error(vec![diagnostic.primary(call.span, "this data")])
    })?;
    check_finite(model, call, &examples)?;
    Ok(Arc::new(examples))
}

/// The files of a dataset that several readers may want parts of.
#[derive(Default)]
struct Opened {
    tables: HashMap<PathBuf, Table>,
    archives: HashMap<PathBuf, Tensors>,
}

impl Opened {
    fn read(&mut self, reader: &Reader, model: &Model) -> Result<Tensor, DataError> {
        let path = resolve(&reader.from, &reader.path, model.folder());
        let name = reader.select.first().map_or("", String::as_str);
        match reader.format {
            Format::Idx => data::idx::read(&path),
            Format::Npy => data::npy::read(&path),
            Format::Npz => self.named(path, name, data::npz::read),
            Format::Safetensors => self.named(path, name, |path| Ok(data::safetensors::read(path)?.tensors)),
            Format::Csv => {
                let table = match self.tables.entry(path) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => {
                        let table = Table::read(new.key())?;
                        new.insert(table)
                    }
                };
                // all digits, of which the dataset may take fewer
                match reader.matrix {
                    false => table.column(name, DType::F64),
                    true if reader.select.is_empty() => table.except(&reader.drop, DType::F64),
                    true => table.select(&reader.select, DType::F64),
                }
            }
        }
    }

    fn named(
        &mut self,
        path: PathBuf,
        name: &str,
        read: impl FnOnce(&Path) -> Result<Tensors, DataError>,
    ) -> Result<Tensor, DataError> {
        let tensors = match self.archives.entry(path.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(read(&path)?),
        };
        tensors.require(name).cloned().map_err(|e| DataError::new(&path, Problem::Unsupported(e.to_string())))
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

#[cfg(test)]
mod tests {
    use dlc_compiler::passes::Math;

    use super::*;

    const MODEL: &str = "model m(x: [B, 1]) -> y: [B] { return squeeze(linear(x, 1), axis: 1) }
dataset points {
  x = csv(\"points.csv\", skip: [\"actual\"])
  actual = csv(\"points.csv\")[\"actual\"]
}
train m {
  data = points()
  loss = mean((y - actual) ** 2)
  optimizer = sgd(lr: 0.1)
}
";

    #[test]
    fn the_files_of_a_model_are_read_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (text, data) = (folder.path().join("m.dl"), folder.path().join("points.csv"));
        std::fs::write(&text, MODEL).expect("it can be written");
        std::fs::write(&data, "x,actual\n1,2\n3,4\n").expect("it can be written");
        let (model, compiler) = (Model::open(&text).expect("it is right"), Compiler::new());
        let call = crate::train::settings(&model).expect("it trains").data;
        let first = load(&model, &compiler, &call).expect("the file is there");
        std::fs::remove_file(&data).expect("it is there");
        let again = load(&model.clone(), &compiler, &call).expect("it was read");
        assert!(Arc::ptr_eq(&first, &again));
        // Whatever makes other numbers reads again, and so does another model.
        let strict = Compiler::new().math(Math::Strict);
        let wide = model.clone().float(DType::F64).expect("a float");
        let other = Model::open(&text).expect("it is right");
        for (model, compiler) in [(&model, &strict), (&wide, &compiler), (&other, &compiler)] {
            assert_eq!(load(model, compiler, &call).expect_err("the file is gone").code(), "missing-file");
        }
    }
}
