//! What the readers of datasets read.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use dlc_dsl::lower::dataset::{Format, Reader};
use dlc_ir::{DType, Tensor};
use dlc_runtime::Tensors;
use dlc_runtime::data::csv::Table;
use dlc_runtime::data::{self, DataError, Problem};

use crate::Model;

/// The files of a dataset that several readers may want parts of.
#[derive(Default)]
pub(crate) struct Opened {
    tables: HashMap<PathBuf, Table>,
    archives: HashMap<PathBuf, Tensors>,
}

impl Opened {
    pub fn read(&mut self, reader: &Reader, model: &Model) -> Result<Tensor, DataError> {
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
