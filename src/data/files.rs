//! The files that readers of datasets read.

use std::path::{Path, PathBuf};

use dlc_dsl::lower::dataset::Reader;
use dlc_ir::{DType, Tensor};
use dlc_runtime::Tensors;
use dlc_runtime::data::csv::Table;
use dlc_runtime::data::{Contents, DataError, Format, Problem};
use indexmap::IndexMap;

use crate::Model;

/// A cache of files, since several readers may select parts of one.
#[derive(Default)]
pub(crate) struct Files(IndexMap<PathBuf, File>);

struct File {
    /// The path as it is written.
    written: String,
    contents: Contents,
}

impl Files {
    /// The tensor of a reader.
    ///
    /// # Errors
    /// If the file cannot be read, or has no such tensor.
    pub fn read(&mut self, reader: &Reader, model: &Model) -> Result<Tensor, DataError> {
        let (path, contents) = self.open(reader, model)?;
        match contents {
            Contents::Tensors(tensors) => tensors
                .require(name(reader))
                .cloned()
                .map_err(|e| DataError::new(path, Problem::Unsupported(e.to_string()))),
            Contents::Tensor(tensor) => Ok(tensor.clone()),
            Contents::Columns(table) => columns(table, reader),
        }
    }

    /// The tensor of a reader; none if it is missing in its file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn find(&mut self, reader: &Reader, model: &Model) -> Result<Option<Tensor>, DataError> {
        match self.open(reader, model)? {
            (_, Contents::Tensors(tensors)) => Ok(tensors.get(name(reader)).cloned()),
            _ => self.read(reader, model).map(Some),
        }
    }

    /// The files of named tensors that were read: the path, the path as it is written, and the tensors.
    pub fn archives(&self) -> impl Iterator<Item = (&Path, &str, &Tensors)> {
        self.0.iter().filter_map(|(path, file)| match &file.contents {
            Contents::Tensors(tensors) => Some((path.as_path(), file.written.as_str(), tensors)),
            Contents::Tensor(_) | Contents::Columns(_) => None,
        })
    }

    fn open(&mut self, reader: &Reader, model: &Model) -> Result<(&Path, &Contents), DataError> {
        let path = resolve(&reader.from, &reader.path, model.folder());
        let index = match self.0.get_index_of(&path) {
            Some(index) => index,
            None => {
                let Some(format) = Format::named(&reader.format) else {
                    let problem = format!("`{}` is not a data format", reader.format);
                    return Err(DataError::new(&path, Problem::Unsupported(problem)));
                };
                let file = File { written: reader.path.clone(), contents: (format.read)(&path)? };
                self.0.insert_full(path, file).0
            }
        };
        let (path, file) = self.0.get_index(index).expect("it is there");
        Ok((path, &file.contents))
    }
}

/// The name of the tensor or column that a reader selects.
fn name(reader: &Reader) -> &str {
    reader.select.first().map_or("", String::as_str)
}

/// The columns that a reader selects, in f64: a dataset may convert them to integers, which need all digits.
fn columns(table: &Table, reader: &Reader) -> Result<Tensor, DataError> {
    match reader.matrix {
        false => table.column(name(reader), DType::F64),
        true if reader.select.is_empty() => table.except(&reader.drop, DType::F64),
        true => table.select(&reader.select, DType::F64),
    }
}

/// A path in a source, relative to the folder of that source.
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
    use std::collections::BTreeSet;

    use dlc_dsl::library;
    use dlc_runtime::data::FORMATS;

    #[test]
    fn every_format_has_a_reader_and_every_reader_a_format() {
        let readers: BTreeSet<String> =
            library::entries().filter(|entry| entry.family == "file").map(|entry| entry.name).collect();
        let formats: BTreeSet<String> = FORMATS.iter().map(|format| format.name.to_owned()).collect();
        assert_eq!(readers, formats);
    }
}
