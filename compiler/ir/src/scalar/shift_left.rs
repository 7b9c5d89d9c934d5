//! `shift_left`.

use super::{Accepts, ScalarDef, ScalarGrad};
use crate::Scalar;

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "shift_left",
    operands: &["lhs", "rhs"],
    accepts: Accepts::Int,
    eval: |_, dtype, args| {
        let (x, by, bits) = (args[0].as_i64(), args[1].as_i64(), 8 * dtype.size() as i64);
        Scalar::Int(if (0..bits).contains(&by) { x << by } else { 0 })
    },
    grad: ScalarGrad::Zero,
    domain: &[(0.0, 100.0), (0.0, 7.0)],
    ulps: 0.0,
    cost: 1,
    derivative: "0",
    doc: "Shift left; 0 where `rhs` is negative or at least the number of bits.",
};
