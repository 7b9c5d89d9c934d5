//! `abs`.

use super::{Accepts, ScalarDef, ScalarGrad, numeric};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "abs",
    operands: &["x"],
    accepts: Accepts::Number,
    eval: |_, _, args| numeric(args, |x| x[0].abs(), |x| x[0].wrapping_abs()),
    grad: ScalarGrad::Vjp(|b, args, _, ct| {
        let sign = b.sign(args[0])?;
        Ok(vec![Some(b.mul(ct, sign)?)])
    }),
    domain: &[(0.1, 4.0)],
    ulps: 0.0,
    cost: 1,
    derivative: "sign(x), 0 at 0",
    doc: "Absolute value. The smallest integer stays itself. The derivative at 0 is 0.",
};
