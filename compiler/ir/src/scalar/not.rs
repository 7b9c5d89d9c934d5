//! `not`.

use super::{Accepts, ScalarDef, ScalarGrad};
use crate::Scalar;

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "not",
    operands: &["x"],
    accepts: Accepts::Bits,
    eval: |_, _, args| match args[0] {
        Scalar::Bool(x) => Scalar::Bool(!x),
        x => Scalar::Int(!x.as_i64()),
    },
    grad: ScalarGrad::Zero,
    domain: &[(0.0, 100.0)],
    ulps: 0.0,
    cost: 1,
    derivative: "0",
    doc: "Logical negation; on integers bitwise.",
};
