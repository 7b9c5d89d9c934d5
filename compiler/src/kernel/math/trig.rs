//! Sine and cosine, for every argument.

use dlc_ir::DType;

use super::super::build::KernelBuilder;
use super::super::ir::{Binary, Compare, Elem, Unary, Val};
use super::exp::tiny_is_itself;
use super::{float_type, int_elem, polynomial};

/// `(sin x - x) / x³` and `(cos x - 1 + x²/2) / x⁴` as polynomials in `x²`, for `abs(x)` up to 0.79: errors 3e-11 and
/// 2.5e-12, or 1.3e-20 and 7.4e-22.
const SIN_F32: [f64; 4] = [-0.1666666666362283, 0.008333331785217696, -0.00019840038872556747, 2.724378140946123e-06];
const SIN_F64: [f64; 7] = [
    -0.16666666666666666,
    0.008333333333333331,
    -0.00019841269841264567,
    2.7557319218954762e-06,
    -2.505210610025599e-08,
    1.6058510875319195e-10,
    -7.585486485235938e-13,
];
const COS_F32: [f64; 4] = [0.04166666666412721, -0.001388888759732781, 2.4800560429914505e-05, -2.7295830827614617e-07];
const COS_F64: [f64; 7] = [
    0.041666666666666664,
    -0.0013888888888888887,
    2.4801587301584367e-05,
    -2.75573192211891e-07,
    2.0876755717584403e-09,
    -1.1470449354466773e-11,
    4.745198807202876e-14,
];

/// π/2 in three parts.
const HALF_PI_F32: [f64; 3] = [1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15];
const HALF_PI_F64: [f64; 3] = [std::f64::consts::FRAC_PI_2, 6.123233995736766e-17, -1.4973849048591698e-33];

/// The first 1296 binary digits of 2/π.
const TWO_OVER_PI: &str = concat!(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424dd2e006492eea09d1921c",
    "fe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639835339f49c845f8bbdf9283b1ff897ffde05980f",
    "ef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d08",
    "56033046fc7b6babf0cfbc209af4361da9e3",
);

/// Leading zeros before the digits, so that small exponents find a window too.
const PAD: i64 = 64;

/// For each byte of the padded digits, the 64 digits from there on.
fn windows() -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).expect("hexadecimal digits") as u8;
    let digits = TWO_OVER_PI.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1]));
    let bytes: Vec<u8> = std::iter::repeat_n(0, (PAD / 8) as usize).chain(digits).collect();
    let window = |w: &[u8]| i64::from_be_bytes(w.try_into().expect("windows have 8 bytes"));
    bytes.windows(8).flat_map(|w| window(w).to_ne_bytes()).collect()
}

/// An argument modulo π/2: a float of at most about π/4, and the multiple modulo 4 in the low bits of an integer.
#[derive(Clone, Copy)]
struct Reduced {
    rest: Val,
    quarter: Val,
}

/// The low bits of a small integral float.
fn low_bits(b: &mut KernelBuilder, n: Val) -> Val {
    let ty = b.ty(n);
    let magic = if ty.elem == Elem::F32 { 1.5 * 2f64.powi(23) } else { 1.5 * 2f64.powi(52) };
    let magic = b.float(ty, magic);
    let sum = b.add(n, magic);
    b.bitcast(sum, int_elem(ty.elem))
}

/// Cody and Waite's method with `fma`, for arguments up to 2^15 (f32) or 2^20 (f64).
fn reduce_small(b: &mut KernelBuilder, x: Val) -> Reduced {
    let ty = b.ty(x);
    let per = b.float(ty, std::f64::consts::FRAC_2_PI);
    let n = b.mul(x, per);
    let n = b.unary(Unary::Nearest, n);
    let parts = if ty.elem == Elem::F32 { HALF_PI_F32 } else { HALF_PI_F64 };
    let mut rest = x;
    for part in parts {
        let part = b.float(ty, -part);
        rest = b.fma(n, part, rest);
    }
    let quarter = low_bits(b, n);
    Reduced { rest, quarter }
}

/// `x + y` exactly, in two parts.
fn sum(b: &mut KernelBuilder, x: Val, y: Val) -> (Val, Val) {
    let sum = b.add(x, y);
    let back = b.sub(sum, x);
    let first = b.sub(sum, back);
    let first = b.sub(x, first);
    let second = b.sub(y, back);
    (sum, b.add(first, second))
}

/// `x` minus the nearest integer, and that integer.
fn fraction(b: &mut KernelBuilder, x: Val) -> (Val, Val) {
    let n = b.unary(Unary::Nearest, x);
    (b.sub(x, n), n)
}

/// Payne and Hanek's method for f64: `x = m 2^e` times the relevant 192 digits of 2/π. Digits of weight 4 and more contribute
/// multiples of four quarters and are omitted.
fn reduce_large(b: &mut KernelBuilder, x: Val) -> Reduced {
    let ty = b.ty(x);
    let int = ty.with_elem(Elem::I64);
    let table = b.table(DType::I64, &windows());
    let raw = b.bitcast(x, Elem::I64);
    let count = b.int(int, 52);
    let exponent = b.binary(Binary::ShrU, raw, count);
    let mask = b.int(int, 0x7ff);
    let exponent = b.binary(Binary::And, exponent, mask);
    // x = m 2^(exponent - 1075), and the digits count from 1: the first relevant one, of weight 2, is number exponent - 1076.
    let shift = b.int(int, PAD - 1 - 1076);
    let position = b.add(exponent, shift);
    let zero = b.int(int, 0);
    let small = b.compare(Compare::Lt, position, zero);
    let position = b.select(small, zero, position);
    let seven = b.int(int, 7);
    let three = b.int(int, 3);
    let byte = b.binary(Binary::ShrU, position, three);
    let bit = b.binary(Binary::And, position, seven);
    // The fraction with the exponent of 2^52 is the integer m.
    let fraction_mask = b.int(int, (1 << 52) - 1);
    let unit_bits = b.int(int, 2f64.powi(52).to_bits() as i64);
    let m = b.binary(Binary::And, raw, fraction_mask);
    let m = b.binary(Binary::Or, m, unit_bits);
    let m = b.bitcast(m, Elem::F64);
    let unit = b.float(ty, 2f64.powi(52));
    // Four windows of 48 digits; shifting by 0..=7 one bit at a time, since counts differ from lane to lane.
    let mut products = Vec::new();
    for k in 0..4 {
        let step = b.int(int, 6 * k);
        let index = b.add(byte, step);
        let mut digits = b.gather(table, index);
        for (amount, weight) in [(1, 1), (2, 2), (4, 4)] {
            let weight = b.int(int, weight);
            let set = b.binary(Binary::And, bit, weight);
            let set = b.compare(Compare::Ne, set, zero);
            let amount = b.int(int, amount);
            let shifted = b.binary(Binary::Shl, digits, amount);
            digits = b.select(set, shifted, digits);
        }
        let sixteen = b.int(int, 16);
        let digits = b.binary(Binary::ShrU, digits, sixteen);
        let digits = b.binary(Binary::Or, digits, unit_bits);
        let digits = b.bitcast(digits, Elem::F64);
        let digits = b.sub(digits, unit);
        let scale = b.float(ty, 2f64.powi(-46 - 48 * k as i32));
        let digits = b.mul(digits, scale);
        let high = b.mul(m, digits);
        let minus = b.unary(Unary::Neg, high);
        let low = b.fma(m, digits, minus);
        products.push((high, low));
    }
    // The first product reaches 2^55; subtract multiples of 4.
    let four = b.float(ty, 4.0);
    let quarter = b.float(ty, 0.25);
    let multiple = b.mul(products[0].0, quarter);
    let multiple = b.unary(Unary::Floor, multiple);
    let minus_four = b.unary(Unary::Neg, four);
    let first = b.fma(multiple, minus_four, products[0].0);
    let (f0, n0) = fraction(b, first);
    let (f1, n1) = fraction(b, products[0].1);
    let (f2, n2) = fraction(b, products[1].0);
    let (s, t0) = sum(b, f0, f1);
    let (s, t1) = sum(b, s, f2);
    let (s, n3) = fraction(b, s);
    let n = b.add(n0, n1);
    let n = b.add(n, n2);
    let n = b.add(n, n3);
    let (low, u0) = sum(b, products[1].1, products[2].0);
    let (low, u1) = sum(b, low, t0);
    let (low, u2) = sum(b, low, t1);
    let tail = b.add(u0, u1);
    let tail = b.add(tail, u2);
    let tail = b.add(tail, products[2].1);
    let tail = b.add(tail, products[3].0);
    let (high, low) = sum(b, s, low);
    let low = b.add(low, tail);
    // Times π/2.
    let [p, q, _] = HALF_PI_F64.map(|part| b.float(ty, part));
    let cross = b.mul(low, p);
    let cross = b.fma(high, q, cross);
    let rest = b.fma(high, p, cross);
    // The sign: so far the argument was |x|.
    let negative = b.float(ty, 0.0);
    let negative = b.compare(Compare::Lt, x, negative);
    let flipped = b.unary(Unary::Neg, rest);
    let rest = b.select(negative, flipped, rest);
    let minus_n = b.unary(Unary::Neg, n);
    let n = b.select(negative, minus_n, n);
    let quarter = low_bits(b, n);
    Reduced { rest, quarter }
}

fn reduce(b: &mut KernelBuilder, x: Val) -> Reduced {
    let ty = float_type(b, x);
    let f32 = ty.elem == Elem::F32;
    let fast = reduce_small(b, x);
    let size = b.unary(Unary::Abs, x);
    let limit = b.float(ty, if f32 { 2f64.powi(15) } else { 2f64.powi(20) });
    let large = b.compare(Compare::Gt, size, limit);
    let any = b.any(large);
    let both = b.branch(
        any,
        |b| {
            let wide = b.convert(x, Elem::F64);
            let slow = reduce_large(b, wide);
            let rest = b.convert(slow.rest, ty.elem);
            let quarter = b.convert(slow.quarter, int_elem(ty.elem));
            vec![b.select(large, rest, fast.rest), b.select(large, quarter, fast.quarter)]
        },
        |_| vec![fast.rest, fast.quarter],
    );
    // Infinity minus infinity is NaN; everything else minus itself is 0.
    let nothing = b.sub(x, x);
    let rest = b.add(both[0], nothing);
    Reduced { rest, quarter: both[1] }
}

/// `sin(r + (quarter + ahead) π/2)`.
fn wave(b: &mut KernelBuilder, reduced: Reduced, ahead: i64) -> Val {
    let r = reduced.rest;
    let ty = b.ty(r);
    let int = ty.with_elem(int_elem(ty.elem));
    let f32 = ty.elem == Elem::F32;
    let z = b.mul(r, r);
    let sine = {
        let p = polynomial(b, z, if f32 { &SIN_F32 } else { &SIN_F64 });
        let cube = b.mul(z, r);
        b.fma(cube, p, r)
    };
    let cosine = {
        let p = polynomial(b, z, if f32 { &COS_F32 } else { &COS_F64 });
        let (half, one) = (b.float(ty, 0.5), b.float(ty, 1.0));
        let h = b.mul(z, half);
        // 1 - h rounds; add the rounding error to the small term.
        let w = b.sub(one, h);
        let lost = b.sub(one, w);
        let lost = b.sub(lost, h);
        let square = b.mul(z, z);
        let rest = b.fma(square, p, lost);
        b.add(w, rest)
    };
    let ahead = b.int(int, ahead);
    let quarter = b.add(reduced.quarter, ahead);
    let one = b.int(int, 1);
    let zero = b.int(int, 0);
    let odd = b.binary(Binary::And, quarter, one);
    let odd = b.compare(Compare::Ne, odd, zero);
    let value = b.select(odd, cosine, sine);
    let two = b.int(int, 2);
    let sign = b.binary(Binary::And, quarter, two);
    let to_top = b.int(int, i64::from(ty.elem.bits()) - 2);
    let sign = b.binary(Binary::Shl, sign, to_top);
    let raw = b.bitcast(value, int.elem);
    let raw = b.binary(Binary::Xor, raw, sign);
    b.bitcast(raw, ty.elem)
}

/// The sine.
pub fn sin(b: &mut KernelBuilder, x: Val) -> Val {
    let reduced = reduce(b, x);
    let result = wave(b, reduced, 0);
    tiny_is_itself(b, x, result)
}

/// The cosine.
pub fn cos(b: &mut KernelBuilder, x: Val) -> Val {
    let reduced = reduce(b, x);
    wave(b, reduced, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_with_zeros_and_then_the_digits() {
        let table = windows();
        let at = |i: usize| i64::from_ne_bytes(table[8 * i..][..8].try_into().expect("8 bytes"));
        assert_eq!(at(0), 0);
        assert_eq!(at(8) as u64, 0xa2f9836e4e441529);
        // The largest exponent needs the last window.
        let last = (2046 + PAD - 1077) / 8 + 18;
        assert!((last as usize) < table.len() / 8, "{last} of {}", table.len() / 8);
    }
}
