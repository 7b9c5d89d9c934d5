//! `expm1`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "expm1",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| float(args, libm::expm1),
    grad: ScalarGrad::Vjp(|b, args, _, ct| {
        let e = b.exp(args[0])?;
        Ok(vec![Some(b.mul(ct, e)?)])
    }),
    domain: &[(-4.0, 4.0)],
    ulps: 2.0,
    cost: 12,
    derivative: "exp(x)",
    doc: "`exp(x) - 1`, exact near 0.",
};
