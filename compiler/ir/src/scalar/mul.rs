//! `mul`.

use super::{Accepts, ScalarDef, ScalarGrad, numeric};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "mul",
    operands: &["lhs", "rhs"],
    accepts: Accepts::Number,
    eval: |_, _, args| numeric(args, |x| x[0] * x[1], |x| x[0].wrapping_mul(x[1])),
    grad: ScalarGrad::Vjp(|b, args, _, ct| Ok(vec![Some(b.mul(ct, args[1])?), Some(b.mul(ct, args[0])?)])),
    domain: &[(-4.0, 4.0), (-4.0, 4.0)],
    ulps: 0.5,
    cost: 1,
    derivative: "rhs, lhs",
    doc: "Product; integers wrap.",
};
