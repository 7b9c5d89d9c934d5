//! Scalar functions in kernels: one arm per row of the table of scalar functions.

use dlc_ir::{DType, Direction, ScalarOp};

use crate::kernel::{Binary, Compare, Elem, KernelBuilder, Unary, Val, math};

/// Whether a value replaces the best so far: it compares so, or is the first NaN.
pub(crate) fn beats(b: &mut KernelBuilder, op: Compare, value: Val, best: Val) -> Val {
    let beats = b.compare(op, value, best);
    if !b.ty(value).elem.is_float() {
        return beats;
    }
    let nan = b.compare(Compare::Ne, value, value);
    let sane = b.compare(Compare::Eq, best, best);
    let first_nan = b.binary(Binary::And, nan, sane);
    b.binary(Binary::Or, beats, first_nan)
}

/// Applies a scalar function to operands of a dtype (for `select`, to branches of it). Scalars are broadcast.
pub(crate) fn apply(b: &mut KernelBuilder, f: ScalarOp, dtype: DType, args: &[Val]) -> Val {
    let wrapped = |b: &mut KernelBuilder, x: Val| wrap(b, dtype, x);
    let float = dtype.is_float();
    match f {
        ScalarOp::Abs if dtype == DType::U8 => args[0],
        ScalarOp::Abs => b.unary(Unary::Abs, args[0]),
        ScalarOp::Neg => {
            let negative = b.unary(Unary::Neg, args[0]);
            wrapped(b, negative)
        }
        ScalarOp::Sign if float => {
            // Zeros and NaN are their own sign.
            let (zero, one, minus) = (number(b, args[0], 0.0), number(b, args[0], 1.0), number(b, args[0], -1.0));
            let above = b.compare(Compare::Gt, args[0], zero);
            let below = b.compare(Compare::Lt, args[0], zero);
            let rest = b.select(below, minus, args[0]);
            b.select(above, one, rest)
        }
        ScalarOp::Sign => {
            let (one, minus) = (number(b, args[0], 1.0), number(b, args[0], -1.0));
            let capped = b.binary(Binary::Min, args[0], one);
            b.binary(Binary::Max, capped, minus)
        }
        ScalarOp::Relu if float => {
            let zero = number(b, args[0], 0.0);
            let below = b.compare(Compare::Le, args[0], zero);
            b.select(below, zero, args[0])
        }
        ScalarOp::Relu => {
            let zero = number(b, args[0], 0.0);
            b.binary(Binary::Max, args[0], zero)
        }
        ScalarOp::Exp => math::exp(b, args[0]),
        ScalarOp::Expm1 => math::expm1(b, args[0]),
        ScalarOp::Log => math::log(b, args[0]),
        ScalarOp::Log1p => math::log1p(b, args[0]),
        ScalarOp::Tanh => math::tanh(b, args[0]),
        ScalarOp::Sigmoid => math::sigmoid(b, args[0]),
        ScalarOp::Erf => math::erf(b, args[0]),
        ScalarOp::Sin => math::sin(b, args[0]),
        ScalarOp::Cos => math::cos(b, args[0]),
        ScalarOp::Pow => math::pow(b, args[0], args[1]),
        ScalarOp::Sqrt => b.unary(Unary::Sqrt, args[0]),
        ScalarOp::Rsqrt => {
            let (one, root) = (number(b, args[0], 1.0), b.unary(Unary::Sqrt, args[0]));
            b.div(one, root)
        }
        ScalarOp::Floor => b.unary(Unary::Floor, args[0]),
        ScalarOp::Ceil => b.unary(Unary::Ceil, args[0]),
        ScalarOp::Round => b.unary(Unary::Nearest, args[0]),
        ScalarOp::Not => {
            let other = b.unary(Unary::Not, args[0]);
            wrapped(b, other)
        }
        ScalarOp::StopGradient => args[0],
        ScalarOp::Convert(to) => convert(b, args[0], to),
        ScalarOp::Add => arithmetic(b, dtype, Binary::Add, args),
        ScalarOp::Sub => arithmetic(b, dtype, Binary::Sub, args),
        ScalarOp::Mul => arithmetic(b, dtype, Binary::Mul, args),
        ScalarOp::Div => b.div(args[0], args[1]),
        ScalarOp::Rem if float => remainder(b, args[0], args[1]),
        ScalarOp::Rem => b.binary(Binary::Rem, args[0], args[1]),
        ScalarOp::Max => b.binary(Binary::Max, args[0], args[1]),
        ScalarOp::Min => b.binary(Binary::Min, args[0], args[1]),
        ScalarOp::And => b.binary(Binary::And, args[0], args[1]),
        ScalarOp::Or => b.binary(Binary::Or, args[0], args[1]),
        ScalarOp::Xor => b.binary(Binary::Xor, args[0], args[1]),
        ScalarOp::ShiftLeft => shift(b, dtype, Binary::Shl, args),
        ScalarOp::ShiftRight => shift(b, dtype, Binary::ShrU, args),
        ScalarOp::Compare(direction) => compare(b, direction, dtype, args),
        ScalarOp::Select => b.select(args[0], args[1], args[2]),
    }
}

/// The number in the type of `like`.
fn number(b: &mut KernelBuilder, like: Val, x: f64) -> Val {
    let ty = b.ty(like);
    b.float(ty, x)
}

fn arithmetic(b: &mut KernelBuilder, dtype: DType, op: Binary, args: &[Val]) -> Val {
    let value = b.binary(op, args[0], args[1]);
    wrap(b, dtype, value)
}

/// Truncates what is computed in 32 bits to `u8`.
pub(crate) fn wrap(b: &mut KernelBuilder, dtype: DType, x: Val) -> Val {
    if dtype != DType::U8 {
        return x;
    }
    let ty = b.ty(x);
    let low = b.int(ty, 255);
    b.binary(Binary::And, x, low)
}

/// Conversion to a dtype. Floats saturate to the range of `u8`; integers wrap to it.
pub(crate) fn convert(b: &mut KernelBuilder, x: Val, to: DType) -> Val {
    let from = b.ty(x).elem;
    let value = b.convert(x, Elem::of(to));
    if to != DType::U8 {
        return value;
    }
    if from.is_float() {
        let ty = b.ty(value);
        let (low, high) = (b.int(ty, 0), b.int(ty, 255));
        let value = b.binary(Binary::Max, value, low);
        return b.binary(Binary::Min, value, high);
    }
    wrap(b, to, value)
}

/// A shift; 0 if the distance is negative or at least the width.
fn shift(b: &mut KernelBuilder, dtype: DType, op: Binary, args: &[Val]) -> Val {
    let moved = b.binary(op, args[0], args[1]);
    let moved = wrap(b, dtype, moved);
    let (ty, by) = (b.ty(args[0]), b.ty(args[1]));
    let (first, end) = (b.int(by, 0), b.int(by, 8 * dtype.size() as i64));
    let from = b.compare(Compare::Ge, args[1], first);
    let below = b.compare(Compare::Lt, args[1], end);
    let inside = b.and(from, below);
    let zero = b.int(ty, 0);
    b.select(inside, moved, zero)
}

fn compare(b: &mut KernelBuilder, direction: Direction, dtype: DType, args: &[Val]) -> Val {
    let op = match direction {
        Direction::Eq => Compare::Eq,
        Direction::Ne => Compare::Ne,
        Direction::Lt => Compare::Lt,
        Direction::Le => Compare::Le,
        Direction::Gt => Compare::Gt,
        Direction::Ge => Compare::Ge,
    };
    if dtype != DType::Bool {
        return b.compare(op, args[0], args[1]);
    }
    let (x, y) = (b.convert(args[0], Elem::I32), b.convert(args[1], Elem::I32));
    b.compare(op, x, y)
}

/// The exact remainder of floats, with the sign of the dividend, as C's `fmod`: long division, one digit in base 2^k an iteration.
fn remainder(b: &mut KernelBuilder, x: Val, y: Val) -> Val {
    let lanes = b.ty(x).lanes.max(b.ty(y).lanes);
    let (x, y) = (b.splat(x, lanes), b.splat(y, lanes));
    let ty = b.ty(x);
    let single = ty.elem == Elem::F32;
    // f32 divides in f64, whose quotients have 29 more digits than the operands.
    let (x0, y0) = if single { (b.convert(x, Elem::F64), b.convert(y, Elem::F64)) } else { (x, y) };
    let wide = b.ty(x0);
    let (size, by) = (b.unary(Unary::Abs, x0), b.unary(Unary::Abs, y0));
    // The powers of two that scale the divisor, largest first, so that every quotient is below 2^26 and its product exact.
    let (highest, digit) = if single { (276, 23) } else { (2100, 25) };
    let mut rest = size;
    let mut shift = highest / digit * digit;
    loop {
        rest = subtract_multiple(b, rest, by, shift);
        if shift == 0 {
            break;
        }
        shift -= digit;
    }
    let minus = b.unary(Unary::Neg, rest);
    let zero = b.float(wide, 0.0);
    let below = b.compare(Compare::Lt, x0, zero);
    let signed = b.select(below, minus, rest);
    // -0 is not below 0.
    let none = b.compare(Compare::Eq, x0, zero);
    let signed = b.select(none, x0, signed);
    // A zero keeps the dividend's sign; by 0, of infinity and with NaN the result is NaN.
    let infinity = b.float(wide, f64::INFINITY);
    let large = b.compare(Compare::Eq, by, infinity);
    let finite = b.compare(Compare::Lt, size, infinity);
    let whole = b.binary(Binary::And, large, finite);
    let signed = b.select(whole, x0, signed);
    let nothing = b.compare(Compare::Eq, by, zero);
    let infinite = b.compare(Compare::Eq, size, infinity);
    let undefined = b.binary(Binary::Or, nothing, infinite);
    let unknown = b.compare(Compare::Ne, by, by);
    let undefined = b.binary(Binary::Or, undefined, unknown);
    let nan = b.float(wide, f64::NAN);
    let result = b.select(undefined, nan, signed);
    if single { b.convert(result, Elem::F32) } else { result }
}

/// `rest` minus the largest multiple of `by * 2^shift` in it, where that is finite.
fn subtract_multiple(b: &mut KernelBuilder, rest: Val, by: Val, shift: i32) -> Val {
    let ty = b.ty(rest);
    let mut scaled = by;
    let mut left = shift;
    while left > 0 {
        let step = left.min(1000);
        let factor = b.float(ty, f64::from_bits((1023 + step as u64) << 52));
        scaled = b.mul(scaled, factor);
        left -= step;
    }
    let infinity = b.float(ty, f64::INFINITY);
    let finite = b.compare(Compare::Lt, scaled, infinity);
    let quotient = b.div(rest, scaled);
    let whole = b.unary(Unary::Floor, quotient);
    let minus = b.unary(Unary::Neg, whole);
    let difference = b.fma(minus, scaled, rest);
    // Correct a quotient that was rounded up to the next integer.
    let zero = b.float(ty, 0.0);
    let negative = b.compare(Compare::Lt, difference, zero);
    let repaired = b.add(difference, scaled);
    let difference = b.select(negative, repaired, difference);
    b.select(finite, difference, rest)
}
