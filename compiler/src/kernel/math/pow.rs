//! Powers.

use super::super::build::KernelBuilder;
use super::super::ir::{Binary, Compare, Elem, Unary, Val};
use super::exp::{exp_with, infinity};
use super::log::split;
use super::{float_type, polynomial};

/// `(atanh(s) / s - 1 - s²/3) / s⁴` as a polynomial in `s²`: error 6.5e-21.
const ATANH: [f64; 9] = [
    0.2,
    0.14285714285714282,
    0.11111111111114261,
    0.09090909089814954,
    0.07692307882551287,
    0.06666648112914104,
    0.0588341322840729,
    0.05228014374515477,
    0.05382563443384613,
];
/// 1/3 and `ln 2`, each as a sum of two doubles.
const THIRD: (f64, f64) = (0.3333333333333333, 1.850371707708594e-17);
const LN2: (f64, f64) = (std::f64::consts::LN_2, 2.3190468138462996e-17);

/// A double-double number: the second part is at most half a unit in the last place of the first.
#[derive(Clone, Copy)]
struct Double(Val, Val);

/// `x + y` exactly, if `abs(x) >= abs(y)`.
fn quick_sum(b: &mut KernelBuilder, x: Val, y: Val) -> Double {
    let sum = b.add(x, y);
    let back = b.sub(sum, x);
    let rest = b.sub(y, back);
    Double(sum, rest)
}

/// `x + y` exactly.
fn sum(b: &mut KernelBuilder, x: Val, y: Val) -> Double {
    let sum = b.add(x, y);
    let back = b.sub(sum, x);
    let first = b.sub(sum, back);
    let first = b.sub(x, first);
    let second = b.sub(y, back);
    let rest = b.add(first, second);
    Double(sum, rest)
}

/// `x * y` exactly.
fn product(b: &mut KernelBuilder, x: Val, y: Val) -> Double {
    let p = b.mul(x, y);
    let minus = b.unary(Unary::Neg, p);
    let rest = b.fma(x, y, minus);
    Double(p, rest)
}

fn multiply(b: &mut KernelBuilder, x: Double, y: Double) -> Double {
    let p = product(b, x.0, y.0);
    let cross = b.mul(x.0, y.1);
    let cross = b.fma(x.1, y.0, cross);
    let tail = b.add(p.1, cross);
    quick_sum(b, p.0, tail)
}

fn add(b: &mut KernelBuilder, x: Double, y: Double) -> Double {
    let s = sum(b, x.0, y.0);
    let tail = b.add(x.1, y.1);
    let tail = b.add(s.1, tail);
    quick_sum(b, s.0, tail)
}

/// The logarithm of a positive finite f64, with a relative error of about 2^-65.
fn precise_log(b: &mut KernelBuilder, x: Val) -> Double {
    let ty = b.ty(x);
    let (k, m) = split(b, x);
    let one = b.float(ty, 1.0);
    let f = b.sub(m, one);
    let d = sum(b, m, one);
    // s = f / (m + 1) in two parts.
    let s0 = b.div(f, d.0);
    let minus = b.unary(Unary::Neg, s0);
    let rest = b.fma(minus, d.0, f);
    let rest = b.fma(minus, d.1, rest);
    let s1 = b.div(rest, d.0);
    let s = quick_sum(b, s0, s1);
    let z = multiply(b, s, s);
    let third = Double(b.float(ty, THIRD.0), b.float(ty, THIRD.1));
    let main = multiply(b, z, third);
    let q = polynomial(b, z.0, &ATANH);
    let square = b.mul(z.0, z.0);
    let small = b.mul(square, q);
    let zero = b.float(ty, 0.0);
    let w = add(b, main, Double(small, zero));
    // log m = 2s (1 + w)
    let sw = multiply(b, s, w);
    let log = add(b, s, sw);
    let two = b.float(ty, 2.0);
    let log = Double(b.mul(log.0, two), b.mul(log.1, two));
    let ln2 = Double(b.float(ty, LN2.0), b.float(ty, LN2.1));
    let shift = {
        let p = product(b, k, ln2.0);
        let tail = b.fma(k, ln2.1, p.1);
        Double(p.0, tail)
    };
    add(b, shift, log)
}

/// `x^y`, with C99's special values: `x^0 = 1`, `1^y = 1`, negative numbers have integral powers only.
pub fn pow(b: &mut KernelBuilder, x: Val, y: Val) -> Val {
    let ty = float_type(b, x);
    if ty.elem == Elem::F32 {
        // In f64 the plain logarithm would suffice; this one shares its code and is rounded once.
        let (x, y) = (b.convert(x, Elem::F64), b.convert(y, Elem::F64));
        let result = pow(b, x, y);
        return b.convert(result, Elem::F32);
    }
    let (zero, one, half) = (b.float(ty, 0.0), b.float(ty, 1.0), b.float(ty, 0.5));
    let inf = infinity(b, x);
    let size = b.unary(Unary::Abs, x);
    let log = precise_log(b, size);
    // y log |x| in two parts; the second is dropped if the first overflows.
    let p = b.mul(y, log.0);
    let minus = b.unary(Unary::Neg, p);
    let rest = b.fma(y, log.0, minus);
    let rest = b.fma(y, log.1, rest);
    let reach = b.unary(Unary::Abs, p);
    let limit = b.float(ty, 800.0);
    let sensible = b.compare(Compare::Lt, reach, limit);
    let rest = b.select(sensible, rest, zero);
    let magnitude = exp_with(b, p, Some(rest));
    // 0 and ∞ have no logarithm: their powers are 0 or ∞ by the sign of y.
    let y_positive = b.compare(Compare::Gt, y, zero);
    let is_zero = b.compare(Compare::Eq, size, zero);
    let is_inf = b.compare(Compare::Eq, size, inf);
    let of_zero = b.select(y_positive, zero, inf);
    let of_inf = b.select(y_positive, inf, zero);
    let magnitude = b.select(is_zero, of_zero, magnitude);
    let magnitude = b.select(is_inf, of_inf, magnitude);
    // ±1 to any power, infinite ones included; anything to the power 0.
    let unit = b.compare(Compare::Eq, size, one);
    let magnitude = b.select(unit, one, magnitude);
    let whole = b.unary(Unary::Trunc, y);
    let integral = b.compare(Compare::Eq, whole, y);
    let halved = b.mul(y, half);
    let whole = b.unary(Unary::Trunc, halved);
    let fraction = b.compare(Compare::Ne, whole, halved);
    let odd = b.binary(Binary::And, integral, fraction);
    let raw = b.bitcast(x, Elem::I64);
    let no_bits = b.int(ty.with_elem(Elem::I64), 0);
    let signed = b.compare(Compare::Lt, raw, no_bits);
    let flips = b.binary(Binary::And, odd, signed);
    let negated = b.unary(Unary::Neg, magnitude);
    let result = b.select(flips, negated, magnitude);
    // NaN: a negative finite base with a fractional exponent, or a NaN operand.
    let nan = b.float(ty, f64::NAN);
    let negative = b.compare(Compare::Lt, x, zero);
    let minus_inf = b.unary(Unary::Neg, inf);
    let finite = b.compare(Compare::Ne, x, minus_inf);
    let broken = b.unary(Unary::Not, integral);
    let invalid = b.binary(Binary::And, negative, finite);
    let invalid = b.binary(Binary::And, invalid, broken);
    let x_nan = b.compare(Compare::Ne, x, x);
    let y_nan = b.compare(Compare::Ne, y, y);
    let any_nan = b.binary(Binary::Or, x_nan, y_nan);
    let invalid = b.binary(Binary::Or, invalid, any_nan);
    let result = b.select(invalid, nan, result);
    let y_zero = b.compare(Compare::Eq, y, zero);
    let x_one = b.compare(Compare::Eq, x, one);
    let certain = b.binary(Binary::Or, y_zero, x_one);
    b.select(certain, one, result)
}
