//! Opening files, with errors that help.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use dlc_ir::Memory;

use super::{DataError, Problem};
use crate::near::near;
use crate::{mapped, regular};

/// Opens a file and returns its length.
pub(super) fn open(path: &Path) -> Result<(File, u64), DataError> {
    let fail = |e: io::Error| explain(path, e);
    let file = regular::open(path).map_err(fail)?;
    let length = file.metadata().map_err(fail)?.len();
    Ok((file, length))
}

/// Reads a whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    regular::read(path).map_err(|e| explain(path, e))
}

/// The bytes of a whole file, mapped if there are many.
pub(super) fn map(path: &Path) -> Result<Memory, DataError> {
    mapped::bytes(path).map_err(|e| explain(path, e))
}

/// Adds the path, and for a missing file similar names, to an error of the operating system.
pub(super) fn explain(path: &Path, error: io::Error) -> DataError {
    match error.kind() {
        io::ErrorKind::NotFound => {}
        io::ErrorKind::IsADirectory => return DataError::new(path, Problem::IsFolder),
        // the error says what it is
        io::ErrorKind::InvalidInput => return DataError::new(path, Problem::Irregular(error.to_string())),
        _ => return DataError::new(path, Problem::Io(error)),
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let missing = folder.ancestors().filter(|a| !a.as_os_str().is_empty() && !a.is_dir()).last().unwrap_or(folder);
        return DataError::new(path, Problem::NoFolder { folder: missing.display().to_string() });
    }
    let mut names: Vec<String> = fs::read_dir(folder)
        .map(|entries| entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect())
        .unwrap_or_default();
    names.sort();
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let near = near(&name, names.iter().map(String::as_str));
    DataError::new(path, Problem::Missing { near })
}
