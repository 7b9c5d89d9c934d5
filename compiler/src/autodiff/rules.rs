//! The operators' own derivatives, as the sweeps see them.

use dlc_ir::scalar::ScalarGrad;
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

/// What a derivative does at an operator.
pub(super) fn rule(op: &Op) -> Rule {
    match op {
        Op::Map(f) => match f.def().grad {
            ScalarGrad::Vjp(_) => Rule::Passes,
            ScalarGrad::Zero => Rule::Ends,
        },
        _ => Rule::Forbidden("it has no rule"),
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
    match op {
        Op::Map(f) => match f.def().grad {
            ScalarGrad::Vjp(rule) => rule(b, args, results[0], cotangents[0]),
            ScalarGrad::Zero => Ok(vec![None; args.len()]),
        },
        _ => Ok(vec![None; args.len()]),
    }
}
