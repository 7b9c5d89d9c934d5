//! One element, as the reference semantics sees it.

use crate::DType;

/// The value of one element in reference arithmetic: floats are carried in f64
/// and rounded to their dtype after every operation, integers in i64 and wrapped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// An element of a floating-point dtype.
    Float(f64),
    /// An element of an integer dtype.
    Int(i64),
    /// An element of dtype `bool`.
    Bool(bool),
}

impl Scalar {
    /// Rounds (floats, to nearest even) or wraps (integers) to what `dtype` can hold.
    /// The kind of `self` must already be that of `dtype`; [`Scalar::convert`] changes kinds.
    pub fn round(self, dtype: DType) -> Self {
        match (self, dtype) {
            (Scalar::Float(x), DType::F32) => Scalar::Float(f64::from(x as f32)),
            (Scalar::Int(x), DType::I32) => Scalar::Int(i64::from(x as i32)),
            (Scalar::Int(x), DType::U8) => Scalar::Int(i64::from(x as u8)),
            _ => self,
        }
    }

    /// Converts to `dtype` by the rules of the `convert` operator: float to integer truncates
    /// towards zero and saturates, NaN becomes 0; integer to integer wraps; anything to bool
    /// is `x != 0` (NaN is true); bool to number is 0 or 1.
    pub fn convert(self, dtype: DType) -> Self {
        let converted = match (self, dtype) {
            (x, DType::Bool) => Scalar::Bool(x.is_truthy()),
            // Rounded once, not to f64 first.
            (Scalar::Int(x), DType::F32) => Scalar::Float(f64::from(x as f32)),
            (x, DType::F32 | DType::F64) => Scalar::Float(x.as_f64()),
            (Scalar::Float(x), DType::I32) => Scalar::Int(i64::from(x as i32)),
            (Scalar::Float(x), DType::U8) => Scalar::Int(i64::from(x as u8)),
            (Scalar::Float(x), DType::I64) => Scalar::Int(x as i64),
            (Scalar::Int(x), _) => Scalar::Int(x),
            (Scalar::Bool(x), _) => Scalar::Int(i64::from(x)),
        };
        converted.round(dtype)
    }

    fn is_truthy(self) -> bool {
        match self {
            Scalar::Float(x) => x != 0.0,
            Scalar::Int(x) => x != 0,
            Scalar::Bool(x) => x,
        }
    }

    /// The value as a float; integers beyond 2^53 are rounded.
    pub fn as_f64(self) -> f64 {
        match self {
            Scalar::Float(x) => x,
            Scalar::Int(x) => x as f64,
            Scalar::Bool(x) => f64::from(u8::from(x)),
        }
    }

    /// The value as an integer; floats are truncated and saturate.
    pub fn as_i64(self) -> i64 {
        match self {
            Scalar::Float(x) => x as i64,
            Scalar::Int(x) => x,
            Scalar::Bool(x) => i64::from(x),
        }
    }

    /// The truth value: anything but zero is true.
    pub fn as_bool(self) -> bool {
        self.is_truthy()
    }

    /// Zero of `dtype` (false for bool).
    pub fn zero(dtype: DType) -> Self {
        Scalar::Int(0).convert(dtype)
    }

    /// One of `dtype` (true for bool).
    pub fn one(dtype: DType) -> Self {
        Scalar::Int(1).convert(dtype)
    }

    /// Whether both are the same bits once stored: NaN equals NaN, 0 differs from -0.
    pub fn same_bits(self, other: Self) -> bool {
        match (self, other) {
            (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits(),
            (a, b) => a == b,
        }
    }
}
