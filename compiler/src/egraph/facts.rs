//! What is proved of the numbers in a class: between which bounds they are, and whether NaN, zeros, small or fractional ones are
//! among them.
//!
//! Every bound holds of what any correct program computes, not only of the real value: each step widens by the operator's stated
//! error, and what may leave the range of the dtype is infinite, or lost to zero.

use dlc_ir::{DType, Scalar, Tensor};

mod operators;

pub(super) use operators::{of_map, of_operator, product};

/// What is proved of all elements of a value. The bounds are of those that are not NaN; a zero has no sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// None is less.
    pub low: f64,
    /// None is larger.
    pub high: f64,
    /// None that is not zero has a smaller magnitude.
    pub least: f64,
    /// Whether some may be zero.
    pub zero: bool,
    /// Whether some may be NaN.
    pub nan: bool,
    /// Whether all that are finite are whole.
    pub whole: bool,
}

/// The largest finite number of a float dtype.
pub(super) fn largest(dtype: DType) -> f64 {
    if dtype == DType::F32 { f64::from(f32::MAX) } else { f64::MAX }
}

/// The smallest positive number of a float dtype that has all its digits.
pub(super) fn smallest(dtype: DType) -> f64 {
    if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE }
}

impl Facts {
    /// What is known of every value of a dtype.
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

    /// Of numbers between two bounds.
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

    /// Of one number.
    pub fn of_scalar(x: Scalar, dtype: DType) -> Facts {
        let x = x.as_f64();
        if x.is_nan() {
            return Facts::unknown(dtype);
        }
        Facts { low: x, high: x, least: x.abs(), zero: x == 0.0, nan: false, whole: x.fract() == 0.0 }
    }

    /// Of a known tensor.
    pub fn of_tensor(tensor: &Tensor) -> Facts {
        let mut elements = tensor.scalars().map(|x| Facts::of_scalar(x, tensor.dtype()));
        let Some(first) = elements.next() else { return Facts::unknown(tensor.dtype()) };
        elements.fold(first, Facts::or)
    }

    /// Of elements that are of one kind or of the other.
    #[must_use]
    pub fn or(self, other: Facts) -> Facts {
        // The least of a value that is zero throughout says nothing.
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

    /// Of a value of which both is known; whether that is more than was known before. Bounds count from twice as narrow on, so
    /// that cycles of classes come to an end.
    pub(super) fn and(&mut self, other: Facts) -> bool {
        let before = *self;
        self.low = self.low.max(other.low);
        self.high = self.high.min(other.high);
        self.least = self.least.max(other.least);
        self.zero &= other.zero;
        self.nan &= other.nan;
        self.whole |= other.whole;
        if self.low > self.high {
            // Two members may round to either side of a bound.
            (self.low, self.high) = (before.low, before.high);
        }
        let narrower = |old: f64, new: f64| old != new && (old.is_infinite() || (old - new).abs() > old.abs() / 2.0);
        (before.zero, before.nan, before.whole) != (self.zero, self.nan, self.whole)
            || narrower(before.low, self.low)
            || narrower(before.high, self.high)
            || narrower(before.least, self.least)
    }

    /// Whether both can be true of one value: their bounds meet, but for rounding.
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

    /// Whether some may be infinite.
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

    /// Not infinite, and with all digits where it is not zero: nothing was lost on the way, whatever it was computed from. NaN may be,
    /// which both sides of a rewrite hand on.
    pub fn is_normal(&self, dtype: DType) -> bool {
        !self.may_be_infinite() && (!dtype.is_float() || self.is_zero() || self.least >= smallest(dtype))
    }

    /// Whole, and so small that sums of a few are exact; or NaN.
    pub fn is_exact(&self, dtype: DType) -> bool {
        const FEW: f64 = 8.0;
        !self.may_be_infinite() && self.whole && self.magnitude() * FEW * dtype.unit_roundoff() <= 1.0
    }

    /// As computed: the bounds of the real values, widened by so many units in the last place, in the range of the dtype.
    fn computed(mut self, ulps: f64, dtype: DType) -> Facts {
        if !dtype.is_float() {
            return self;
        }
        let error = |x: f64| if x.is_finite() { (ulps + 1.0) * 2.0 * dtype.unit_roundoff() * x.abs() } else { 0.0 };
        let clip = |x: f64| if x.abs() > largest(dtype) { f64::INFINITY.copysign(x) } else { x };
        (self.low, self.high) = (self.low - error(self.low), self.high + error(self.high));
        // A small number may be lost, not change its sign.
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
