//! `add`.

use super::{Accepts, ScalarDef, ScalarGrad, numeric};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "add",
    operands: &["lhs", "rhs"],
    accepts: Accepts::Number,
    eval: |_, _, args| numeric(args, |x| x[0] + x[1], |x| x[0].wrapping_add(x[1])),
    grad: ScalarGrad::Vjp(|_, _, _, ct| Ok(vec![Some(ct), Some(ct)])),
    domain: &[(-4.0, 4.0), (-4.0, 4.0)],
    ulps: 0.5,
    cost: 1,
    derivative: "1, 1",
    doc: "Sum; integers wrap.",
};
