//! `log`.

use super::{Accepts, ScalarDef, ScalarGrad, float};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "log",
    operands: &["x"],
    accepts: Accepts::Float,
    eval: |_, _, args| float(args, libm::log),
    grad: ScalarGrad::Vjp(|b, args, _, ct| Ok(vec![Some(b.div(ct, args[0])?)])),
    domain: &[(0.1, 8.0)],
    ulps: 1.5,
    cost: 16,
    derivative: "1 / x",
    doc: "Natural logarithm; -inf at 0, NaN below.",
};
