//! The radii of scalar functions.

use crate::{DType, Direction, Scalar, ScalarOp, Tensor};

use super::{Bounded, is_choice, rounding};

const NONE: f64 = f64::INFINITY;
/// Every integer below this is exact in f32, and so in every wider dtype.
const EXACT_INTEGERS: f64 = (1u32 << f32::MANTISSA_DIGITS) as f64;

/// An element with its radius.
#[derive(Clone, Copy)]
struct Ball {
    x: Scalar,
    r: f64,
}

impl Ball {
    fn at(self) -> f64 {
        self.x.as_f64()
    }

    /// The smallest and the largest value.
    fn ends(self) -> [f64; 2] {
        [self.at() - self.r, self.at() + self.r]
    }

    fn holds(self, x: f64) -> bool {
        (self.at() - x).abs() <= self.r
    }
}

/// The radius of every element of a scalar function's result.
pub(super) fn map(f: ScalarOp, args: &[Bounded], value: &Tensor) -> Vec<f64> {
    let dtype = args[args.len() - 1].dtype();
    let element = |i: usize| {
        let balls: Vec<Ball> = args.iter().map(|a| Ball { x: a.value.get(i), r: a.radius[i] }).collect();
        let exact = balls.iter().all(|b| b.r == 0.0);
        if let ScalarOp::Select = f {
            return select(&balls, value.get(i));
        }
        let (r, result) = if dtype.is_float() {
            (float(f, &balls, value.get(i), exact), value.dtype())
        } else {
            (integer(f, &balls, exact), value.dtype())
        };
        if is_choice(f) || !result.is_float() || r == NONE {
            return r;
        }
        r + own(f, dtype, result, value.get(i).as_f64().abs() + r)
    };
    (0..value.len()).map(element).collect()
}

/// The rounding error of the function itself.
fn own(f: ScalarOp, from: DType, to: DType, magnitude: f64) -> f64 {
    match f {
        ScalarOp::Convert(_) if from == to || from == DType::Bool || from == DType::U8 => 0.0,
        ScalarOp::Convert(_) if from == DType::F32 => 0.0,
        ScalarOp::Convert(_) if !from.is_float() && magnitude < EXACT_INTEGERS => 0.0,
        ScalarOp::Sign | ScalarOp::Floor | ScalarOp::Ceil | ScalarOp::Round => 0.0,
        _ if magnitude == 0.0 => 0.0,
        _ => rounding(f.def().ulps.max(0.5), magnitude, to),
    }
}

/// Covers both branches where rounding may decide the condition.
fn select(balls: &[Ball], value: Scalar) -> f64 {
    let [condition, on_true, on_false] = balls else { unreachable!("select has three operands") };
    let chosen = if condition.x.as_bool() { on_true } else { on_false };
    if condition.r == 0.0 {
        return chosen.r;
    }
    match value {
        Scalar::Float(x) => balls[1..].iter().map(|b| (b.at() - x).abs() + b.r).fold(0.0, f64::max),
        x if on_true.x == x && on_false.x == x => on_true.r.max(on_false.r),
        _ => NONE,
    }
}

fn integer(f: ScalarOp, balls: &[Ball], exact: bool) -> f64 {
    let decided = |b: &Ball, x: bool| b.r == 0.0 && b.x == Scalar::Bool(x);
    match f {
        _ if exact => 0.0,
        ScalarOp::And if balls.iter().any(|b| decided(b, false)) => 0.0,
        ScalarOp::Or if balls.iter().any(|b| decided(b, true)) => 0.0,
        // booleans as numbers
        ScalarOp::Convert(to) if to.is_float() && matches!(balls[0].x, Scalar::Bool(_)) => 1.0,
        _ => NONE,
    }
}

fn float(f: ScalarOp, balls: &[Ball], value: Scalar, exact: bool) -> f64 {
    use ScalarOp as F;
    let x = balls[0];
    let y = balls[balls.len() - 1];
    let at = |args: &[f64]| {
        let args: Vec<Scalar> = args.iter().map(|&x| Scalar::Float(x)).collect();
        f.eval(DType::F64, &args).as_f64()
    };
    let v = value.as_f64();
    let ends = |low: f64, high: f64| (at(&[low]) - v).abs().max((at(&[high]) - v).abs());
    if exact {
        return 0.0;
    }
    if balls.iter().any(|b| b.r == NONE || !b.at().is_finite())
        && !matches!(f, F::Sin | F::Cos | F::Tanh | F::Sigmoid | F::Erf)
    {
        return NONE;
    }
    let [low, high] = x.ends();
    match f {
        F::Abs | F::Neg | F::Relu | F::StopGradient => x.r,
        F::Max | F::Min => x.r.max(y.r),
        F::Add | F::Sub => x.r + y.r,
        F::Mul => x.r * (y.at().abs() + y.r) + x.at().abs() * y.r,
        F::Div if y.holds(0.0) => NONE,
        F::Div => (x.r + v.abs() * y.r) / (y.at().abs() - y.r),
        F::Sin | F::Cos => x.r.min(2.0),
        F::Tanh | F::Erf if x.r == NONE => 2.0,
        F::Sigmoid if x.r == NONE => 1.0,
        F::Exp | F::Expm1 | F::Tanh | F::Sigmoid | F::Erf => ends(low, high),
        F::Log if low <= 0.0 => NONE,
        F::Log1p if low <= -1.0 => NONE,
        F::Sqrt if low < 0.0 => NONE,
        F::Rsqrt if low <= 0.0 => NONE,
        F::Log | F::Log1p | F::Sqrt | F::Rsqrt => ends(low, high),
        F::Sign => {
            if x.holds(0.0) {
                NONE
            } else {
                0.0
            }
        }
        F::Floor | F::Ceil | F::Round => {
            if at(&[low]) == at(&[high]) {
                0.0
            } else {
                NONE
            }
        }
        F::Convert(to) if to.is_float() => x.r,
        F::Convert(DType::Bool) => {
            if x.holds(0.0) {
                NONE
            } else {
                0.0
            }
        }
        F::Convert(to) => {
            let [low, high] = x.ends().map(|x| Scalar::Float(x).convert(to));
            if low == high { 0.0 } else { NONE }
        }
        F::Compare(direction) => {
            if decided(direction, x, y) {
                0.0
            } else {
                NONE
            }
        }
        F::Pow if low <= 0.0 => NONE,
        F::Pow => {
            let corners = [[low, y.ends()[0]], [low, y.ends()[1]], [high, y.ends()[0]], [high, y.ends()[1]]];
            corners.iter().map(|c| (at(c) - v).abs()).fold(0.0, f64::max)
        }
        F::Rem if y.holds(0.0) => NONE,
        F::Rem => {
            let bound = (x.r + (x.at() / y.at()).abs() * y.r) / (y.at().abs() - y.r);
            let quotient = x.at() / y.at();
            let whole = (quotient - bound).trunc() == (quotient + bound).trunc();
            if whole { x.r + quotient.trunc().abs() * y.r } else { NONE }
        }
        // not functions of floats, or (`select`) handled above
        F::Not | F::And | F::Or | F::Xor | F::ShiftLeft | F::ShiftRight | F::Select => NONE,
    }
}

/// Whether rounding cannot change the outcome of comparing two numbers.
fn decided(direction: Direction, x: Ball, y: Ball) -> bool {
    let distance = (x.at() - y.at()).abs();
    let radius = x.r + y.r;
    match direction {
        _ if radius == 0.0 => true,
        // numbers that look equal may differ before rounding
        _ => distance > radius,
    }
}
