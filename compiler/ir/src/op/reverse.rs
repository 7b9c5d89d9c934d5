//! `reverse`: reverses axes.

use super::eval::{element_at, result_type, tensor_of};
use super::{Doc, EvalError, Grad, Operator, Sample, Tolerance, TypeError, Types, are_axes};
use crate::compute::{Compute, Expr, Index, Lowering};
use crate::scalar::Cotangents;
use crate::{Builder, DType, Tensor, Type, Value};

/// Reverses axes. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reverse {
    /// Distinct axes.
    pub axes: Vec<usize>,
}

impl Operator for Reverse {
    const MNEMONIC: &'static str = "reverse";
    const OPERANDS: &'static [&'static str] = &["x"];
    const DOC: Doc = Doc {
        meaning: "Reverses axes.",
        attributes: &[("axes", "distinct axes")],
        types: "Any operand; the result has its type.",
        gradient: "The same reversal.",
    };
    attrs!(axes);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        ensure!(are_axes(&self.axes, x.rank()), "expected distinct axes of {x}, found {:?}", self.axes);
        Ok(smallvec::smallvec![x.clone()])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let x = &args[0];
        let turned = |a: usize, i: usize| if self.axes.contains(&a) { x.shape()[a] - 1 - i } else { i };
        let element = |i: &[usize]| element_at(x, i.iter().enumerate().map(|(a, &i)| turned(a, i)));
        Ok(vec![tensor_of(&result_type(self, args)?, element)])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Vjp(vjp)
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let x = &args[0];
        let position = |a: usize| {
            if self.axes.contains(&a) { Index::Axis(a) * -1 + (x.shape[a] as i64 - 1) } else { Index::Axis(a) }
        };
        Compute::map(x, Expr::read(0, x, (0..x.rank()).map(position).collect()))
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        let sample = |dtype, shape: &[usize], axes: &[usize]| {
            Sample::new(Reverse { axes: axes.to_vec() }).on(Type::new(dtype, shape))
        };
        vec![
            sample(DType::F32, &[3], &[0]),
            sample(DType::F64, &[2, 3], &[1]),
            sample(DType::F64, &[2, 3, 2], &[2, 0]),
            sample(DType::I32, &[0, 2], &[0]),
            sample(DType::Bool, &[], &[]),
        ]
    }
}

fn vjp(op: &Reverse, b: &mut Builder, _: &[Value], _: &[Value], cts: &[Value]) -> Cotangents {
    Ok(vec![Some(b.reverse(cts[0], &op.axes)?)])
}
