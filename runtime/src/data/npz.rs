//! NPZ, NumPy's archive of named arrays.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use super::{DEFLATE_LIMIT, DataError, Problem, file, npy};
use crate::{Tensors, atomic};

/// Reads every array of an NPZ file, as `np.savez` and `np.savez_compressed` write them.
///
/// # Errors
/// If the file is missing, damaged, not NPZ, or an array has a kind without dtype.
pub fn read(path: &Path) -> Result<Tensors, DataError> {
    let bytes = file::read(path)?;
    parse(&bytes).map_err(|problem| DataError::new(path, problem))
}

/// Writes an NPZ file, uncompressed, atomically; equal tensors give equal bytes.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, tensors: &Tensors) -> Result<(), DataError> {
    let bytes = to_bytes(tensors).map_err(|problem| DataError::new(path, problem))?;
    atomic::write(path, &bytes).map_err(|e| file::explain(path, e))
}

fn parse(bytes: &[u8]) -> Result<Tensors, Problem> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(problem)?;
    let mut tensors = Tensors::new();
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(problem)?;
        let Some(name) = entry.name().map_err(problem)?.strip_suffix(".npy").map(str::to_owned) else { continue };
        let (size, packed) = (entry.size(), entry.compressed_size());
        let length = bytes.len() as u64;
        if packed > length || size > packed.saturating_mul(DEFLATE_LIMIT) {
            return Err(Problem::Implausible { length });
        }
        let mut content = Vec::new();
        // One byte more than claimed is enough to notice that there is more.
        let mut limited = entry.by_ref().take(size + 1);
        limited.read_to_end(&mut content).map_err(|e| Problem::Damaged(format!("`{name}`: {e}")))?;
        let tensor = npy::parse(&content).map_err(|p| Problem::Unsupported(format!("array `{name}`: {p}")))?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

fn to_bytes(tensors: &Tensors) -> Result<Vec<u8>, Problem> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default());
    for (name, tensor) in tensors.iter() {
        writer.start_file(format!("{name}.npy"), options).map_err(problem)?;
        writer.write_all(&npy::to_bytes(tensor))?;
    }
    Ok(writer.finish().map_err(problem)?.into_inner())
}

fn problem(error: zip::result::ZipError) -> Problem {
    match error {
        zip::result::ZipError::Io(e) => Problem::Io(e),
        other => Problem::Malformed { format: "an NPZ file", why: other.to_string() },
    }
}
