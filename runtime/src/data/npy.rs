//! NPY, NumPy's format of one array.

use std::path::Path;

use dlc_ir::{DType, Tensor, Type};

use super::wire::{Wire, decode};
use super::{Contents, DataError, Format, Problem, file};
use crate::atomic;

const MAGIC: &[u8] = b"\x93NUMPY";

/// NPY files.
pub(super) const FORMAT: Format =
    Format { name: "npy", endings: &[".npy"], read: |path| read(path).map(Contents::Tensor), writer: None };

/// Reads an NPY file, version 1 to 3, in C or Fortran order and either byte order.
///
/// # Errors
/// If the file is missing, damaged, not NPY, or contains objects, records, strings or complex numbers.
pub fn read(path: &Path) -> Result<Tensor, DataError> {
    let bytes = file::read(path)?;
    parse(&bytes).map_err(|problem| DataError::new(path, problem))
}

/// Writes an NPY file, version 1, atomically.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, tensor: &Tensor) -> Result<(), DataError> {
    atomic::write(path, &to_bytes(tensor)).map_err(|e| file::explain(path, e))
}

/// The array of a whole NPY file in memory.
pub(super) fn parse(bytes: &[u8]) -> Result<Tensor, Problem> {
    let truncated = |needed: usize| Problem::Truncated { needed: needed as u64, found: bytes.len() as u64 };
    if !bytes.starts_with(MAGIC) {
        return Err(malformed("expected \\x93NUMPY at the beginning"));
    }
    let (start, length) = match bytes.get(6..12) {
        Some(&[1, 0, a, b, ..]) => (10, usize::from(u16::from_le_bytes([a, b]))),
        Some(&[2 | 3, 0, a, b, c, d]) => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        Some(&[major, minor, ..]) => {
            return Err(Problem::Unsupported(format!("unsupported NPY version {major}.{minor}")));
        }
        _ => return Err(truncated(12)),
    };
    let end = start + length;
    let text = bytes.get(start..end).ok_or_else(|| truncated(end))?;
    let text = std::str::from_utf8(text).map_err(|_| malformed("its header is not text"))?;
    let header = Header::parse(text).ok_or_else(|| malformed(&format!("its header is `{}`", text.trim_end())))?;
    let (wire, big_endian) = format(&header.descr).ok_or_else(|| {
        Problem::Unsupported(format!("elements of NumPy's kind `{}` have no dtype here", header.descr))
    })?;
    let size = wire.bytes(&header.shape).ok_or(Problem::Implausible { length: bytes.len() as u64 })?;
    let needed = end.checked_add(size).ok_or(Problem::Implausible { length: bytes.len() as u64 })?;
    if bytes.len() != needed {
        let excess = bytes.len() > needed;
        return Err(if excess { Problem::Excess { needed: needed as u64 } } else { truncated(needed) });
    }
    if !header.fortran {
        return decode(wire, big_endian, header.shape, &bytes[end..]);
    }
    // Fortran's order of a shape is C's order of the reversed shape.
    let reversed: Vec<usize> = header.shape.iter().rev().copied().collect();
    Ok(transpose(&decode(wire, big_endian, reversed, &bytes[end..])?))
}

/// A whole NPY file in memory.
pub(super) fn to_bytes(tensor: &Tensor) -> Vec<u8> {
    let descr = match tensor.dtype() {
        DType::F32 => "<f4",
        DType::F64 => "<f8",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::U8 => "|u1",
        DType::Bool => "|b1",
    };
    let sizes: String = tensor.shape().iter().map(|d| format!("{d}, ")).collect();
    let shape = match tensor.shape().rank() {
        1 => sizes.trim_end(),
        _ => sizes.trim_end_matches(", "),
    };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // The data is aligned to 64 bytes; version 1 suffices for any shape that a tensor can have in memory.
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("a shape in memory has few axes");
    [MAGIC, &[1, 0], &length.to_le_bytes(), header.as_bytes(), &tensor.le_bytes()].concat()
}

fn transpose(tensor: &Tensor) -> Tensor {
    let shape: Vec<usize> = tensor.shape().iter().rev().copied().collect();
    let ty = Type::new(tensor.dtype(), shape);
    let indices: Vec<usize> = ty
        .shape
        .indices()
        .map(|mut index| {
            index.reverse();
            tensor.shape().offset(&index)
        })
        .collect();
    Tensor::from_fn(ty, |i| tensor.get(indices[i]))
}

fn format(descr: &str) -> Option<(Wire, bool)> {
    let (order, kind) = descr.split_at_checked(1)?;
    let wire = match kind {
        "b1" => Wire::Bool,
        "u1" => Wire::U8,
        "i1" => Wire::I8,
        "u2" => Wire::U16,
        "i2" => Wire::I16,
        "u4" => Wire::U32,
        "i4" => Wire::I32,
        "u8" => Wire::U64,
        "i8" => Wire::I64,
        "f2" => Wire::F16,
        "f4" => Wire::F32,
        "f8" => Wire::F64,
        _ => return None,
    };
    matches!(order, "<" | ">" | "|" | "=").then_some((wire, order == ">"))
}

fn malformed(why: &str) -> Problem {
    Problem::Malformed { format: "an NPY file", why: why.to_owned() }
}

/// The header, a literal of a Python dictionary.
#[derive(Debug, PartialEq)]
struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, value) = quoted(rest)?;
            let value = value.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" => match quoted(value) {
                    Some((text, rest)) => {
                        descr = Some(text.to_owned());
                        rest
                    }
                    // A record's fields are a list; it is shown in the error message.
                    None => {
                        let end = value.rfind(']')? + 1;
                        descr = Some(value[..end].to_owned());
                        &value[end..]
                    }
                },
                "fortran_order" => {
                    let is = value.starts_with("True");
                    fortran = Some(is);
                    value.strip_prefix(if is { "True" } else { "False" })?
                }
                "shape" => {
                    let (sizes, rest) = value.strip_prefix('(')?.split_once(')')?;
                    let sizes = sizes.trim().strip_suffix(',').unwrap_or(sizes).trim();
                    let sizes = sizes.split(',').map(str::trim).filter(|_| !sizes.is_empty());
                    shape = Some(sizes.map(|d| d.trim_end_matches('L').parse().ok()).collect::<Option<Vec<_>>>()?);
                    rest
                }
                _ => return None,
            };
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        Some(Header { descr: descr?, fortran: fortran?, shape: shape? })
    }
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_numpy_are_read() {
        let parse = |text| Header::parse(text);
        let h =
            |descr: &str, fortran, shape: &[usize]| Some(Header { descr: descr.into(), fortran, shape: shape.into() });
        assert_eq!(parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  \n"), h("<f4", false, &[3, 4]));
        assert_eq!(parse("{'descr': '|u1', 'fortran_order': True, 'shape': (3,), }"), h("|u1", true, &[3]));
        assert_eq!(parse("{\"shape\": (), 'fortran_order': False, 'descr': '>i8'}"), h(">i8", false, &[]));
        assert_eq!(parse("{'descr': '<f4', 'shape': (3, 4), }"), None);
        assert_eq!(parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3, -4), }"), None);
        assert_eq!(parse("{'descr': '<f4', 'fortran_order': Fals, 'shape': (3, 4), }"), None);
    }

    #[test]
    fn every_dtype_and_shape_comes_back() {
        for dtype in DType::ALL {
            for shape in [vec![], vec![3], vec![2, 3], vec![2, 0, 4], vec![1, 2, 3, 4]] {
                let t = Tensor::from_fn(Type::new(dtype, shape), |i| dlc_ir::Scalar::Int(i as i64));
                let bytes = to_bytes(&t);
                assert_eq!(bytes.len() % 64, t.len() * dtype.size() % 64);
                assert_eq!(parse(&bytes).unwrap(), t);
            }
        }
    }

    #[test]
    fn fortran_order_is_turned() {
        let mut bytes = to_bytes(&Tensor::new([2, 3], vec![1u8, 4, 2, 5, 3, 6]).unwrap());
        let at = bytes.windows(5).position(|w| w == b"False").unwrap();
        bytes[at..at + 5].copy_from_slice(b"True ");
        assert_eq!(parse(&bytes).unwrap(), Tensor::new([2, 3], vec![1u8, 2, 3, 4, 5, 6]).unwrap());
    }

    #[test]
    fn damage_is_refused() {
        let bytes = to_bytes(&Tensor::new([2, 3], vec![1f32; 6]).unwrap());
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err(), "{end}");
        }
        assert!(matches!(parse(&[&bytes[..], &[0]].concat()), Err(Problem::Excess { .. })));
        let huge = String::from_utf8_lossy(&bytes[10..128]).replace("(2, 3), }      ", "(99999999999, 9)");
        let huge = [&bytes[..10], huge.trim_end().trim_end_matches('}').as_bytes()].concat();
        assert!(parse(&huge).is_err());
    }
}
