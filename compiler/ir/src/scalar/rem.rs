//! `rem`.

use super::{Accepts, ScalarDef, ScalarGrad, ScalarOp, numeric};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "rem",
    operands: &["lhs", "rhs"],
    accepts: Accepts::Number,
    eval: |_, _, args| {
        numeric(args, |x| libm::fmod(x[0], x[1]), |x| if x[1] == 0 { 0 } else { x[0].wrapping_rem(x[1]) })
    },
    grad: ScalarGrad::Vjp(|b, args, y, ct| {
        // y = lhs - whole * rhs, where the truncated quotient `whole` is constant; rounding undoes that of the division
        let multiple = b.sub(args[0], y)?;
        let quotient = b.div(multiple, args[1])?;
        let whole = b.map(ScalarOp::Round, &[quotient])?;
        let slope = b.neg(whole)?;
        Ok(vec![Some(ct), Some(b.mul(ct, slope)?)])
    }),
    domain: &[(2.1, 2.3), (0.8, 1.0)],
    ulps: 0.0,
    cost: 6,
    derivative: "1, -(lhs - y) / rhs",
    doc: "Remainder of the quotient truncated towards 0, with the sign of `lhs`, as C's `fmod`; exact. By 0 it is \
        NaN, on integers 0.",
};
