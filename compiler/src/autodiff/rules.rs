//! The operators' own derivatives.

use dlc_ir::op::Grad;
use dlc_ir::{Builder, Op, TypeError, Value};

/// How the derivative treats an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Cotangents flow to the operands.
    Passes,
    /// The derivative is zero wherever it exists.
    Ends,
    /// An error.
    Forbidden(&'static str),
}

/// The rule of an operator other than `call`.
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
