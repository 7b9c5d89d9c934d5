//! `sign`.

use super::{Accepts, ScalarDef, ScalarGrad, numeric};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "sign",
    operands: &["x"],
    accepts: Accepts::Number,
    eval: |_, _, args| {
        numeric(args, |x| if x[0] == 0.0 || x[0].is_nan() { x[0] } else { 1f64.copysign(x[0]) }, |x| x[0].signum())
    },
    grad: ScalarGrad::Zero,
    domain: &[(0.1, 4.0)],
    ulps: 0.0,
    cost: 2,
    derivative: "0",
    doc: "-1, 0 or 1. Zeros keep their sign; NaN stays NaN.",
};
