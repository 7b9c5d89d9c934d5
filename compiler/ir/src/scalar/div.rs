//! `div`.

use super::{Accepts, ScalarDef, ScalarGrad, numeric};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "div",
    operands: &["lhs", "rhs"],
    accepts: Accepts::Number,
    eval: |_, _, args| numeric(args, |x| x[0] / x[1], |x| if x[1] == 0 { 0 } else { x[0].wrapping_div(x[1]) }),
    grad: ScalarGrad::Vjp(|b, args, y, ct| {
        let lhs = b.div(ct, args[1])?;
        let scaled = b.mul(lhs, y)?;
        Ok(vec![Some(lhs), Some(b.neg(scaled)?)])
    }),
    domain: &[(-4.0, 4.0), (0.2, 4.0)],
    ulps: 0.5,
    cost: 4,
    derivative: "1 / rhs, -y / rhs",
    doc: "Quotient. Integers truncate towards 0; division by 0 gives 0, the smallest integer by -1 itself.",
};
