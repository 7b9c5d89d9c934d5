//! Readers and writers of data files. Every file becomes [`dlc_ir::Tensor`]s or an error that says what to do.
//!
//! All readers follow the same rules: the header is checked against the length of the file before anything of its size is
//! allocated; trailing data and truncation are errors, and so are duplicate names and paths that are not regular files;
//! decompressed data takes no more memory than deflate can produce from a file of its length, all its parts together; number
//! formats without a dtype are widened if that is lossless (f16 and bf16 to f32, small integers to i32 or i64) and rejected
//! otherwise; NaN and infinity are ordinary values here, and [`check::finite`] finds them where they are invalid. All writers
//! replace a file atomically (module [`crate::atomic`]).

pub mod check;
pub mod csv;
mod error;
mod file;
pub mod idx;
pub mod names;
pub mod npy;
pub mod npz;
pub mod safetensors;
mod tsv;
mod wire;

use std::path::Path;

use dlc_ir::Tensor;

pub use error::{DataError, Problem, kind};

use crate::Tensors;

/// What a data file holds.
#[derive(Clone, Debug)]
pub enum Contents {
    /// One tensor.
    Tensor(Tensor),
    /// Tensors by name.
    Tensors(Tensors),
    /// Columns of numbers by name.
    Columns(csv::Table),
}

/// A format of data files.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Its name, which its reader has in the language too: `npz`.
    pub name: &'static str,
    /// How the names of its files end, in lower case.
    pub endings: &'static [&'static str],
    /// Reads a file.
    pub read: fn(&Path) -> Result<Contents, DataError>,
    /// How named tensors are written, if the format holds such.
    pub writer: Option<Writer>,
}

/// How named tensors are written.
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    /// Writes a file atomically.
    pub write: fn(&Path, &Tensors) -> Result<(), DataError>,
    /// Whether the content of a file is what `write` made.
    pub is_ours: fn(&[u8]) -> bool,
}

/// All formats. One of another program needs a file here, its line in this list, and the signature of its reader in the library.
pub const FORMATS: &[Format] = &[idx::FORMAT, npy::FORMAT, npz::FORMAT, safetensors::FORMAT, csv::FORMAT, tsv::FORMAT];

impl Format {
    /// The format of a name.
    pub fn named(name: &str) -> Option<&'static Format> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// The format of a file, by the ending of its name.
    pub fn of(path: &Path) -> Option<&'static Format> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        FORMATS.iter().find(|format| format.endings.iter().any(|ending| name.ends_with(ending)))
    }
}

/// The largest compression ratio of deflate: data that claims a larger one is rejected.
const DEFLATE_LIMIT: u64 = 1032;

/// Reads a file of named tensors: `.safetensors` or `.npz`, by its extension.
///
/// # Errors
/// If the extension is another, or the file is missing or damaged.
pub fn read(path: &Path) -> Result<Tensors, DataError> {
    match Format::of(path).filter(|format| format.writer.is_some()).map(|format| (format.read)(path)).transpose()? {
        Some(Contents::Tensors(tensors)) => Ok(tensors),
        _ => Err(unknown_extension(path)),
    }
}

/// Writes a file of named tensors: `.safetensors` or `.npz`, by its extension.
///
/// # Errors
/// If the extension is another, or the file cannot be written.
pub fn write(path: &Path, tensors: &Tensors) -> Result<(), DataError> {
    match writer(path) {
        Some(writer) => (writer.write)(path, tensors),
        None => Err(unknown_extension(path)),
    }
}

/// Whether a file was written by [`write()`], so that it may be replaced by another of the kind.
///
/// # Errors
/// If the file cannot be read.
pub fn is_ours(path: &Path) -> Result<bool, DataError> {
    let bytes = file::read(path)?;
    Ok(writer(path).is_some_and(|writer| (writer.is_ours)(&bytes)))
}

fn writer(path: &Path) -> Option<Writer> {
    Format::of(path)?.writer
}

fn unknown_extension(path: &Path) -> DataError {
    let endings = FORMATS.iter().filter(|format| format.writer.is_some()).flat_map(|format| format.endings);
    DataError::new(path, Problem::UnknownExtension { known: endings.copied().collect::<Vec<_>>().join(", ") })
}
