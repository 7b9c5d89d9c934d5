//! `convert`.

use super::{Accepts, ScalarDef, ScalarGrad, ScalarOp};

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "convert",
    operands: &["x"],
    accepts: Accepts::Any,
    eval: |f, _, args| match f {
        ScalarOp::Convert(to) => args[0].convert(to),
        _ => args[0],
    },
    grad: ScalarGrad::Vjp(|b, args, _, ct| {
        let from = b.ty(args[0]).dtype;
        let through = from.is_float() && b.ty(ct).dtype.is_float();
        Ok(vec![if through { Some(b.convert(ct, from)?) } else { None }])
    }),
    domain: &[(-4.0, 4.0)],
    ulps: 0.5,
    cost: 4,
    derivative: "1 between floats, else none",
    doc: "`x` in the result's dtype. Between floats it rounds to nearest even; float to integer truncates towards \
        0 and saturates, NaN becomes 0; integer to integer wraps; anything to bool is `x != 0`, NaN is true; bool \
        to number is 0 or 1.",
};
