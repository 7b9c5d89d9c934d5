//! `sqrt`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "sqrt",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| float(args, f64::sqrt),
    grad: ScalarGrad::Vjp(|b, _, y, ct| {
        let two = b.full_like(y, 2.0)?;
        let twice = b.mul(two, y)?;
        Ok(vec![Some(b.div(ct, twice)?)])
    }),
    domain: &[(0.1, 8.0)],
    ulps: 0.5,
    cost: 4,
    derivative: "1 / (2 sqrt(x))",
    doc: "Square root, correctly rounded; NaN below 0, -0 at -0.",
};
