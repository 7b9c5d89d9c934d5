//! Where a cotangent can be nonzero, so that the branch that a `select` does not choose cannot spoil derivatives.
//!
//! The derivative of `select` gives the operand that it does not choose the cotangent 0. That alone is not enough: 0 times an
//! infinite slope is NaN, as in `select(x > 0, sqrt(x), 0)` at 0. So a cotangent that comes from a `select` carries the select's
//! condition through elementwise functions, data movement and sums, and its factors are masked by it. The condition is that of
//! the `select`, never whether the cotangent happens to be zero, so that derivatives of higher order are right too. Functions
//! that only add, select, or multiply by a known number map zero to zero anyway and are not masked; programs without `select`
//! cost nothing.

use std::cell::OnceCell;
use std::rc::Rc;

use dlc_ir::op::{Broadcast, Reduce, Reduction, Reshape, Transpose};
use dlc_ir::{Builder, Op, Scalar, ScalarOp, TypeError, Value};

/// Conditions nest as deeply as the program; deeper ones than this are materialised, to bound the recursion.
const MAX_DEPTH: usize = 64;

/// A condition for each element of a cotangent, which is zero elsewhere.
#[derive(Debug)]
pub(super) struct Support {
    kind: Kind,
    depth: usize,
    /// The mask as a value of the program, built on demand.
    built: OnceCell<Value>,
}

#[derive(Debug)]
enum Kind {
    /// Where a boolean of the program has this value.
    Where(Value, bool),
    All(Rc<Support>, Rc<Support>),
    Any(Rc<Support>, Rc<Support>),
    /// Moved in the same way as the cotangent.
    Moved(Op, Rc<Support>),
}

/// `None` where the cotangent may be nonzero everywhere.
pub(super) type Condition = Option<Rc<Support>>;

impl Support {
    fn new(b: &mut Builder, kind: Kind) -> Result<Rc<Self>, TypeError> {
        let depth = match &kind {
            Kind::Where(..) => 0,
            Kind::All(x, y) | Kind::Any(x, y) => 1 + x.depth.max(y.depth),
            Kind::Moved(_, x) => 1 + x.depth,
        };
        let support = Support { kind, depth, built: OnceCell::new() };
        if depth < MAX_DEPTH {
            return Ok(Rc::new(support));
        }
        let built = support.build(b)?;
        Ok(Rc::new(Support { kind: Kind::Where(built, true), depth: 0, built: OnceCell::from(built) }))
    }

    /// Materialises the mask.
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

/// The conjunction.
fn all(b: &mut Builder, outer: &Condition, inner: Rc<Support>) -> Result<Condition, TypeError> {
    Ok(Some(match outer {
        Some(outer) if !outer.same(&inner) => Support::new(b, Kind::All(Rc::clone(outer), inner))?,
        _ => inner,
    }))
}

/// The condition of the sum of two cotangents.
pub(super) fn any(b: &mut Builder, one: Condition, other: Condition) -> Result<Condition, TypeError> {
    let (Some(x), Some(y)) = (one, other) else { return Ok(None) };
    if x.same(&y) {
        return Ok(Some(x));
    }
    // the two branches of one `select`
    if x.opposite(&y) {
        return Ok(None);
    }
    if let (Kind::All(outer, x), Kind::All(same, y)) = (&x.kind, &y.kind)
        && outer.same(same)
        && x.opposite(y)
    {
        return Ok(Some(Rc::clone(outer)));
    }
    Ok(Some(Support::new(b, Kind::Any(x, y))?))
}

/// Whether the vjp maps zero to zero whatever the operands are: the operand's cotangent is the result's, its negative, zero, or a
/// known multiple.
fn keeps_zeros(b: &Builder, f: ScalarOp, args: &[Value], operand: usize) -> bool {
    use ScalarOp::{Add, Convert, Div, Max, Min, Mul, Neg, Relu, Select, Sub};
    match f {
        Add | Sub | Neg | Convert(_) | Select | Relu | Max | Min => true,
        Mul => is_finite_constant(b, args[1 - operand]),
        Div => operand == 0 && is_finite_constant(b, args[1]),
        _ => false,
    }
}

/// Whether a value is a constant with one value everywhere, which is finite and not 0.
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

/// An operand's cotangent, masked where necessary, with its condition, from the condition of the result's.
pub(super) fn through(
    b: &mut Builder,
    op: &Op,
    args: &[Value],
    operand: usize,
    grad: Value,
    result: &Condition,
) -> Result<(Value, Condition), TypeError> {
    if let Op::Map(ScalarOp::Select) = op {
        let chosen = Support::new(b, Kind::Where(args[0], operand == 1))?;
        return Ok((grad, all(b, result, chosen)?));
    }
    let Some(support) = result else { return Ok((grad, None)) };
    let ty = b.ty(args[operand]).clone();
    let moved = match op {
        Op::Map(f) if keeps_zeros(b, *f, args, operand) => return Ok((grad, result.clone())),
        Op::Map(_) => {
            let condition = support.build(b)?;
            let zeros = b.zeros_like(grad)?;
            return Ok((b.select(condition, grad, zeros)?, result.clone()));
        }
        Op::Broadcast(broadcast) => {
            let axes: Vec<usize> = (0..broadcast.shape.rank()).filter(|a| !broadcast.axes.contains(a)).collect();
            if axes.iter().any(|&a| broadcast.shape[a] == 0) {
                return Ok((grad, None));
            }
            // an element may be nonzero if any of the elements that it was copied to may be
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
    Ok((grad, Some(Support::new(b, Kind::Moved(moved, Rc::clone(support)))?)))
}
