//! How operators are differentiated: vjp rules, and helpers of these.

use super::{Op, TypeError};
use crate::scalar::Cotangents;
use crate::{Builder, Value};

/// A vjp rule: builds the operands' cotangents from the operands, the results and the results' cotangents.
///
/// It is called only where the results are floating-point, and returns one entry per operand: the cotangent, of the operand's
/// type, or `None` where no derivative flows. It emits operators only, so that its result can be differentiated again.
pub type Vjp<O> = fn(&O, &mut Builder, args: &[Value], results: &[Value], cotangents: &[Value]) -> Cotangents;

/// How an operator is differentiated.
#[derive(Clone, Copy, Debug)]
pub enum Grad<O> {
    Vjp(Vjp<O>),
    /// The derivative is zero wherever it exists, or the operator has no differentiable operand.
    Zero,
    /// An error, with its reason, wherever a derivative would have to flow through.
    NotDifferentiable(&'static str),
    /// By differentiating other functions of the program: `call` and `gradient`, which differentiation itself handles.
    NotLocal,
}

/// The cotangents of an operator that must have a vjp rule: for rules that are composed of others.
pub(super) fn pull_back(
    b: &mut Builder,
    op: impl Into<Op>,
    args: &[Value],
    result: Value,
    cotangent: Value,
) -> Cotangents {
    let op = op.into();
    match op.grad() {
        Grad::Vjp(vjp) => vjp(&op, b, args, &[result], &[cotangent]),
        _ => Err(TypeError { mnemonic: op.mnemonic(), message: "has no vjp rule".to_owned() }),
    }
}
