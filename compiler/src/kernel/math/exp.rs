//! The exponential and its relatives.

use super::super::build::KernelBuilder;
use super::super::ir::{Binary, Compare, Const, Elem, Unary, Val};
use super::{copy_sign, float_type, fraction_bits, int_elem, polynomial};

/// `(e^r - 1 - r) / r²` for `abs(r) <= ln 2 / 2`, minimax in `e^r - 1`, whose relative error is 1.3e-8.
const EXP_F32: [f64; 5] =
    [0.5000000062212202, 0.16666542648698648, 0.041666281303733495, 0.008366624534203528, 0.0013946493736388536];
/// The same by Chebyshev interpolation, whose error is 1.4e-18.
const EXP_F64: [f64; 11] = [
    0.5,
    0.1666666666666667,
    0.04166666666666667,
    0.008333333333326084,
    0.0013888888888883711,
    0.0001984126987500228,
    2.480158732567746e-05,
    2.755725517000089e-06,
    2.755727347871858e-07,
    2.5105312729622103e-08,
    2.09147553258932e-09,
];

/// `ln 2` as the sum of two numbers of the type.
pub(super) fn ln2(elem: Elem) -> (f64, f64) {
    match elem {
        Elem::F32 => (0.6931471824645996, -1.9046542121259336e-09),
        _ => (std::f64::consts::LN_2, 2.3190468138462996e-17),
    }
}

/// `2^n` for an integral float `n` in the range of normal exponents.
fn power_of_two(b: &mut KernelBuilder, n: Val) -> Val {
    let ty = float_type(b, n);
    let (int, bits) = (int_elem(ty.elem), fraction_bits(ty.elem));
    // Adding 1.5 * 2^bits leaves the integer in the low bits.
    let bias = if ty.elem == Elem::F32 { 127 } else { 1023 };
    let magic = 1.5 * 2f64.powi(bits as i32);
    let magic = b.float(ty, magic + f64::from(bias));
    let shifted = b.add(n, magic);
    let raw = b.bitcast(shifted, int);
    let count = b.int(ty.with_elem(int), bits);
    let exponent = b.binary(Binary::Shl, raw, count);
    b.bitcast(exponent, ty.elem)
}

/// `x` clamped to `low..=high`; NaN stays.
fn clamp(b: &mut KernelBuilder, x: Val, low: f64, high: f64) -> Val {
    let ty = b.ty(x);
    let (low, high) = (b.float(ty, low), b.float(ty, high));
    let x = b.binary(Binary::Max, low, x);
    b.binary(Binary::Min, high, x)
}

/// `x = n ln 2 + r` with integral `n`: returns `n` and `r`.
fn reduce(b: &mut KernelBuilder, x: Val) -> (Val, Val) {
    let ty = b.ty(x);
    let log2e = b.float(ty, std::f64::consts::LOG2_E);
    let n = b.mul(x, log2e);
    let n = b.unary(Unary::Nearest, n);
    let (high, low) = ln2(ty.elem);
    let (high, low) = (b.float(ty, -high), b.float(ty, -low));
    let r = b.fma(n, high, x);
    (n, b.fma(n, low, r))
}

/// The coefficients of the series of `e^r` from `r²` on.
fn coefficients(elem: Elem) -> &'static [f64] {
    if elem == Elem::F32 { &EXP_F32 } else { &EXP_F64 }
}

/// `e^r - 1`, exact near 0.
fn series_minus_one(b: &mut KernelBuilder, r: Val) -> Val {
    let elem = b.ty(r).elem;
    let q = polynomial(b, r, coefficients(elem));
    let square = b.mul(r, r);
    b.fma(square, q, r)
}

/// `e^r`, or `e^-r` by the same polynomial with the signs of its odd powers changed.
fn series(b: &mut KernelBuilder, r: Val, negative: bool) -> Val {
    let mut all = vec![1.0, 1.0];
    all.extend(coefficients(b.ty(r).elem));
    if negative {
        all.iter_mut().skip(1).step_by(2).for_each(|c| *c = -*c);
    }
    polynomial(b, r, &all)
}

/// `e^(x + tail)`, where `tail` is less than half a unit in the last place of `x`.
pub(super) fn exp_with(b: &mut KernelBuilder, x: Val, tail: Option<Val>) -> Val {
    let ty = float_type(b, x);
    // Beyond these the result is 0 or infinity; the following steps give that too.
    let (low, high) = if ty.elem == Elem::F32 { (-104.0, 89.0) } else { (-746.0, 710.0) };
    let x = clamp(b, x, low, high);
    let (n, mut r) = reduce(b, x);
    if let Some(tail) = tail {
        r = b.add(r, tail);
    }
    let p = series(b, r, false);
    // p is between 0.7 and 1.5, and 2^n may overflow or underflow where the result does not.
    b.binary(Binary::Scale, p, n)
}

/// `e^x`.
pub fn exp(b: &mut KernelBuilder, x: Val) -> Val {
    exp_with(b, x, None)
}

/// `e^x - 1`, exact near 0.
pub fn expm1(b: &mut KernelBuilder, x: Val) -> Val {
    let ty = float_type(b, x);
    let (low, high) = if ty.elem == Elem::F32 { (-18.0, 89.0) } else { (-38.0, 710.0) };
    let clamped = clamp(b, x, low, high);
    let (n, r) = reduce(b, clamped);
    let e = series_minus_one(b, r);
    // 2^n e + (2^n - 1), halved until the end because 2^n may overflow by one power.
    let one = b.float(ty, 1.0);
    let half = b.float(ty, 0.5);
    let less = b.sub(n, one);
    let scale = power_of_two(b, less);
    let shift = b.sub(scale, half);
    let halved = b.fma(scale, e, shift);
    let result = b.add(halved, halved);
    tiny_is_itself(b, x, result)
}

/// `e^x - 1` for `x <= 0`, where nothing overflows, exact near 0 as well.
fn expm1_of_negative(b: &mut KernelBuilder, x: Val) -> Val {
    let ty = float_type(b, x);
    let (low, one) = (b.float(ty, if ty.elem == Elem::F32 { -18.0 } else { -38.0 }), b.float(ty, 1.0));
    let x = b.binary(Binary::Max, low, x);
    let (n, r) = reduce(b, x);
    let e = series_minus_one(b, r);
    let scale = power_of_two(b, n);
    let shift = b.sub(scale, one);
    b.fma(scale, e, shift)
}

/// `x` itself if it is so small that `f(x) = x` to the last bit; keeps -0 and denormals.
pub(super) fn tiny_is_itself(b: &mut KernelBuilder, x: Val, result: Val) -> Val {
    let ty = b.ty(x);
    let size = b.unary(Unary::Abs, x);
    let limit = b.float(ty, if ty.elem == Elem::F32 { 2f64.powi(-26) } else { 2f64.powi(-55) });
    let tiny = b.compare(Compare::Lt, size, limit);
    b.select(tiny, x, result)
}

/// The hyperbolic tangent.
pub fn tanh(b: &mut KernelBuilder, x: Val) -> Val {
    let ty = float_type(b, x);
    let size = b.unary(Unary::Abs, x);
    let minus_two = b.float(ty, -2.0);
    let doubled = b.mul(size, minus_two);
    // |e| / (e + 2) with e = exp(-2 |x|) - 1 in (-1, 0].
    let e = expm1_of_negative(b, doubled);
    let two = b.float(ty, 2.0);
    let denominator = b.add(e, two);
    // |e| and not -e: e may be 0 of either sign.
    let numerator = b.unary(Unary::Abs, e);
    let result = b.div(numerator, denominator);
    copy_sign(b, result, x)
}

/// The logistic function, `1 / (1 + e^-x)`: with `x = n ln 2 + r` it is `2^n / (2^n + e^-r)`, of which nothing overflows, and which keeps
/// its digits where it is a subnormal number.
pub fn sigmoid(b: &mut KernelBuilder, x: Val) -> Val {
    let ty = float_type(b, x);
    // Beyond these the result is 0 or 1.
    let (low, high) = if ty.elem == Elem::F32 { (-104.0, 88.0) } else { (-746.0, 709.0) };
    let x = clamp(b, x, low, high);
    let (n, r) = reduce(b, x);
    let p = series(b, r, true);
    let one = b.float(ty, 1.0);
    let power = b.binary(Binary::Scale, one, n);
    let denominator = b.add(power, p);
    b.div(power, denominator)
}

/// The constant infinity.
pub(super) fn infinity(b: &mut KernelBuilder, x: Val) -> Val {
    let ty = b.ty(x);
    b.constant(Const::float(ty.elem, f64::INFINITY), ty.lanes)
}
