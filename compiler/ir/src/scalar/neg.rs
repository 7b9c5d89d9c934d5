//! `neg`.

use super::{Accepts, ScalarDef, ScalarGrad, numeric};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "neg",
    operands: &["x"],
    accepts: Accepts::Number,
    eval: |_, _, args| numeric(args, |x| -x[0], |x| x[0].wrapping_neg()),
    grad: ScalarGrad::Vjp(|b, _, _, ct| Ok(vec![Some(b.neg(ct)?)])),
    domain: &[(-4.0, 4.0)],
    ulps: 0.0,
    cost: 1,
    derivative: "-1",
    doc: "Negation; integers wrap.",
};
