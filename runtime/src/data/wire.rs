//! Number formats of files, and the dtypes that they become.

use dlc_ir::{DType, Memory, Tensor, Type};

use super::Problem;

/// A number format of some file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Wire {
    /// Bytes of one number.
    pub(super) fn size(self) -> usize {
        match self {
            Wire::Bool | Wire::U8 | Wire::I8 => 1,
            Wire::U16 | Wire::I16 | Wire::F16 | Wire::Bf16 => 2,
            Wire::U32 | Wire::I32 | Wire::F32 => 4,
            Wire::U64 | Wire::I64 | Wire::F64 => 8,
        }
    }

    /// The smallest dtype that represents every number of the format; u64 is checked number by number.
    pub(super) fn dtype(self) -> DType {
        match self {
            Wire::Bool => DType::Bool,
            Wire::U8 => DType::U8,
            Wire::I8 | Wire::U16 | Wire::I16 | Wire::I32 => DType::I32,
            Wire::U32 | Wire::U64 | Wire::I64 => DType::I64,
            Wire::F16 | Wire::Bf16 | Wire::F32 => DType::F32,
            Wire::F64 => DType::F64,
        }
    }

    /// Bytes of a tensor of this format, unless that overflows.
    pub(super) fn bytes(self, shape: &[usize]) -> Option<usize> {
        // The tensor's own size must not overflow either: it may be wider than the file's.
        Type::new(self.dtype(), shape).checked_bytes()?;
        shape.iter().try_fold(self.size(), |n, &d| n.checked_mul(d))
    }
}

/// As [`decode`], of little-endian numbers, which are not copied if they are what memory has and aligned.
pub(super) fn decode_in_place(wire: Wire, shape: Vec<usize>, memory: Memory) -> Result<Tensor, Problem> {
    let same = match wire {
        Wire::Bool | Wire::U8 | Wire::I32 | Wire::I64 | Wire::F32 | Wire::F64 => cfg!(target_endian = "little"),
        Wire::I8 | Wire::U16 | Wire::I16 | Wire::U32 | Wire::U64 | Wire::F16 | Wire::Bf16 => false,
    };
    if !same {
        return decode(wire, false, shape, memory.bytes());
    }
    Tensor::in_memory(Type::new(wire.dtype(), shape), memory).map_err(|e| Problem::Unsupported(e.to_string()))
}

/// Decodes numbers whose count the caller has checked against the shape.
pub(super) fn decode(wire: Wire, big_endian: bool, shape: Vec<usize>, bytes: &[u8]) -> Result<Tensor, Problem> {
    fn all<const N: usize, T>(bytes: &[u8], big: bool, read: impl Fn([u8; N]) -> T) -> Vec<T> {
        let read = |mut chunk: [u8; N]| {
            if big {
                chunk.reverse();
            }
            read(chunk)
        };
        bytes.as_chunks::<N>().0.iter().map(|&chunk| read(chunk)).collect()
    }
    let big = big_endian;
    let tensor = match wire {
        Wire::Bool => Tensor::new(shape, bytes.iter().map(|&b| b != 0).collect()),
        Wire::U8 => Tensor::new(shape, bytes.to_vec()),
        Wire::I8 => Tensor::new(shape, all(bytes, big, |b| i32::from(i8::from_le_bytes(b)))),
        Wire::U16 => Tensor::new(shape, all(bytes, big, |b| i32::from(u16::from_le_bytes(b)))),
        Wire::I16 => Tensor::new(shape, all(bytes, big, |b| i32::from(i16::from_le_bytes(b)))),
        Wire::U32 => Tensor::new(shape, all(bytes, big, |b| i64::from(u32::from_le_bytes(b)))),
        Wire::I32 => Tensor::new(shape, all(bytes, big, i32::from_le_bytes)),
        Wire::I64 => Tensor::new(shape, all(bytes, big, i64::from_le_bytes)),
        Wire::U64 => {
            let numbers = all(bytes, big, u64::from_le_bytes);
            let signed: Result<Vec<i64>, _> = numbers.into_iter().map(i64::try_from).collect();
            Tensor::new(shape, signed.map_err(|_| Problem::Unsupported("a u64 is beyond the range of i64".into()))?)
        }
        Wire::F16 => Tensor::new(shape, all(bytes, big, |b| f16_to_f32(u16::from_le_bytes(b)))),
        Wire::Bf16 => Tensor::new(shape, all(bytes, big, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))),
        Wire::F32 => Tensor::new(shape, all(bytes, big, f32::from_le_bytes)),
        Wire::F64 => Tensor::new(shape, all(bytes, big, f64::from_le_bytes)),
    };
    tensor.map_err(|e| Problem::Unsupported(e.to_string()))
}

/// The exact value of an IEEE binary16.
fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = u32::from(half >> 10 & 0x1f);
    let fraction = u32::from(half & 0x3ff);
    let magnitude = match (exponent, fraction) {
        // Subnormal: a multiple of 2^-24, which is exact in f32.
        (0, fraction) => (fraction as f32 / 16_777_216.0).to_bits(),
        (31, fraction) => 0x7f80_0000 | (fraction << 13),
        (exponent, fraction) => ((exponent + 112) << 23) | (fraction << 13),
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact() {
        for bits in 0..=u16::MAX {
            let (e, f) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff));
            let expected = match e {
                0 => f * 2f64.powi(-24),
                31 => continue,
                _ => (1024.0 + f) * 2f64.powi(e - 25),
            };
            let expected = if bits >> 15 == 1 { -expected } else { expected };
            assert_eq!(f64::from(f16_to_f32(bits)).to_bits(), expected.to_bits(), "{bits:#x}");
        }
        assert_eq!(f16_to_f32(0x7c00), f32::INFINITY);
        assert_eq!(f16_to_f32(0xfc00), f32::NEG_INFINITY);
        assert!(f16_to_f32(0x7e00).is_nan());
    }

    #[test]
    fn byte_order_is_heeded() {
        let t = decode(Wire::I16, true, vec![2], &[0xff, 0xfe, 0x01, 0x00]).unwrap();
        assert_eq!(t.as_slice::<i32>().unwrap(), [-2, 256]);
        let t = decode(Wire::F64, true, vec![1], &1.5f64.to_be_bytes()).unwrap();
        assert_eq!(t.as_slice::<f64>().unwrap(), [1.5]);
        assert!(decode(Wire::U64, false, vec![1], &[0xff; 8]).is_err());
    }
}
