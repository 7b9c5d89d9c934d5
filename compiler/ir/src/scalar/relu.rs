//! `relu`.

use super::{Accepts, Direction, ScalarDef, ScalarGrad, numeric};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "relu",
    operands: &["x"],
    accepts: Accepts::Number,
    eval: |_, _, args| numeric(args, |x| if x[0] <= 0.0 { 0.0 } else { x[0] }, |x| x[0].max(0)),
    grad: ScalarGrad::Vjp(|b, _, y, ct| {
        // expressed by the result, which the next layer saves for its own derivative, so that the operand need not be saved too
        let zero = b.zeros_like(y)?;
        let positive = b.compare(Direction::Gt, y, zero)?;
        Ok(vec![Some(b.select(positive, ct, zero)?)])
    }),
    domain: &[(0.1, 4.0)],
    ulps: 0.0,
    cost: 1,
    derivative: "1 where x > 0, else 0",
    doc: "`x` if positive, else 0; NaN stays NaN. The derivative at 0 is 0.",
};
