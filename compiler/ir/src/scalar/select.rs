//! `select`.

use super::{Accepts, ScalarDef, ScalarGrad};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "select",
    operands: &["condition", "on_true", "on_false"],
    accepts: Accepts::Any,
    eval: |_, _, args| if args[0].as_bool() { args[1] } else { args[2] },
    grad: ScalarGrad::Vjp(|b, args, _, ct| {
        let zero = b.zeros_like(ct)?;
        let (on_true, on_false) = (b.select(args[0], ct, zero)?, b.select(args[0], zero, ct)?);
        Ok(vec![None, Some(on_true), Some(on_false)])
    }),
    domain: &[(0.0, 1.0), (-4.0, 4.0), (-4.0, 4.0)],
    ulps: 0.0,
    cost: 1,
    derivative: "1 for what is chosen, else 0",
    doc: "`on_true` where `condition` holds, else `on_false`; what is not chosen does not matter, NaN included, \
        neither for the value nor for derivatives: see Corners.",
};
