//! `sigmoid`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "sigmoid",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| {
        float(args, |x| if x >= 0.0 { 1.0 / (1.0 + libm::exp(-x)) } else { libm::exp(x) / (1.0 + libm::exp(x)) })
    },
    grad: ScalarGrad::Vjp(|b, _, y, ct| {
        let one = b.full_like(y, 1.0)?;
        let rest = b.sub(one, y)?;
        let slope = b.mul(y, rest)?;
        Ok(vec![Some(b.mul(ct, slope)?)])
    }),
    domain: &[(-4.0, 4.0)],
    ulps: 3.0,
    cost: 14,
    derivative: "y (1 - y)",
    doc: "`1 / (1 + exp(-x))`, without overflow on either side.",
};
