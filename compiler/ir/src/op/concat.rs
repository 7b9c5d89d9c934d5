//! `concat`: concatenates tensors along an axis.

use super::eval::{element_at, result_type, tensor_of};
use super::{Doc, EvalError, Grad, Operator, Sample, Slice, Tolerance, TypeError, Types, lowered_type};
use crate::compute::{Compute, Expr, Guard, Index, Lowering};
use crate::scalar::Cotangents;
use crate::{Builder, DType, Scalar, Tensor, Type, Value};

/// Concatenates tensors along an axis. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Concat {
    /// The axis of concatenation.
    pub axis: usize,
}

impl Operator for Concat {
    const MNEMONIC: &'static str = "concat";
    const OPERANDS: &'static [&'static str] = &["first", "...rest"];
    const DOC: Doc = Doc {
        meaning: "Concatenates tensors along an axis.",
        attributes: &[("axis", "the axis of concatenation")],
        types: "At least one operand; all have one dtype and, except along `axis`, the same sizes.",
        gradient: "For each operand a `slice`.",
    };
    attrs!(axis);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let first = &args[0];
        ensure!(self.axis < first.rank(), "axis {} out of range for {first}", self.axis);
        let mut shape = first.shape.to_vec();
        shape[self.axis] = 0;
        for x in args {
            let same = x.dtype == first.dtype
                && x.rank() == first.rank()
                && (0..x.rank()).all(|a| a == self.axis || x.shape[a] == first.shape[a]);
            ensure!(same, "size mismatch: {x} and {first} may differ on axis {} only", self.axis);
            let size = shape[self.axis].saturating_add(x.shape[self.axis]);
            ensure!(size < usize::MAX, "the result is too large on axis {}", self.axis);
            shape[self.axis] = size;
        }
        Ok(smallvec::smallvec![first.with_shape(shape)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let element = |i: &[usize]| {
            let mut source = i.to_vec();
            let mut parts = args.iter();
            loop {
                let part = parts.next().expect("the parts are as long as the result");
                let size = part.shape()[self.axis];
                if source[self.axis] < size {
                    return element_at(part, source);
                }
                source[self.axis] -= size;
            }
        };
        Ok(vec![tensor_of(&result_type(self, args)?, element)])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Vjp(vjp)
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let ty = lowered_type(self, args);
        let mut end = ty.shape[self.axis] as i64;
        let mut body: Option<Expr> = None;
        for (operand, part) in args.iter().enumerate().rev().filter(|(_, x)| x.shape[self.axis] > 0) {
            let (low, high) = (end - part.shape[self.axis] as i64, end);
            end = low;
            let mut index = Index::axes(0..ty.rank());
            index[self.axis] = Index::Axis(self.axis) + -low;
            let read = Expr::read(operand, part, index);
            body = Some(match body {
                None => read,
                Some(other) => {
                    let guards = vec![Guard::InRange { index: Index::Axis(self.axis), low, high }];
                    Expr::If { guards, then: Box::new(read), other: Box::new(other) }
                }
            });
        }
        // if every part is empty there is no element to compute
        Compute::map(&ty, body.unwrap_or(Expr::constant(ty.dtype, Scalar::zero(ty.dtype))))
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        let sample = |dtype, axis, shapes: &[&[usize]]| {
            shapes.iter().fold(Sample::new(Concat { axis }), |s, &shape| s.on(Type::new(dtype, shape)))
        };
        vec![
            sample(DType::F32, 0, &[&[2], &[3]]),
            sample(DType::F64, 1, &[&[2, 1], &[2, 3], &[2, 2]]),
            sample(DType::F64, 0, &[&[1, 2], &[0, 2], &[2, 2]]),
            sample(DType::F64, 2, &[&[2, 1, 2], &[2, 1, 1]]),
            sample(DType::I64, 0, &[&[4]]),
            sample(DType::Bool, 0, &[&[0], &[0]]),
        ]
    }
}

fn vjp(op: &Concat, b: &mut Builder, args: &[Value], _: &[Value], cts: &[Value]) -> Cotangents {
    let mut end = 0;
    let mut cotangents = vec![];
    for &arg in args {
        let shape = b.ty(arg).shape.clone();
        let (mut start, mut limit) = (vec![0; shape.rank()], shape.to_vec());
        start[op.axis] = end;
        end += shape[op.axis];
        limit[op.axis] = end;
        cotangents.push(Some(b.slice(cts[0], Slice { start, limit, stride: vec![1; shape.rank()] })?));
    }
    Ok(cotangents)
}
