//! `transpose`: permutes axes.

use super::eval::{result_type, walk_axes};
use super::{Doc, EvalError, Grad, Operator, Sample, Tolerance, TypeError, Types, are_axes, lowered_type};
use crate::compute::{Compute, Expr, Index, Lowering};
use crate::scalar::Cotangents;
use crate::{Builder, DType, Tensor, Type, Value};

/// Permutes axes. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transpose {
    /// A permutation of the operand's axes.
    pub perm: Vec<usize>,
}

impl Transpose {
    /// For each axis of the operand the result's axis that it becomes.
    pub fn inverse(&self) -> Vec<usize> {
        let mut inverse = vec![0; self.perm.len()];
        self.perm.iter().enumerate().for_each(|(i, &a)| inverse[a] = i);
        inverse
    }
}

impl Operator for Transpose {
    const MNEMONIC: &'static str = "transpose";
    const OPERANDS: &'static [&'static str] = &["x"];
    const DOC: Doc = Doc {
        meaning: "Permutes axes: axis `i` of the result is axis `perm[i]` of the operand.",
        attributes: &[("perm", "a permutation of the operand's axes")],
        types: "Any operand; the result has its sizes, permuted.",
        gradient: "The transpose by the inverse permutation.",
    };
    attrs!(perm);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        let fits = self.perm.len() == x.rank() && are_axes(&self.perm, x.rank());
        ensure!(fits, "expected a permutation of the axes of {x}, found {:?}", self.perm);
        Ok(smallvec::smallvec![x.with_shape(self.perm.iter().map(|&a| x.shape[a]).collect::<Vec<_>>())])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let ty = result_type(self, args)?;
        let positions = walk_axes(args[0].shape(), &self.perm);
        Ok(vec![Tensor::from_fn(ty, |i| args[0].get(positions[i]))])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Vjp(vjp)
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let index = self.inverse().into_iter().map(Index::Axis).collect();
        Compute::map(&lowered_type(self, args), Expr::read(0, &args[0], index))
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        let sample = |dtype, shape: &[usize], perm: &[usize]| {
            Sample::new(Transpose { perm: perm.to_vec() }).on(Type::new(dtype, shape))
        };
        vec![
            sample(DType::F32, &[2, 3], &[1, 0]),
            sample(DType::F64, &[2, 3, 4], &[2, 0, 1]),
            sample(DType::F64, &[2, 1, 3, 2], &[0, 2, 3, 1]),
            sample(DType::I64, &[], &[]),
            sample(DType::Bool, &[3], &[0]),
            sample(DType::U8, &[0, 3], &[1, 0]),
        ]
    }
}

fn vjp(op: &Transpose, b: &mut Builder, _: &[Value], _: &[Value], cts: &[Value]) -> Cotangents {
    Ok(vec![Some(b.transpose(cts[0], &op.inverse())?)])
}
