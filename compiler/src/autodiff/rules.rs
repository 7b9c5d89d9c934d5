//! The operators' own derivatives, as the sweeps see them.

use dlc_ir::op::Grad;
use dlc_ir::{Builder, Op, TypeError, Value};

/// What a derivative does at an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Goes on to the operands.
    Passes,
    /// Ends: the derivative is zero wherever it exists.
    Ends,
    /// Must not arrive.
    Forbidden(&'static str),
}

/// What a derivative does at an operator other than `call`.
pub(super) fn rule(op: &Op) -> Rule {
    match op.grad() {
        Grad::Vjp(_) => Rule::Passes,
        Grad::Zero => Rule::Ends,
        Grad::NotDifferentiable(reason) => Rule::Forbidden(reason),
        Grad::NotLocal => Rule::Forbidden("it is differentiated with its function"),
    }
}

/// The operands' cotangents.
pub(super) fn vjp(
    op: &Op,
    b: &mut Builder,
    args: &[Value],
    results: &[Value],
    cotangents: &[Value],
) -> Result<Vec<Option<Value>>, TypeError> {
    match op.grad() {
        Grad::Vjp(vjp) => vjp(op, b, args, results, cotangents),
        _ => Ok(vec![None; args.len()]),
    }
}
