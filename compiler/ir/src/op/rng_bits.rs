//! `rng_bits`: random bits as a function of a key and a counter.

use super::{Attr, AttrError, AttrReader, Operator, TypeError, Types};
use crate::{DType, Type};

/// Random bits by Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
///
/// The 64-bit `key` is the cipher's key, low word first. Block `j` enciphers the 128-bit counter whose low 64 bits are `j` and whose
/// high 64 bits are `counter`, and yields four 32-bit words. Element `i` of an i32 result is word `i mod 4` of block `i / 4`;
/// of an i64 result it is words `2 (i mod 2)` (low half) and `2 (i mod 2) + 1` of block `i / 2`.
///
/// ```text
/// %1 = rng_bits %key, %step : i32[64,128]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RngBits {
    /// The result's type: i32 or i64.
    pub ty: Type,
}

impl Operator for RngBits {
    const MNEMONIC: &'static str = "rng_bits";
    const OPERANDS: &'static [&'static str] = &["key", "counter"];

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(RngBits { ty: attrs.result()?.clone() })
    }

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        ensure!(matches!(self.ty.dtype, DType::I32 | DType::I64), "makes i32 or i64, not {}", self.ty.dtype);
        for arg in args {
            ensure!(*arg == Type::scalar(DType::I64), "key and counter are i64[], not {arg}");
        }
        Ok(smallvec::smallvec![self.ty.clone()])
    }
}
