//! `exp`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "exp",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| float(args, libm::exp),
    grad: ScalarGrad::Vjp(|b, _, y, ct| Ok(vec![Some(b.mul(ct, y)?)])),
    domain: &[(-4.0, 4.0)],
    ulps: 1.5,
    cost: 12,
    derivative: "exp(x)",
    doc: "e to the power `x`.",
};
