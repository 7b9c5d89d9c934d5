//! `min`.

use super::{Accepts, Direction, ScalarDef, ScalarGrad, numeric};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "min",
    operands: &["lhs", "rhs"],
    accepts: Accepts::Number,
    eval: |_, _, args| numeric(args, |x| if x[0] < x[1] || x[0].is_nan() { x[0] } else { x[1] }, |x| x[0].min(x[1])),
    grad: ScalarGrad::Vjp(|b, args, _, ct| {
        let zero = b.zeros_like(ct)?;
        let half = b.full_like(ct, 0.5)?;
        let shared = b.mul(ct, half)?;
        let equal = b.compare(Direction::Eq, args[0], args[1])?;
        let first = b.compare(Direction::Lt, args[0], args[1])?;
        let (own, other) = (b.select(first, ct, zero)?, b.select(first, zero, ct)?);
        Ok(vec![Some(b.select(equal, shared, own)?), Some(b.select(equal, shared, other)?)])
    }),
    domain: &[(0.1, 1.0), (1.1, 2.0)],
    ulps: 0.0,
    cost: 1,
    derivative: "1 for the smaller, 1/2 for both if equal",
    doc: "The smaller; NaN if either is; of two zeros `rhs`. Equal operands share the derivative evenly.",
};
