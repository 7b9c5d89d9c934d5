//! `round`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "round",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| float(args, f64::round_ties_even),
    grad: ScalarGrad::Zero,
    domain: &[(0.6, 1.4)],
    ulps: 0.0,
    cost: 2,
    derivative: "0",
    doc: "Nearest integer, ties to even.",
};
