//! `erf`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "erf",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| float(args, libm::erf),
    grad: ScalarGrad::Vjp(|b, args, _, ct| {
        let square = b.mul(args[0], args[0])?;
        let negative = b.neg(square)?;
        let bell = b.exp(negative)?;
        let two_over_sqrt_pi = b.full_like(bell, std::f64::consts::FRAC_2_SQRT_PI)?;
        let slope = b.mul(two_over_sqrt_pi, bell)?;
        Ok(vec![Some(b.mul(ct, slope)?)])
    }),
    domain: &[(-2.0, 2.0)],
    ulps: 3.0,
    cost: 18,
    derivative: "2/sqrt(pi) exp(-x²)",
    doc: "Error function, `2/sqrt(pi)` times the integral of `exp(-t^2)` from 0 to `x`.",
};
