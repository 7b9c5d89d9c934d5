//! `or`.

use super::{Accepts, ScalarDef, ScalarGrad, bits};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "or",
    operands: &["lhs", "rhs"],
    accepts: Accepts::Bits,
    eval: |_, _, args| bits(args, |x, y| x | y),
    grad: ScalarGrad::Zero,
    domain: &[(0.0, 100.0), (0.0, 100.0)],
    ulps: 0.0,
    cost: 1,
    derivative: "0",
    doc: "Logical or; on integers bitwise.",
};
