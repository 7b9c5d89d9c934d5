//! Select, compare, max, min, relu, booleans, conversions.

use dlc_ir::{DType, Direction, Op, Scalar, ScalarOp as F};

use super::{Need, Rule, Trigger, is_finite, map, number, rules};
use crate::egraph::graph::{Match, Rhs};

/// Whether every number of one dtype is representable in the other.
fn holds(from: DType, to: DType) -> bool {
    use DType::{Bool, F32, F64, I32, I64, U8};
    from == to
        || matches!(
            (from, to),
            (Bool, U8 | I32 | I64 | F32 | F64) | (U8, I32 | I64 | F32 | F64) | (I32, I64 | F64) | (F32, F64)
        )
}

/// The comparisons with 0 that hold for positive numbers only.
fn positive<'a>(s: &Match<'a>, condition: egg::Id) -> impl Iterator<Item = egg::Id> + use<'a> {
    let s = *s;
    s.maps(condition, F::Compare(Direction::Gt)).filter(move |c| s.is(c[1], 0.0)).map(|c| c[0])
}

rules! {
    Exact "select-same" [map(F::Select)] "select(c, x, x) = x", |s, out| {
        if s.same(s.args()[1], s.args()[2]) {
            out.push(s.args()[1].into());
        }
    }
    Exact "select-constant" [map(F::Select)] "select(true, x, y) = x", |s, out| {
        if let Some(condition) = s.uniform(s.args()[0]) {
            out.push(s.args()[if condition.as_bool() { 1 } else { 2 }].into());
        }
    }
    Exact "select-not" [map(F::Select)] "select(not c, x, y) = select(c, y, x)", |s, out| {
        for inner in s.maps(s.args()[0], F::Not) {
            out.push(Rhs::op(F::Select, [inner[0].into(), s.args()[2].into(), s.args()[1].into()]));
        }
    }
    Exact "select-select" [map(F::Select)] "select(c, select(c, x, y), z) = select(c, x, z), and likewise right", |s, out| {
        let &[c, x, y] = s.args() else { return };
        for inner in s.maps(x, F::Select).filter(|i| s.same(i[0], c)) {
            out.push(Rhs::op(F::Select, [c.into(), inner[1].into(), y.into()]));
        }
        for inner in s.maps(y, F::Select).filter(|i| s.same(i[0], c)) {
            out.push(Rhs::op(F::Select, [c.into(), x.into(), inner[2].into()]));
        }
    }
    Safe "mul-by-mask" [map(F::Mul)] "x * (c as number) = select(c, x, 0), where x is finite", |s, out| {
        for (x, y) in s.both().into_iter().filter(|&(x, _)| s.is_finite(x)) {
            for inner in s.maps(y, F::Convert(s.own_ty().dtype)).filter(|i| s.ty(i[0]).dtype == DType::Bool) {
                out.push(Rhs::op(F::Select, [inner[0].into(), x.into(), number(s, 0.0)]));
            }
        }
    }
    Safe "mul-by-choice" [map(F::Mul)] "x * select(c, 1, 0) = select(c, x, 0), where x is finite", |s, out| {
        for (x, y) in s.both().into_iter().filter(|&(x, _)| s.is_finite(x)) {
            for inner in s.maps(y, F::Select).filter(|i| s.is(i[1], 1.0) && s.is(i[2], 0.0)) {
                out.push(Rhs::op(F::Select, [inner[0].into(), x.into(), number(s, 0.0)]));
            }
        }
    }
    Safe "mul-out-of-select" [map(F::Mul)] "select(c, x, 0) * y = select(c, x * y, 0), where y is a finite number", |s, out| {
        for (x, y) in s.both() {
            if s.uniform(y).is_some_and(is_finite) {
                for inner in s.maps(x, F::Select).filter(|i| s.is(i[2], 0.0)) {
                    out.push(Rhs::op(F::Select, [inner[0].into(), Rhs::binary(F::Mul, inner[1], y), number(s, 0.0)]));
                }
            }
        }
    }
    Safe "select-to-relu" [map(F::Select)] "select(x > 0, x, 0) = relu(x), where x is not NaN", |s, out| {
        let &[c, x, y] = s.args() else { return };
        if s.is(y, 0.0) && positive(s, c).any(|p| s.same(p, x)) && s.is_number(x) {
            out.push(Rhs::unary(F::Relu, x));
        }
    }
    Safe "max-zero" [map(F::Max)] "max(x, 0) = relu(x)", |s, out| {
        for (x, y) in s.both() {
            if s.is(y, 0.0) && s.own_ty().dtype != DType::Bool {
                out.push(Rhs::unary(F::Relu, x));
            }
        }
    }
    Exact "relu-of-nonnegative" [map(F::Relu), map(F::Abs)] "relu and |.| are the identity on nonnegative numbers: relu, exp, sigmoid, |x|", |s, out| {
        // The square root of -0 is -0, and |x| of the smallest integer is that integer.
        let signed = matches!(s.own_ty().dtype, DType::I32 | DType::I64);
        let functions = [F::Relu, F::Exp, F::Sigmoid, F::Abs];
        let is_kept = |f: F| f != F::Abs || !signed || s.op() == &F::Abs.into();
        if functions.iter().any(|&f| is_kept(f) && s.maps(s.x(), f).next().is_some()) {
            out.push(s.x().into());
        }
    }
    Exact "abs-of-neg" [map(F::Abs)] "|-x| = |x|, except for u8, where -1 is 255", |s, out| {
        for inner in s.maps(s.x(), F::Neg).filter(|_| s.own_ty().dtype != DType::U8) {
            out.push(Rhs::unary(F::Abs, inner[0]));
        }
    }
    Exact "max-min-same" [map(F::Max), map(F::Min)] "max(x, x) = min(x, x) = x", |s, out| {
        let (x, y) = s.xy();
        if s.same(x, y) {
            out.push(x.into());
        }
    }
    Safe "max-min-again" [map(F::Max), map(F::Min)] "max(max(x, y), y) = max(x, y), up to the sign of zero", |s, out| {
        let Op::Map(f) = *s.op() else { return };
        for (x, y) in s.both() {
            if s.maps(x, f).any(|i| s.same(i[0], y) || s.same(i[1], y)) {
                out.push(x.into());
            }
        }
    }
    Exact "max-min-infinity" [map(F::Max), map(F::Min)] "max(x, -inf) = min(x, inf) = x", |s, out| {
        let least = if s.op() == &F::Max.into() { f64::NEG_INFINITY } else { f64::INFINITY };
        for (x, y) in s.both() {
            if s.is(y, least) {
                out.push(x.into());
            }
        }
    }
    Exact "not-not" [map(F::Not)] "not not x = x", |s, out| {
        for inner in s.maps(s.x(), F::Not) {
            out.push(inner[0].into());
        }
    }
    Exact "not-equal" [map(F::Not)] "not (x = y) = (x != y), and conversely", |s, out| {
        for (from, to) in [(Direction::Eq, Direction::Ne), (Direction::Ne, Direction::Eq)] {
            for inner in s.maps(s.x(), F::Compare(from)) {
                out.push(Rhs::binary(F::Compare(to), inner[0], inner[1]));
            }
        }
    }
    Exact "and-or-constant" [map(F::And), map(F::Or)] "x and true = x or false = x; x and false = false; x or true = true", |s, out| {
        let and = s.op() == &F::And.into();
        for (x, y) in s.both() {
            if let Some(Scalar::Bool(known)) = s.uniform(y) {
                out.push(if known == and { x.into() } else { y.into() });
            }
        }
    }
    Exact "and-or-same" [map(F::And), map(F::Or)] "x and x = x or x = x", |s, out| {
        let (x, y) = s.xy();
        if s.same(x, y) {
            out.push(x.into());
        }
    }
    Exact "convert-chain" [Trigger::AnyMap] "a conversion after a lossless conversion", |s, out| {
        let &Op::Map(F::Convert(to)) = s.op() else { return };
        let between = s.ty(s.x()).dtype;
        for inner in s.maps(s.x(), F::Convert(between)) {
            let from = s.ty(inner[0]).dtype;
            // A float out of range saturates in an integer dtype, whereas an integer wraps.
            let wraps = !from.is_float() && between.is_float() && !to.is_float() && !holds(from, to) && to != DType::Bool;
            if holds(from, between) && !wraps {
                out.push(if from == to { inner[0].into() } else { Rhs::unary(F::Convert(to), inner[0]) });
            }
        }
    }
}
