//! `tanh`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "tanh",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| float(args, libm::tanh),
    grad: ScalarGrad::Vjp(|b, _, y, ct| {
        let one = b.full_like(y, 1.0)?;
        let square = b.mul(y, y)?;
        let slope = b.sub(one, square)?;
        Ok(vec![Some(b.mul(ct, slope)?)])
    }),
    domain: &[(-4.0, 4.0)],
    ulps: 3.0,
    cost: 16,
    derivative: "1 - tanh(x)²",
    doc: "Hyperbolic tangent.",
};
