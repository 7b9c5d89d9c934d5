//! `pow`.

use super::{Accepts, Direction, ScalarDef, ScalarGrad, ScalarOp};
use crate::Scalar;

pub(super) static DEF: ScalarDef = ScalarDef {
    mnemonic: "pow",
    operands: &["lhs", "rhs"],
    accepts: Accepts::Float,
    eval: |_, _, args| Scalar::Float(libm::pow(args[0].as_f64(), args[1].as_f64())),
    grad: ScalarGrad::Vjp(|b, args, y, ct| {
        let (x, p) = (args[0], args[1]);
        let one = b.full_like(p, 1.0)?;
        let less = b.sub(p, one)?;
        let lower = b.pow(x, less)?;
        let slope = b.mul(p, lower)?;
        // x^0 is 1 for every x, so its derivative is 0 where p * x^(p - 1) would be 0 * inf
        let zero = b.zeros_like(p)?;
        let constant = b.compare(Direction::Eq, p, zero)?;
        let slope = b.select(constant, zero, slope)?;
        // 0^p is 0 for every positive p, where y * log(x) would be 0 * -inf; of 0^0, which is 1, the derivative by p is 0 too,
        // as PyTorch and JAX have it
        let log = b.log(x)?;
        let by_exponent = b.mul(y, log)?;
        let vanishes = b.compare(Direction::Eq, y, zero)?;
        let base_is_zero = b.compare(Direction::Eq, x, zero)?;
        let zero_to_zero = b.map(ScalarOp::And, &[base_is_zero, constant])?;
        let vanishes = b.map(ScalarOp::Or, &[vanishes, zero_to_zero])?;
        let by_exponent = b.select(vanishes, zero, by_exponent)?;
        Ok(vec![Some(b.mul(ct, slope)?), Some(b.mul(ct, by_exponent)?)])
    }),
    domain: &[(0.2, 3.0), (-2.0, 2.0)],
    ulps: 2.0,
    cost: 40,
    derivative: "rhs lhs^(rhs - 1), y log(lhs); 0 by lhs where rhs is 0, 0 by rhs where y is 0 and at 0^0",
    doc: "`lhs` to the power `rhs`, as C's `pow`: anything to the power 0 is 1, 1 to any power is 1, a negative \
        base takes whole exponents only.",
};
