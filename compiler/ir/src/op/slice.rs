//! `slice`: slices each axis, at constant positions.

use super::eval::{element_at, result_type, tensor_of};
use super::{Doc, EvalError, Grad, Operator, Pad, Sample, Tolerance, TypeError, Types, lowered_type};
use crate::compute::{Compute, Expr, Index, Lowering};
use crate::scalar::Cotangents;
use crate::{Builder, DType, Tensor, Type, Value};

/// Slices each axis, at constant positions. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    /// First position of each axis.
    pub start: Vec<usize>,
    /// End of each axis, exclusive.
    pub limit: Vec<usize>,
    /// Step of each axis, at least 1.
    pub stride: Vec<usize>,
}

impl Operator for Slice {
    const MNEMONIC: &'static str = "slice";
    const OPERANDS: &'static [&'static str] = &["x"];
    const DOC: Doc = Doc {
        meaning: "Selects on each axis the positions `start, start + stride, …` below `limit`.",
        attributes: &[
            ("start", "first position of each axis"),
            ("limit", "end of each axis, exclusive; at most the axis' size"),
            ("stride", "stride on each axis, at least 1"),
        ],
        types: "One number per axis of the operand; the result's sizes are `⌈(limit - start) / stride⌉`.",
        gradient: "A `pad` with zeros, the inverse: `interior = stride - 1`.",
    };
    attrs!(start, limit, stride);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        let rank = x.rank();
        let fits = self.start.len() == rank && self.limit.len() == rank && self.stride.len() == rank;
        ensure!(fits, "expected a start, a limit and a stride for each axis of {x}");
        let mut shape = vec![];
        for axis in 0..rank {
            let (start, limit, stride) = (self.start[axis], self.limit[axis], self.stride[axis]);
            ensure!(start <= limit && limit <= x.shape[axis], "{start}..{limit} out of range for axis {axis} of {x}");
            ensure!((1..Type::MAX_BYTES).contains(&stride), "stride {stride} out of range on axis {axis}");
            shape.push((limit - start).div_ceil(stride));
        }
        Ok(smallvec::smallvec![x.with_shape(shape)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let position = |i: &[usize], a: usize| self.start[a] + i[a] * self.stride[a];
        let element = |i: &[usize]| element_at(&args[0], (0..i.len()).map(|a| position(i, a)));
        Ok(vec![tensor_of(&result_type(self, args)?, element)])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Vjp(vjp)
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let ty = lowered_type(self, args);
        let position = |a: usize| Index::Axis(a) * self.stride[a] as i64 + self.start[a] as i64;
        Compute::map(&ty, Expr::read(0, &args[0], (0..ty.rank()).map(position).collect()))
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        let sample = |dtype, shape: &[usize], start: &[usize], limit: &[usize], stride: &[usize]| {
            let op = Slice { start: start.to_vec(), limit: limit.to_vec(), stride: stride.to_vec() };
            Sample::new(op).on(Type::new(dtype, shape))
        };
        vec![
            sample(DType::F32, &[2, 6], &[0, 1], &[2, 6], &[1, 2]),
            sample(DType::F64, &[5], &[1], &[4], &[1]),
            sample(DType::F64, &[7], &[1], &[7], &[3]),
            sample(DType::F64, &[3, 4, 2], &[1, 0, 1], &[2, 4, 2], &[1, 3, 5]),
            sample(DType::F64, &[3, 2], &[2, 0], &[2, 2], &[1, 1]),
            sample(DType::I64, &[], &[], &[], &[]),
            sample(DType::Bool, &[0, 3], &[0, 1], &[0, 3], &[2, 1]),
        ]
    }
}

fn vjp(op: &Slice, b: &mut Builder, args: &[Value], _: &[Value], cts: &[Value]) -> Cotangents {
    let sizes = b.ty(args[0]).shape.clone();
    let shape = b.ty(cts[0]).shape.clone();
    let (mut low, mut high, mut interior) = (vec![], vec![], vec![]);
    for (axis, &n) in shape.iter().enumerate() {
        let end = if n == 0 { op.start[axis] } else { op.start[axis] + (n - 1) * op.stride[axis] + 1 };
        low.push(op.start[axis] as i64);
        high.push((sizes[axis] - end) as i64);
        interior.push(op.stride[axis] - 1);
    }
    let zero = b.zero_of(cts[0])?;
    Ok(vec![Some(b.pad(cts[0], zero, Pad { low, high, interior })?)])
}
