//! Where a cotangent can be other than zero, so that what a `select` does not choose does not matter for derivatives either.
//!
//! The derivative of `select` gives the operand that it does not choose the cotangent 0. That alone is not enough: 0 times an
//! infinite slope is NaN, as of `select(x > 0, sqrt(x), 0)` at 0. So a cotangent that comes from a `select` carries the condition
//! under which it counts, through elementwise functions, movement and sums, and what a function multiplies it by is taken under
//! that condition only. Since the condition is that of the `select` itself and never whether the cotangent happens to be
//! zero, derivatives of higher order are right too. Functions that only add, choose, or multiply by a known number keep zeros
//! by themselves and cost nothing; programs without `select` neither.

use std::cell::OnceCell;
use std::rc::Rc;

use dlc_ir::op::{Broadcast, Reduce, Reduction, Reshape, Transpose};
use dlc_ir::{Builder, Op, Scalar, ScalarOp, TypeError, Value};

/// Conditions nest as deeply as the program; one that is deeper than this is computed at once, so that nothing recurses further.
const MAX_DEPTH: usize = 64;

/// A condition for each element of a cotangent: it is zero elsewhere.
#[derive(Debug)]
pub(super) struct Live {
    kind: Kind,
    depth: usize,
    /// The truth values, once they are needed.
    built: OnceCell<Value>,
}

#[derive(Debug)]
enum Kind {
    /// Where a truth value of the program is this one.
    Where(Value, bool),
    All(Rc<Live>, Rc<Live>),
    Any(Rc<Live>, Rc<Live>),
    /// Moved as the cotangent is.
    Moved(Op, Rc<Live>),
}

/// A condition, `None` where the cotangent counts everywhere.
pub(super) type Condition = Option<Rc<Live>>;

impl Live {
    fn new(b: &mut Builder, kind: Kind) -> Result<Rc<Self>, TypeError> {
        let depth = match &kind {
            Kind::Where(..) => 0,
            Kind::All(x, y) | Kind::Any(x, y) => 1 + x.depth.max(y.depth),
            Kind::Moved(_, x) => 1 + x.depth,
        };
        let live = Live { kind, depth, built: OnceCell::new() };
        if depth < MAX_DEPTH {
            return Ok(Rc::new(live));
        }
        let built = live.build(b)?;
        Ok(Rc::new(Live { kind: Kind::Where(built, true), depth: 0, built: OnceCell::from(built) }))
    }

    /// The truth values in the program.
    fn build(&self, b: &mut Builder) -> Result<Value, TypeError> {
        if let Some(&built) = self.built.get() {
            return Ok(built);
        }
        let value = match &self.kind {
            Kind::Where(value, true) => *value,
            Kind::Where(value, false) => b.map(ScalarOp::Not, &[*value])?,
            Kind::All(x, y) => {
                let (x, y) = (x.build(b)?, y.build(b)?);
                b.map(ScalarOp::And, &[x, y])?
            }
            Kind::Any(x, y) => {
                let (x, y) = (x.build(b)?, y.build(b)?);
                b.map(ScalarOp::Or, &[x, y])?
            }
            Kind::Moved(op, x) => {
                let x = x.build(b)?;
                b.push(op.clone(), &[x])?
            }
        };
        Ok(*self.built.get_or_init(|| value))
    }

    fn same(self: &Rc<Self>, other: &Rc<Self>) -> bool {
        Rc::ptr_eq(self, other)
            || matches!((&self.kind, &other.kind), (Kind::Where(x, p), Kind::Where(y, q)) if (x, p) == (y, q))
    }

    fn opposite(self: &Rc<Self>, other: &Rc<Self>) -> bool {
        matches!((&self.kind, &other.kind), (Kind::Where(x, p), Kind::Where(y, q)) if x == y && p != q)
    }
}

/// Both conditions.
fn all(b: &mut Builder, outer: &Condition, inner: Rc<Live>) -> Result<Condition, TypeError> {
    Ok(Some(match outer {
        Some(outer) if !outer.same(&inner) => Live::new(b, Kind::All(Rc::clone(outer), inner))?,
        _ => inner,
    }))
}

/// The condition of a sum of two cotangents.
pub(super) fn any(b: &mut Builder, one: Condition, other: Condition) -> Result<Condition, TypeError> {
    let (Some(x), Some(y)) = (one, other) else { return Ok(None) };
    if x.same(&y) {
        return Ok(Some(x));
    }
    // both branches of one `select`
    if x.opposite(&y) {
        return Ok(None);
    }
    if let (Kind::All(outer, x), Kind::All(same, y)) = (&x.kind, &y.kind)
        && outer.same(same)
        && x.opposite(y)
    {
        return Ok(Some(Rc::clone(outer)));
    }
    Ok(Some(Live::new(b, Kind::Any(x, y))?))
}

/// Whether the operand gets the result's cotangent itself, its negative, zero, or a known multiple, so that zeros stay.
fn keeps_zeros(b: &Builder, f: ScalarOp, args: &[Value], operand: usize) -> bool {
    use ScalarOp::{Add, Convert, Div, Max, Min, Mul, Neg, Relu, Select, Sub};
    match f {
        Add | Sub | Neg | Convert(_) | Select | Relu | Max | Min => true,
        Mul => is_finite_constant(b, args[1 - operand]),
        Div => operand == 0 && is_finite_constant(b, args[1]),
        _ => false,
    }
}

/// Whether a value is one number everywhere, neither 0 nor infinite nor NaN.
fn is_finite_constant(b: &Builder, mut value: Value) -> bool {
    loop {
        match b.function().op(value.node) {
            Some(Op::Broadcast(_)) => value = b.function().node(value.node).operands[0],
            Some(Op::Constant(constant)) => {
                let number = constant.value.uniform().map(Scalar::as_f64);
                return number.is_some_and(|x| x.is_finite() && x != 0.0);
            }
            _ => return false,
        }
    }
}

/// An operand's cotangent as far as it counts, and where that is, from the condition of the result's.
pub(super) fn through(
    b: &mut Builder,
    op: &Op,
    args: &[Value],
    operand: usize,
    grad: Value,
    result: &Condition,
) -> Result<(Value, Condition), TypeError> {
    if let Op::Map(ScalarOp::Select) = op {
        let chosen = Live::new(b, Kind::Where(args[0], operand == 1))?;
        return Ok((grad, all(b, result, chosen)?));
    }
    let Some(live) = result else { return Ok((grad, None)) };
    let ty = b.ty(args[operand]).clone();
    let moved = match op {
        Op::Map(f) if keeps_zeros(b, *f, args, operand) => return Ok((grad, result.clone())),
        Op::Map(_) => {
            let condition = live.build(b)?;
            let zeros = b.zeros_like(grad)?;
            return Ok((b.select(condition, grad, zeros)?, result.clone()));
        }
        Op::Broadcast(broadcast) => {
            let axes: Vec<usize> = (0..broadcast.shape.rank()).filter(|a| !broadcast.axes.contains(a)).collect();
            if axes.iter().any(|&a| broadcast.shape[a] == 0) {
                return Ok((grad, None));
            }
            // where any of the elements counts that an element became
            Op::from(Reduce { kind: Reduction::Max, axes })
        }
        Op::Reshape(_) => Op::from(Reshape { shape: ty.shape }),
        Op::Transpose(transpose) => Op::from(Transpose { perm: transpose.inverse() }),
        Op::Reverse(reverse) => Op::from(reverse.clone()),
        Op::Reduce(reduce) if reduce.kind == Reduction::Sum => {
            Op::from(Broadcast { axes: reduce.kept(ty.rank()), shape: ty.shape })
        }
        _ => return Ok((grad, None)),
    };
    Ok((grad, Some(Live::new(b, Kind::Moved(moved, Rc::clone(live)))?)))
}
