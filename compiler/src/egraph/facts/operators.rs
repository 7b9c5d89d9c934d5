//! The transfer functions of operators.

use dlc_ir::op::Reduction;
use dlc_ir::{DType, Op, Scalar, ScalarOp as F, Type};

use super::{Facts, largest};

/// The facts of an operator's result from those of its operands; `same` says that both operands are one value.
pub(in crate::egraph) fn of_operator(op: &Op, ty: &Type, args: &[(&Type, Facts)], same: bool) -> Facts {
    let dtype = ty.dtype;
    match (op, args) {
        (Op::Constant(c), _) => match c.value.uniform() {
            Some(x) => Facts::of_scalar(x, dtype),
            None if c.value.ty().bytes() <= crate::egraph::FOLD_BYTES => Facts::of_tensor(&c.value),
            None => Facts::unknown(dtype),
        },
        (Op::Iota(iota), _) => {
            let last = ty.shape[iota.axis].saturating_sub(1) as f64;
            let facts = Facts { least: 1.0, whole: true, ..Facts::between(0.0, last) };
            if dtype.is_float() { facts.computed(0.5, dtype) } else { within(facts, dtype) }
        }
        (Op::Map(f), _) => of_map(*f, dtype, args, same),
        (
            Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Reverse(_) | Op::Slice(_) | Op::Gather(_),
            &[(_, x), ..],
        ) => x,
        (Op::Pad(_), &[(_, x), (_, padding)]) => x.or(padding),
        (Op::Concat(_), &[(_, first), ref rest @ ..]) => rest.iter().fold(first, |all, (_, x)| all.or(*x)),
        (Op::Reduce(r), &[(of, x)]) => {
            let count: usize = r.axes.iter().map(|&a| of.shape[a]).product();
            match r.kind {
                Reduction::Sum => sum(x, count, dtype),
                Reduction::Max | Reduction::Min if count > 0 => x,
                _ => Facts::unknown(dtype),
            }
        }
        (Op::Dot(dot), &[(l, x), (_, y)]) => {
            let count = dot.lhs.iter().map(|&a| l.shape[a]).product();
            sum(product(x, y, false), count, dtype)
        }
        (Op::Conv(_), &[(_, x), (w, y)]) => {
            let count = w.shape[1..].iter().product();
            // Padding does not take part in sums.
            sum(product(x, y, false).or(Facts::of_scalar(Scalar::Float(0.0), dtype)), count, dtype)
        }
        _ => Facts::unknown(dtype),
    }
}

/// The facts of a scalar function's result; rules query this before they make terms.
pub(in crate::egraph) fn of_map(f: F, dtype: DType, args: &[(&Type, Facts)], same: bool) -> Facts {
    let x = args[0].1;
    let from = args[args.len() - 1].0.dtype;
    match (f, args) {
        (F::Convert(to), _) => return convert(x, from, to),
        (F::Select, &[_, (_, a), (_, b)]) => return a.or(b),
        (F::StopGradient, _) => return x,
        (F::Max, &[_, (_, y)]) => return choice(x, y, f64::max),
        (F::Min, &[_, (_, y)]) => return choice(x, y, f64::min),
        (F::Relu, _) => {
            let (low, high) = (x.low.max(0.0), x.high.max(0.0));
            return Facts { low, high, zero: x.zero || x.low < 0.0, ..x };
        }
        _ if f.result(dtype) == DType::Bool => return Facts::unknown(DType::Bool),
        _ => {}
    }
    let unary = |g: fn(f64) -> f64| Facts { nan: x.nan, ..Facts::between(g(x.low), g(x.high)) };
    let y = args[args.len() - 1].1;
    let real = match f {
        F::Neg => Facts { low: -x.high, high: -x.low, ..x },
        F::Abs => {
            let low = if x.low > 0.0 {
                x.low
            } else if x.high < 0.0 {
                -x.high
            } else {
                0.0
            };
            Facts { low, high: x.magnitude(), ..x }
        }
        F::Add => add(x, y, same),
        F::Sub if same && x.is_finite() => Facts::of_scalar(Scalar::Float(0.0), dtype),
        F::Sub => add(x, Facts { low: -y.high, high: -y.low, ..y }, false),
        F::Mul => product(x, y, same),
        _ if !dtype.is_float() => return Facts::unknown(dtype),
        F::Div => quotient(x, y),
        F::Exp => unary(f64::exp),
        F::Expm1 => unary(f64::exp_m1),
        F::Tanh => Facts { zero: x.zero, ..unary(f64::tanh) },
        F::Sigmoid => unary(|x| 1.0 / (1.0 + (-x).exp())),
        F::Erf => Facts { nan: x.nan, ..Facts::between(-1.0, 1.0) },
        F::Sin | F::Cos => Facts { nan: !x.is_finite(), ..Facts::between(-1.0, 1.0) },
        F::Sign => Facts { nan: x.nan, whole: true, least: 1.0, ..Facts::between(-1.0, 1.0) },
        F::Log if x.high > 0.0 => {
            let facts = Facts::between(smallest_positive(x).ln(), x.high.ln());
            Facts { nan: x.nan || x.low < 0.0, ..facts }
        }
        F::Log1p if x.low > -1.0 => unary(f64::ln_1p),
        F::Sqrt if x.high >= 0.0 => Facts {
            low: x.low.max(0.0).sqrt(),
            high: x.high.sqrt(),
            least: x.least.sqrt(),
            zero: x.zero,
            nan: x.nan || x.low < 0.0,
            whole: false,
        },
        F::Rsqrt if x.high > 0.0 && !x.zero => {
            let facts = Facts::between(1.0 / x.high.sqrt(), 1.0 / smallest_positive(x).sqrt());
            Facts { nan: x.nan || x.low < 0.0, ..facts }
        }
        F::Floor | F::Ceil | F::Round => {
            let g = match f {
                F::Floor => f64::floor,
                F::Ceil => f64::ceil,
                _ => f64::round_ties_even,
            };
            return Facts { whole: true, least: 1.0, ..unary(g) };
        }
        _ => return Facts::unknown(dtype),
    };
    if dtype.is_float() { real.computed(f.def().ulps.max(0.5), dtype) } else { within(real, dtype) }
}

/// The smallest possible positive number; 0 if unbounded, or if only zero is possible.
fn smallest_positive(x: Facts) -> f64 {
    if x.low > 0.0 {
        x.low
    } else if x.zero {
        0.0
    } else {
        x.least
    }
}

/// Integers wrap when they leave their range.
fn within(facts: Facts, dtype: DType) -> Facts {
    let all = Facts::unknown(dtype);
    // Bounds are f64, which is exact up to 2^53 only.
    let exact = facts.magnitude() <= 2f64.powi(53);
    if exact && facts.low >= all.low && facts.high <= all.high { facts } else { all }
}

fn convert(x: Facts, from: DType, to: DType) -> Facts {
    match (from.is_float(), to.is_float()) {
        _ if from == to => x,
        _ if to == DType::Bool => Facts::unknown(to),
        (_, true) => x.computed(0.5, to),
        (true, false) => {
            let all = Facts::unknown(to);
            let x = if x.nan { x.or(Facts::of_scalar(Scalar::Float(0.0), from)) } else { x };
            let clip = |bound: f64| bound.trunc().clamp(all.low, all.high);
            let (low, high) = (clip(x.low), clip(x.high));
            let exact = low.abs().max(high.abs()) <= 2f64.powi(53);
            if exact { Facts { least: 1.0, whole: true, ..Facts::between(low, high) } } else { all }
        }
        (false, false) => within(x, to),
    }
}

/// The maximum or the minimum of two.
fn choice(x: Facts, y: Facts, f: fn(f64, f64) -> f64) -> Facts {
    let (low, high) = (f(x.low, y.low), f(x.high, y.high));
    Facts {
        low,
        high,
        least: x.least.min(y.least),
        zero: (x.zero || y.zero) && low <= 0.0 && high >= 0.0,
        nan: x.nan || y.nan,
        whole: x.whole && y.whole,
    }
}

fn add(x: Facts, y: Facts, same: bool) -> Facts {
    let opposite = |a: Facts, b: Facts| a.high == f64::INFINITY && b.low == f64::NEG_INFINITY;
    let cancels = !same && (opposite(x, y) || opposite(y, x));
    let or = |sum: f64, bound: f64| if sum.is_nan() { bound } else { sum };
    let low = or(x.low + y.low, f64::NEG_INFINITY);
    let high = or(x.high + y.high, f64::INFINITY);
    let one_sign = (x.low >= 0.0 && y.low >= 0.0) || (x.high <= 0.0 && y.high <= 0.0);
    let whole = x.whole && y.whole;
    let least = if one_sign {
        x.least.min(y.least)
    } else if whole {
        1.0
    } else {
        0.0
    };
    let zero = if one_sign { x.zero && y.zero } else { low <= 0.0 && high >= 0.0 };
    Facts { low, high, least, zero, nan: x.nan || y.nan || cancels, whole }
}

pub(in crate::egraph) fn product(x: Facts, y: Facts, same: bool) -> Facts {
    // For 0 * inf the extremes are among the other products of the bounds.
    let at = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
    let ends = [at(x.low, y.low), at(x.low, y.high), at(x.high, y.low), at(x.high, y.high)];
    let mut low = ends.iter().copied().fold(f64::INFINITY, f64::min);
    let high = ends.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if same {
        low = if x.low > 0.0 || x.high < 0.0 { x.low.abs().min(x.high.abs()).powi(2) } else { 0.0 };
    }
    let undefined = (x.zero && y.may_be_infinite()) || (y.zero && x.may_be_infinite());
    Facts {
        low,
        high,
        least: x.least * y.least,
        zero: x.zero || y.zero,
        nan: x.nan || y.nan || (undefined && !same),
        whole: x.whole && y.whole,
    }
}

fn quotient(x: Facts, y: Facts) -> Facts {
    let undefined = (x.zero && y.zero) || (x.may_be_infinite() && y.may_be_infinite());
    // Zero has no sign, so the sign of a quotient by it is unknown.
    let smallest = if y.zero { 0.0 } else { y.least };
    let largest = if smallest == 0.0 { f64::INFINITY } else { x.magnitude() / smallest };
    let one_sign = !y.zero && (y.low >= 0.0 || y.high <= 0.0);
    let (mut low, mut high) = (-largest, largest);
    if one_sign && (x.low >= 0.0 || x.high <= 0.0) {
        let positive = (x.low >= 0.0) == (y.low >= 0.0);
        let inner = if x.zero { 0.0 } else { x.least } / y.magnitude();
        let inner = if inner.is_nan() { 0.0 } else { inner };
        (low, high) = if positive { (inner, largest) } else { (-largest, -inner) };
    }
    let least = x.least / y.magnitude();
    Facts {
        low,
        high,
        least: if least.is_nan() { 0.0 } else { least },
        zero: x.zero || y.may_be_infinite(),
        nan: x.nan || y.nan || undefined,
        whole: false,
    }
}

/// The sum of this many terms, in any order, its products rounded or not.
fn sum(x: Facts, count: usize, dtype: DType) -> Facts {
    let zero = Facts::of_scalar(Scalar::zero(dtype), dtype);
    if count == 0 {
        return zero;
    }
    let n = count as f64;
    let one_sign = x.low >= 0.0 || x.high <= 0.0;
    let times = |bound: f64| if bound == 0.0 { 0.0 } else { bound * n };
    let (mut low, mut high) = (times(x.low), times(x.high));
    // Partial sums may overflow.
    let overflows = dtype.is_float() && x.magnitude() * n > largest(dtype) * 0.99;
    if overflows && !one_sign {
        (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
    }
    if dtype.is_float() && !one_sign {
        // If terms cancel, the rounding errors of partial sums exceed those of the bounds.
        let slack = (n + 3.0) * 2.0 * dtype.unit_roundoff() * n * x.magnitude();
        (low, high) = (low - slack, high + slack);
    }
    let least = if one_sign {
        x.least
    } else if x.whole {
        1.0
    } else {
        0.0
    };
    let facts = Facts {
        low,
        high,
        least,
        zero: if one_sign { x.zero } else { low <= 0.0 && high >= 0.0 },
        nan: x.nan || (overflows && !one_sign),
        whole: x.whole,
    };
    if dtype.is_float() { facts.computed(n + 2.0, dtype) } else { within(facts, dtype) }
}
