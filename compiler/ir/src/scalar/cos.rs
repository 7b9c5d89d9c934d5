//! `cos`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "cos",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| float(args, libm::cos),
    grad: ScalarGrad::Vjp(|b, args, _, ct| {
        let sin = b.sin(args[0])?;
        let slope = b.neg(sin)?;
        Ok(vec![Some(b.mul(ct, slope)?)])
    }),
    domain: &[(-4.0, 4.0)],
    ulps: 2.0,
    cost: 18,
    derivative: "-sin(x)",
    doc: "Cosine of radians; NaN at infinities.",
};
