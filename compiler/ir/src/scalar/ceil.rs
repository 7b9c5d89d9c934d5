//! `ceil`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "ceil",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| float(args, f64::ceil),
    grad: ScalarGrad::Zero,
    domain: &[(0.1, 0.9)],
    ulps: 0.0,
    cost: 1,
    derivative: "0",
    doc: "Smallest integer not below `x`.",
};
