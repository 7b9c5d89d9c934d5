//! Value-range analysis: bounds of the numbers in a class, and whether NaN, zeros, subnormal or fractional numbers are possible.
//!
//! The facts hold for what any correct program computes, not only for the real value: each step widens the bounds by the
//! operator's stated error, and what may leave the range of the dtype becomes infinite or zero.

use dlc_ir::{DType, Scalar, Tensor};

mod operators;

pub(super) use operators::{of_map, of_operator, product};

/// What is proved of all elements of a value. Bounds exclude NaN; zero has no sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// A lower bound.
    pub low: f64,
    /// An upper bound.
    pub high: f64,
    /// A lower bound of the magnitudes of nonzero elements.
    pub least: f64,
    /// Whether some element may be zero.
    pub zero: bool,
    /// Whether some element may be NaN.
    pub nan: bool,
    /// Whether all finite elements are integers.
    pub whole: bool,
}

/// The largest finite number of a float dtype.
pub(super) fn largest(dtype: DType) -> f64 {
    if dtype == DType::F32 { f64::from(f32::MAX) } else { f64::MAX }
}

/// The smallest positive normal number of a float dtype.
pub(super) fn smallest(dtype: DType) -> f64 {
    if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE }
}

impl Facts {
    /// The facts of an arbitrary value of a dtype.
    pub fn unknown(dtype: DType) -> Facts {
        let (low, high) = match dtype {
            DType::Bool => (0.0, 1.0),
            DType::U8 => (0.0, 255.0),
            DType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
            DType::I64 => (-(2f64.powi(63)), 2f64.powi(63)),
            DType::F32 | DType::F64 => (f64::NEG_INFINITY, f64::INFINITY),
        };
        let float = dtype.is_float();
        Facts { low, high, least: if float { 0.0 } else { 1.0 }, zero: true, nan: float, whole: !float }
    }

    /// The facts of numbers between two bounds.
    pub fn between(low: f64, high: f64) -> Facts {
        let least = if low > 0.0 {
            low
        } else if high < 0.0 {
            -high
        } else {
            0.0
        };
        Facts { low, high, least, zero: low <= 0.0 && high >= 0.0, nan: false, whole: false }
    }

    /// The facts of one number.
    pub fn of_scalar(x: Scalar, dtype: DType) -> Facts {
        let x = x.as_f64();
        if x.is_nan() {
            return Facts::unknown(dtype);
        }
        Facts { low: x, high: x, least: x.abs(), zero: x == 0.0, nan: false, whole: x.fract() == 0.0 }
    }

    /// The facts of a constant.
    pub fn of_tensor(tensor: &Tensor) -> Facts {
        let mut elements = tensor.scalars().map(|x| Facts::of_scalar(x, tensor.dtype()));
        let Some(first) = elements.next() else { return Facts::unknown(tensor.dtype()) };
        elements.fold(first, Facts::or)
    }

    /// The union: facts of elements that satisfy one or the other.
    #[must_use]
    pub fn or(self, other: Facts) -> Facts {
        // The least magnitude of a value that is zero throughout is meaningless.
        let least = |f: Facts| if f.low == 0.0 && f.high == 0.0 { f64::INFINITY } else { f.least };
        let least = least(self).min(least(other));
        Facts {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            least: if least == f64::INFINITY && self.is_zero() && other.is_zero() { 0.0 } else { least },
            zero: self.zero || other.zero,
            nan: self.nan || other.nan,
            whole: self.whole && other.whole,
        }
    }

    /// The intersection; returns whether that is stronger. A bound is only updated if it is at least twice as tight, so that
    /// cycles of classes reach a fixed point.
    pub(super) fn and(&mut self, other: Facts) -> bool {
        let before = *self;
        self.low = self.low.max(other.low);
        self.high = self.high.min(other.high);
        self.least = self.least.max(other.least);
        self.zero &= other.zero;
        self.nan &= other.nan;
        self.whole |= other.whole;
        if self.low > self.high {
            // Members may round to either side of a bound.
            (self.low, self.high) = (before.low, before.high);
        }
        let narrower = |old: f64, new: f64| old != new && (old.is_infinite() || (old - new).abs() > old.abs() / 2.0);
        (before.zero, before.nan, before.whole) != (self.zero, self.nan, self.whole)
            || narrower(before.low, self.low)
            || narrower(before.high, self.high)
            || narrower(before.least, self.least)
    }

    /// Whether both can hold for one value: their bounds overlap, up to rounding.
    pub(super) fn agree(&self, other: &Facts) -> bool {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        low <= high || self.nan || other.nan || low - high <= 1e-3 * (low.abs() + high.abs()) + 1e-30
    }

    fn is_zero(&self) -> bool {
        self.low == 0.0 && self.high == 0.0 && !self.nan
    }

    /// The largest magnitude.
    pub fn magnitude(&self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    /// Whether some element may be infinite.
    pub fn may_be_infinite(&self) -> bool {
        self.magnitude() == f64::INFINITY
    }

    /// Neither NaN nor infinite.
    pub fn is_finite(&self) -> bool {
        !self.nan && !self.may_be_infinite()
    }

    /// Neither zero nor NaN.
    pub fn is_nonzero(&self) -> bool {
        !self.zero && !self.nan
    }

    /// Nothing below zero; NaN may be.
    pub fn is_nonnegative(&self) -> bool {
        self.low >= 0.0
    }

    /// Not infinite, and normal unless zero: there was no overflow or underflow in its computation. May be NaN, which both sides
    /// of a rewrite propagate.
    pub fn is_normal(&self, dtype: DType) -> bool {
        !self.may_be_infinite() && (!dtype.is_float() || self.is_zero() || self.least >= smallest(dtype))
    }

    /// Integers so small that sums of a few are exact; or NaN.
    pub fn is_exact(&self, dtype: DType) -> bool {
        const FEW: f64 = 8.0;
        !self.may_be_infinite() && self.whole && self.magnitude() * FEW * dtype.unit_roundoff() <= 1.0
    }

    /// The bounds of the real value, widened by this many units in the last place and by the range of the dtype.
    fn computed(mut self, ulps: f64, dtype: DType) -> Facts {
        if !dtype.is_float() {
            return self;
        }
        let error = |x: f64| if x.is_finite() { (ulps + 1.0) * 2.0 * dtype.unit_roundoff() * x.abs() } else { 0.0 };
        let clip = |x: f64| if x.abs() > largest(dtype) { f64::INFINITY.copysign(x) } else { x };
        (self.low, self.high) = (self.low - error(self.low), self.high + error(self.high));
        // A small number may underflow to zero, but keeps its sign.
        if self.low > 0.0 && self.low < smallest(dtype) {
            self.low = 0.0;
        }
        if self.high < 0.0 && self.high > -smallest(dtype) {
            self.high = 0.0;
        }
        (self.low, self.high) = (clip(self.low), clip(self.high));
        self.least -= error(self.least);
        if self.least < smallest(dtype) && !self.is_zero() {
            (self.least, self.zero) = (0.0, self.zero || (self.low <= 0.0 && self.high >= 0.0));
        }
        self
    }
}
