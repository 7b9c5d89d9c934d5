//! The logarithm and its relatives.

use super::super::build::KernelBuilder;
use super::super::ir::{Binary, Compare, Elem, Unary, Val};
use super::exp::{infinity, ln2, tiny_is_itself};
use super::{float_type, fraction_bits, int_elem, polynomial};

/// `(log((1 + s) / (1 - s)) - 2s) / s³` as a polynomial in `s²`, for `s²` up to 0.0295: error 1.2e-9.
const LOG_F32: [f64; 4] = [0.6666666655352537, 0.4000012263369878, 0.2855073084477381, 0.2333291280436864];
/// The same, error 2.1e-18.
const LOG_F64: [f64; 8] = [
    0.6666666666666666,
    0.4000000000000089,
    0.2857142857079543,
    0.2222222239356661,
    0.18181795442371984,
    0.1538625044794019,
    0.13268485680654427,
    0.13089629160674623,
];

/// `x = 2^k m` with `m` in `√½..√2`, for positive finite `x`, also denormal ones.
pub(super) fn split(b: &mut KernelBuilder, x: Val) -> (Val, Val) {
    let ty = float_type(b, x);
    let (int, bits) = (int_elem(ty.elem), fraction_bits(ty.elem));
    let int_ty = ty.with_elem(int);
    let f32 = ty.elem == Elem::F32;
    // Denormal numbers are scaled up first.
    let scale = if f32 { 25 } else { 54 };
    let normal = b.float(ty, if f32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE });
    let small = b.compare(Compare::Lt, x, normal);
    let factor = b.float(ty, 2f64.powi(scale));
    let scaled = b.mul(x, factor);
    let x = b.select(small, scaled, x);
    // Bias the exponent so that the mantissa is in √½..√2 instead of 1..2.
    let (one, root) = if f32 {
        (i64::from(1f32.to_bits()), i64::from(std::f32::consts::FRAC_1_SQRT_2.to_bits()))
    } else {
        (1f64.to_bits() as i64, std::f64::consts::FRAC_1_SQRT_2.to_bits() as i64)
    };
    let raw = b.bitcast(x, int);
    let distance = b.int(int_ty, one - root);
    let moved = b.add(raw, distance);
    let count = b.int(int_ty, bits);
    let exponent = b.binary(Binary::ShrU, moved, count);
    // As the low bits of 2^bits it becomes a float.
    let unit = 2f64.powi(bits as i32);
    let magic = if f32 { i64::from((unit as f32).to_bits()) } else { unit.to_bits() as i64 };
    let magic = b.int(int_ty, magic);
    let k = b.binary(Binary::Or, exponent, magic);
    let k = b.bitcast(k, ty.elem);
    let bias = if f32 { 127.0 } else { 1023.0 };
    let plain = b.float(ty, unit + bias);
    let raised = b.float(ty, unit + bias + f64::from(scale));
    let bias = b.select(small, raised, plain);
    let k = b.sub(k, bias);
    let mask = b.int(int_ty, (1 << bits) - 1);
    let fraction = b.binary(Binary::And, moved, mask);
    let root = b.int(int_ty, root);
    let m = b.add(fraction, root);
    let m = b.bitcast(m, ty.elem);
    (k, m)
}

/// `log(x (1 + c / x))` for positive finite `x`; `c` is already divided by `x`.
fn log_of_positive(b: &mut KernelBuilder, x: Val, correction: Option<Val>) -> Val {
    let ty = b.ty(x);
    let (k, m) = split(b, x);
    let one = b.float(ty, 1.0);
    let two = b.float(ty, 2.0);
    let half = b.float(ty, 0.5);
    let f = b.sub(m, one);
    let denominator = b.add(f, two);
    let s = b.div(f, denominator);
    let z = b.mul(s, s);
    let p = polynomial(b, z, if ty.elem == Elem::F32 { &LOG_F32 } else { &LOG_F64 });
    let r = b.mul(z, p);
    // f - f²/2 + s (f²/2 + r) is log m; f and f²/2 are nearly exact, and the rounded terms are small.
    let square = b.mul(f, f);
    let square = b.mul(square, half);
    let inner = b.add(square, r);
    let (high, low) = ln2(ty.elem);
    let (high, low) = (b.float(ty, high), b.float(ty, low));
    let mut tail = b.mul(k, low);
    if let Some(c) = correction {
        tail = b.add(tail, c);
    }
    let tail = b.fma(s, inner, tail);
    let tail = b.sub(square, tail);
    let rest = b.sub(f, tail);
    b.fma(k, high, rest)
}

/// The special values of a logarithm: -∞ at `x == edge`, NaN below, ∞ at ∞.
fn borders(b: &mut KernelBuilder, x: Val, edge: f64, result: Val) -> Val {
    let ty = b.ty(x);
    let inf = infinity(b, x);
    let minus_inf = b.unary(Unary::Neg, inf);
    let nan = b.float(ty, f64::NAN);
    let edge = b.float(ty, edge);
    let infinite = b.compare(Compare::Eq, x, inf);
    let result = b.select(infinite, inf, result);
    let at_edge = b.compare(Compare::Eq, x, edge);
    let outside = b.select(at_edge, minus_inf, nan);
    let inside = b.compare(Compare::Gt, x, edge);
    b.select(inside, result, outside)
}

/// The natural logarithm.
pub fn log(b: &mut KernelBuilder, x: Val) -> Val {
    let result = log_of_positive(b, x, None);
    borders(b, x, 0.0, result)
}

/// `log(1 + x)`, exact near 0.
pub fn log1p(b: &mut KernelBuilder, x: Val) -> Val {
    let ty = float_type(b, x);
    let one = b.float(ty, 1.0);
    let u = b.add(x, one);
    // The rounding error of the addition, relative to the larger summand.
    let large = b.compare(Compare::Gt, x, one);
    let from_x = {
        let d = b.sub(u, x);
        b.sub(one, d)
    };
    let from_one = {
        let d = b.sub(u, one);
        b.sub(x, d)
    };
    let lost = b.select(large, from_x, from_one);
    let lost = b.div(lost, u);
    let result = log_of_positive(b, u, Some(lost));
    let result = borders(b, x, -1.0, result);
    tiny_is_itself(b, x, result)
}
