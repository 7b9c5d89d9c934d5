//! How operators are differentiated: what a vjp rule is, and what rules share.

use super::{Op, TypeError};
use crate::scalar::Cotangents;
use crate::{Builder, Value};

/// A vjp rule: builds the operands' cotangents from the operands, the results and the results' cotangents.
///
/// It is called only where the results are floating-point, and gives one entry an operand: the cotangent, of the operand's type,
/// or `None` where no derivative flows. It is made of operators alone, so that what it builds can be differentiated again.
pub type Vjp<O> = fn(&O, &mut Builder, args: &[Value], results: &[Value], cotangents: &[Value]) -> Cotangents;

/// How an operator is differentiated.
#[derive(Clone, Copy, Debug)]
pub enum Grad<O> {
    /// By this rule.
    Vjp(Vjp<O>),
    /// The derivative is zero wherever it exists, or there is nothing by which to differentiate.
    Zero,
    /// Not at all, and why; an error wherever a derivative would have to flow through.
    NotDifferentiable(&'static str),
    /// By differentiating other functions of the program: `call` and `gradient`, which differentiation itself handles.
    NotLocal,
}

/// The cotangents of an operator's operands, where its rule must be a vjp: for rules that are made of others.
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
        _ => Err(TypeError { mnemonic: op.mnemonic(), message: "has no vjp".to_owned() }),
    }
}
