//! NPZ, NumPy's archive of named arrays.

use std::collections::HashSet;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use super::{Contents, DEFLATE_LIMIT, DataError, Format, Problem, Writer, file, npy};
use crate::{Tensors, atomic};

/// NPZ files.
pub(super) const FORMAT: Format = Format {
    name: "npz",
    endings: &[".npz"],
    read: |path| read(path).map(Contents::Tensors),
    writer: Some(Writer { write, is_ours }),
};

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
    expect_readable(bytes, archive.central_directory_start())?;
    // Parts that do not overlap are together not longer than the file, so that deflate bounds their total size.
    if archive.has_overlapping_entries().map_err(problem)? {
        return Err(Problem::Malformed { format: "an NPZ file", why: "some of its arrays overlap".into() });
    }
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
        // One byte more than claimed suffices to detect excess data.
        let mut limited = entry.by_ref().take(size + 1);
        limited.read_to_end(&mut content).map_err(|e| Problem::Damaged(format!("`{name}`: {e}")))?;
        let tensor = npy::parse(&content).map_err(|p| Problem::Unsupported(format!("array `{name}`: {p}")))?;
        if tensors.insert(name.clone(), tensor).is_some() {
            return Err(Problem::SameName { what: "arrays", name });
        }
    }
    Ok(tensors)
}

/// Checks what the crate ignores: duplicate names, of which it keeps the last, and unsupported parts.
fn expect_readable(bytes: &[u8], directory: u64) -> Result<(), Problem> {
    /// The signature of an entry of the archive's directory.
    const ENTRY: &[u8] = b"PK\x01\x02";
    /// Its length without name, extra fields and comment.
    const FIXED: usize = 46;
    let number = |entry: &[u8], at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
    let mut names = HashSet::new();
    let mut rest = usize::try_from(directory).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
    while rest.starts_with(ENTRY) && rest.len() >= FIXED {
        let lengths = [28, 30, 32].map(|at| usize::from(number(rest, at)));
        let (flags, method) = (number(rest, 8), number(rest, 10));
        let name = String::from_utf8_lossy(rest.get(FIXED..FIXED + lengths[0]).unwrap_or_default()).into_owned();
        let array = name.strip_suffix(".npy").unwrap_or(&name).to_owned();
        if flags & 1 != 0 {
            return Err(Problem::Unsupported(format!("array `{array}` is encrypted")));
        }
        if let Some(method) = unread(method) {
            let help = "write it with `np.savez` or `np.savez_compressed`";
            let message = format!("array `{array}` is compressed by {method}, but only deflate is read; {help}");
            return Err(Problem::Unsupported(message));
        }
        if !names.insert(name) {
            return Err(Problem::SameName { what: "arrays", name: array });
        }
        rest = rest.get(FIXED + lengths.iter().sum::<usize>()..).unwrap_or_default();
    }
    Ok(())
}

/// The name of an unsupported compression method.
fn unread(method: u16) -> Option<String> {
    let name = match method {
        0 | 8 => return None,
        9 => "deflate64",
        12 => "bzip2",
        14 => "LZMA",
        93 => "Zstandard",
        95 => "XZ",
        98 => "PPMd",
        _ => return Some(format!("method {method}")),
    };
    Some(name.to_owned())
}

/// The mark in archives that dlc writes.
const MARK: &str = "dlc";

/// Whether a file was written by [`write()`].
pub(super) fn is_ours(bytes: &[u8]) -> bool {
    zip::ZipArchive::new(Cursor::new(bytes)).is_ok_and(|archive| archive.comment() == MARK.as_bytes())
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
    writer.set_comment(MARK).map_err(problem)?;
    Ok(writer.finish().map_err(problem)?.into_inner())
}

fn problem(error: zip::result::ZipError) -> Problem {
    match error {
        zip::result::ZipError::Io(e) => Problem::Io(e),
        other => Problem::Malformed { format: "an NPZ file", why: other.to_string() },
    }
}
