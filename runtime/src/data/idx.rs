//! IDX, the format of MNIST, plain or as gzip.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use dlc_ir::Tensor;
use flate2::bufread::GzDecoder;

use super::wire::{Wire, decode};
use super::{Contents, DEFLATE_LIMIT, DataError, Format, Problem, file};

/// The first bytes of a gzip stream.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One or more concatenated gzip streams, and nothing else: flate2's own reader of several takes trailing data that is shorter
/// than a header for the end.
struct Gzip<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.0 {
            let found = decoder.read(buffer)?;
            if found > 0 || buffer.is_empty() {
                return Ok(found);
            }
            let Some(mut rest) = self.0.take().map(GzDecoder::into_inner) else { break };
            // one byte, since the buffer may end between the two
            match rest.fill_buf()?.first() {
                None => {}
                Some(first) if *first == GZIP[0] => self.0 = Some(GzDecoder::new(rest)),
                Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes follow its end")),
            }
        }
        Ok(0)
    }
}

/// IDX files, also gzipped ones, and those that the archives of MNIST call `train-images-idx3-ubyte`.
pub(super) const FORMAT: Format = Format {
    name: "idx",
    endings: &[".idx", ".gz", "ubyte"],
    read: |path| read(path).map(Contents::Tensor),
    writer: None,
};

/// Reads an IDX file; compression is detected by its first bytes, not by its name.
///
/// # Errors
/// If the file is missing, damaged, or not IDX.
pub fn read(path: &Path) -> Result<Tensor, DataError> {
    let (opened, length) = file::open(path)?;
    let fail = |problem| DataError::new(path, problem);
    let mut reader = BufReader::new(opened);
    let compressed = reader.fill_buf().map_err(|e| fail(e.into()))?.starts_with(&GZIP);
    if compressed {
        parse(Gzip(Some(GzDecoder::new(reader))), length.saturating_mul(DEFLATE_LIMIT), length).map_err(fail)
    } else {
        parse(reader, length, length).map_err(fail)
    }
}

/// Parses IDX from a reader that can yield about `limit` bytes at most, from a file of `length`.
fn parse(mut reader: impl Read, limit: u64, length: u64) -> Result<Tensor, Problem> {
    let malformed = |why: String| Problem::Malformed { format: "an IDX file", why };
    let mut magic = [0; 4];
    read_exact(&mut reader, &mut magic, 0, 4)?;
    let [0, 0, code, rank] = magic else {
        return Err(malformed(format!("missing 00 00 at the beginning, found {:02x} {:02x}", magic[0], magic[1])));
    };
    let wire = match code {
        0x08 => Wire::U8,
        0x09 => Wire::I8,
        0x0b => Wire::I16,
        0x0c => Wire::I32,
        0x0d => Wire::F32,
        0x0e => Wire::F64,
        _ => return Err(malformed(format!("unknown number format {code:#04x}"))),
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
    let content = read_up_to(&mut reader, bytes)?;
    if content.len() < bytes {
        return Err(Problem::Truncated { needed, found: header + content.len() as u64 });
    }
    expect_end(&mut reader, needed)?;
    decode(wire, true, shape, &content)
}

/// Reads this many bytes, or fewer if the data ends before: memory is allocated for the data, not for what the header claims.
fn read_up_to(reader: &mut impl Read, bytes: usize) -> Result<Vec<u8>, Problem> {
    const PIECE: usize = 1 << 20;
    let mut content = Vec::new();
    while content.len() < bytes {
        let done = content.len();
        content.resize(bytes.min(done + PIECE.max(done)), 0);
        let missing = content.len() - done;
        let found = fill(reader, &mut content[done..])?;
        if found < missing {
            content.truncate(done + found);
            break;
        }
    }
    Ok(content)
}

/// Fills the buffer with what follows the first `before` of the header's `needed` bytes.
fn read_exact(reader: &mut impl Read, buffer: &mut [u8], before: u64, needed: u64) -> Result<(), Problem> {
    let found = fill(reader, buffer)?;
    if found < buffer.len() { Err(Problem::Truncated { needed, found: before + found as u64 }) } else { Ok(()) }
}

/// Checks that nothing follows the `needed` bytes; only here is compressed data compared with its checksum.
fn expect_end(reader: &mut impl Read, needed: u64) -> Result<(), Problem> {
    match reader.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Problem::Excess { needed }),
        Err(e) if e.kind() == io::ErrorKind::Interrupted => expect_end(reader, needed),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Problem::Damaged("the file ends before its checksum does".to_owned()))
        }
        Err(e) => Err(unreadable(e)),
    }
}

/// An error of a reader, as damage if it comes from the decoder.
fn unreadable(error: io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Problem::Damaged(error.to_string()),
        _ => error.into(),
    }
}

/// Reads until the buffer is full or the data ends; returns the number of bytes.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Problem> {
    let mut done = 0;
    while done < buffer.len() {
        match reader.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // This is how a truncated gzip stream is reported.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(unreadable(e)),
        }
    }
    Ok(done)
}
