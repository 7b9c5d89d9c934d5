//! Element types.

use std::fmt;
use std::str::FromStr;

/// The type of one element of a tensor.
///
/// There is no implicit promotion between element types anywhere in dlc: an operator whose operands differ in dtype is an error,
/// and `convert` is the only conversion. The list is closed and matched exhaustively, so that a new dtype fails to compile
/// wherever its meaning has to be defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// Signed 32-bit integer, wrapping.
    I32,
    /// Signed 64-bit integer, wrapping. The type of every index.
    I64,
    /// Unsigned 8-bit integer, wrapping.
    U8,
    /// Truth value, stored as one byte that is 0 or 1.
    Bool,
}

impl DType {
    /// Every dtype, in the order of their definition.
    pub const ALL: [DType; 6] = [Self::F32, Self::F64, Self::I32, Self::I64, Self::U8, Self::Bool];

    /// Size of one element in bytes.
    pub const fn size(self) -> usize {
        match self {
            DType::F32 | DType::I32 => 4,
            DType::F64 | DType::I64 => 8,
            DType::U8 | DType::Bool => 1,
        }
    }

    /// Whether elements are floating-point numbers.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64)
    }

    /// Whether elements are integers; `bool` is not.
    pub const fn is_int(self) -> bool {
        matches!(self, DType::I32 | DType::I64 | DType::U8)
    }

    /// The name in the text form, as in `f32[2,3]`.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::U8 => "u8",
            DType::Bool => "bool",
        }
    }

    /// Unit roundoff of a floating-point dtype: half the distance from 1 to the next number.
    /// Zero for all others, whose arithmetic is exact.
    pub const fn unit_roundoff(self) -> f64 {
        match self {
            DType::F32 => f32::EPSILON as f64 / 2.0,
            DType::F64 => f64::EPSILON / 2.0,
            DType::I32 | DType::I64 | DType::U8 | DType::Bool => 0.0,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DType {
    type Err = UnknownDType;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|d| d.name() == s).ok_or_else(|| UnknownDType(s.to_owned()))
    }
}

/// A name that is not a dtype.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown dtype `{0}`: expected f32, f64, i32, i64, u8 or bool")]
pub struct UnknownDType(pub String);
