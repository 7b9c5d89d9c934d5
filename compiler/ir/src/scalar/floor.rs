//! `floor`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "floor",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| float(args, f64::floor),
    grad: ScalarGrad::Zero,
    domain: &[(0.1, 0.9)],
    ulps: 0.0,
    cost: 1,
    derivative: "0",
    doc: "Largest integer not above `x`.",
};
