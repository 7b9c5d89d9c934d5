//! `shift_right`.

use super::{Accepts, ScalarDef, ScalarGrad};
use crate::Scalar;

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "shift_right",
    operands: &["lhs", "rhs"],
    accepts: Accepts::Int,
    eval: |_, dtype, args| {
        let (x, by, bits) = (args[0].as_i64(), args[1].as_i64(), 8 * dtype.size() as i64);
        let unsigned = if bits == 64 { x as u64 } else { x as u64 & ((1 << bits) - 1) };
        Scalar::Int(if (0..bits).contains(&by) { (unsigned >> by) as i64 } else { 0 })
    },
    grad: ScalarGrad::Zero,
    domain: &[(0.0, 100.0), (0.0, 7.0)],
    ulps: 0.0,
    cost: 1,
    derivative: "0",
    doc: "Logical shift right; 0 where `rhs` is negative or at least the number of \
        bits.",
};
