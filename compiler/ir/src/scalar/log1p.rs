//! `log1p`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "log1p",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| float(args, libm::log1p),
    grad: ScalarGrad::Vjp(|b, args, _, ct| {
        let one = b.full_like(args[0], 1.0)?;
        let shifted = b.add(args[0], one)?;
        Ok(vec![Some(b.div(ct, shifted)?)])
    }),
    domain: &[(-0.8, 8.0)],
    ulps: 2.0,
    cost: 16,
    derivative: "1 / (x + 1)",
    doc: "`log(1 + x)`, exact near 0; -inf at -1, NaN below.",
};
