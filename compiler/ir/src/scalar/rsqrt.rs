//! `rsqrt`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "rsqrt",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| float(args, |x| 1.0 / x.sqrt()),
    grad: ScalarGrad::Vjp(|b, args, y, ct| {
        let half = b.full_like(y, -0.5)?;
        let slope = b.div(y, args[0])?;
        let slope = b.mul(half, slope)?;
        Ok(vec![Some(b.mul(ct, slope)?)])
    }),
    domain: &[(0.1, 8.0)],
    ulps: 1.5,
    cost: 6,
    derivative: "-rsqrt(x) / (2 x)",
    doc: "`1 / sqrt(x)`, by a division and a square root; inf at 0, NaN below.",
};
