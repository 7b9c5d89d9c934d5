//! IDX, the format of MNIST, plain or as gzip.

use std::io::{BufReader, Read};
use std::path::Path;

use dlc_ir::Tensor;
use flate2::bufread::MultiGzDecoder;

use super::wire::{Wire, decode};
use super::{DataError, Problem, file};

/// The largest factor by which deflate can shrink data.
const DEFLATE_LIMIT: u64 = 1032;

/// Reads an IDX file; whether it is compressed is seen from its first bytes, not from its name.
///
/// # Errors
/// If the file is missing, damaged, or not IDX.
pub fn read(path: &Path) -> Result<Tensor, DataError> {
    let (opened, length) = file::open(path)?;
    let fail = |problem| DataError::new(path, problem);
    let mut reader = BufReader::new(opened);
    let compressed = std::io::BufRead::fill_buf(&mut reader).map_err(|e| fail(e.into()))?.starts_with(&[0x1f, 0x8b]);
    if compressed {
        parse(MultiGzDecoder::new(reader), length.saturating_mul(DEFLATE_LIMIT), length).map_err(fail)
    } else {
        parse(reader, length, length).map_err(fail)
    }
}

/// Parses IDX from a reader that can hardly yield more than `limit` bytes, out of a file of `length`.
fn parse(mut reader: impl Read, limit: u64, length: u64) -> Result<Tensor, Problem> {
    let malformed = |why: String| Problem::Malformed { format: "an IDX file", why };
    let mut magic = [0; 4];
    read_exact(&mut reader, &mut magic, 0, 4)?;
    let [0, 0, code, rank] = magic else {
        return Err(malformed(format!("it begins with {:02x} {:02x}, not with 00 00", magic[0], magic[1])));
    };
    let wire = match code {
        0x08 => Wire::U8,
        0x09 => Wire::I8,
        0x0b => Wire::I16,
        0x0c => Wire::I32,
        0x0d => Wire::F32,
        0x0e => Wire::F64,
        _ => return Err(malformed(format!("{code:#04x} is no code of a number format"))),
    };
    let mut shape = Vec::with_capacity(rank.into());
    let header = 4 + 4 * u64::from(rank);
    for axis in 0..u64::from(rank) {
        let mut size = [0; 4];
        read_exact(&mut reader, &mut size, 4 + 4 * axis, header)?;
        shape.push(u32::from_be_bytes(size) as usize);
    }
    let bytes = wire.bytes(&shape).filter(|&n| n as u64 <= limit).ok_or(Problem::Implausible { length })?;
    let needed = header + bytes as u64;
    let mut content = vec![0; bytes];
    let found = fill(&mut reader, &mut content)?;
    if found < bytes {
        return Err(Problem::Truncated { needed, found: header + found as u64 });
    }
    if fill(&mut reader, &mut [0])? > 0 {
        return Err(Problem::Excess { needed });
    }
    decode(wire, true, shape, &content)
}

/// Fills the buffer with what follows the first `before` of the header's `needed` bytes.
fn read_exact(reader: &mut impl Read, buffer: &mut [u8], before: u64, needed: u64) -> Result<(), Problem> {
    let found = fill(reader, buffer)?;
    if found < buffer.len() { Err(Problem::Truncated { needed, found: before + found as u64 }) } else { Ok(()) }
}

/// Reads until the buffer is full or the data ends, and tells how much there was.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Problem> {
    let mut done = 0;
    while done < buffer.len() {
        match reader.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            // A gzip stream that just stops reports this; it is told as the shortage that it is.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(e) if matches!(e.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData) => {
                return Err(Problem::Damaged(e.to_string()));
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(done)
}
