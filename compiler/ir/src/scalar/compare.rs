//! `compare`.

use std::cmp::Ordering::{Equal, Greater, Less};

use super::{Accepts, Direction, ScalarDef, ScalarGrad, ScalarOp};
use crate::Scalar;

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "compare",
    operands: &["lhs", "rhs"],
    accepts: Accepts::Any,
    eval: |f, _, args| {
        let ScalarOp::Compare(direction) = f else { return args[0] };
        let order = match (args[0], args[1]) {
            (Scalar::Float(x), Scalar::Float(y)) => x.partial_cmp(&y),
            (x, y) => Some(x.as_i64().cmp(&y.as_i64())),
        };
        Scalar::Bool(match direction {
            Direction::Eq => order == Some(Equal),
            Direction::Ne => order != Some(Equal),
            Direction::Lt => order == Some(Less),
            Direction::Le => matches!(order, Some(Less | Equal)),
            Direction::Gt => order == Some(Greater),
            Direction::Ge => matches!(order, Some(Greater | Equal)),
        })
    },
    grad: ScalarGrad::Zero,
    domain: &[(-4.0, 4.0), (-4.0, 4.0)],
    ulps: 0.0,
    cost: 1,
    derivative: "0",
    doc: "Whether the relation `dir` holds. With NaN only `ne` does. false is less than true.",
};
