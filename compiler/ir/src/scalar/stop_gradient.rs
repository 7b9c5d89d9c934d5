//! `stop_gradient`.

use super::{Accepts, ScalarDef, ScalarGrad};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "stop_gradient",
    operands: &["x"],
    accepts: Accepts::Any,
    eval: |_, _, args| args[0],
    grad: ScalarGrad::Zero,
    domain: &[(-4.0, 4.0)],
    ulps: 0.0,
    cost: 0,
    derivative: "none, by definition",
    doc: "`x` itself, through which no derivative flows.",
};
