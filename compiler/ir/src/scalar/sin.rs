//! `sin`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "sin",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| float(args, libm::sin),
    grad: ScalarGrad::Vjp(|b, args, _, ct| {
        let slope = b.cos(args[0])?;
        Ok(vec![Some(b.mul(ct, slope)?)])
    }),
    domain: &[(-4.0, 4.0)],
    ulps: 2.0,
    cost: 18,
    derivative: "cos(x)",
    doc: "Sine of radians; NaN at infinities.",
};
