//! `rem`.

use super::{Accepts, ScalarDef, ScalarGrad, numeric};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "rem",
    operands: &["lhs", "rhs"],
    accepts: Accepts::Number,
    eval: |_, _, args| {
        numeric(args, |x| libm::fmod(x[0], x[1]), |x| if x[1] == 0 { 0 } else { x[0].wrapping_rem(x[1]) })
    },
    grad: ScalarGrad::Vjp(|b, args, _, ct| {
        // x - trunc(x / y) * y, where the truncated quotient is constant
        let quotient = b.div(args[0], args[1])?;
        let size = b.abs(quotient)?;
        let whole = b.floor(size)?;
        let sign = b.sign(quotient)?;
        let whole = b.mul(whole, sign)?;
        let slope = b.neg(whole)?;
        Ok(vec![Some(ct), Some(b.mul(ct, slope)?)])
    }),
    domain: &[(0.1, 0.9), (1.0, 2.0)],
    ulps: 0.0,
    doc: "Remainder of the quotient truncated towards 0, with the sign of `lhs`, as C's `fmod`; exact. By 0 it is NaN, on integers 0.",
};
