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
mod wire;

use std::path::Path;

pub use error::{DataError, Problem, kind};

use crate::Tensors;

/// The largest compression ratio of deflate: data that claims a larger one is rejected.
const DEFLATE_LIMIT: u64 = 1032;

const KNOWN: &str = ".safetensors, .npz";

/// Reads a file of named tensors: `.safetensors` or `.npz`, by its extension.
///
/// # Errors
/// If the extension is another, or the file is missing or damaged.
pub fn read(path: &Path) -> Result<Tensors, DataError> {
    match extension(path).as_deref() {
        Some("safetensors") => Ok(safetensors::read(path)?.tensors),
        Some("npz") => npz::read(path),
        _ => Err(DataError::new(path, Problem::UnknownExtension { known: KNOWN })),
    }
}

/// Writes a file of named tensors: `.safetensors` or `.npz`, by its extension.
///
/// # Errors
/// If the extension is another, or the file cannot be written.
pub fn write(path: &Path, tensors: &Tensors) -> Result<(), DataError> {
    match extension(path).as_deref() {
        Some("safetensors") => safetensors::write(path, tensors, &safetensors::mark()),
        Some("npz") => npz::write(path, tensors),
        _ => Err(DataError::new(path, Problem::UnknownExtension { known: KNOWN })),
    }
}

/// Whether a file was written by [`write()`], so that it may be replaced by another of the kind.
///
/// # Errors
/// If the file cannot be read.
pub fn is_ours(path: &Path) -> Result<bool, DataError> {
    let bytes = file::read(path)?;
    Ok(match extension(path).as_deref() {
        Some("safetensors") => safetensors::is_ours(&bytes),
        Some("npz") => npz::is_ours(&bytes),
        _ => false,
    })
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}
