//! `broadcast`: repeats a tensor along new axes.

use super::eval::{result_type, walk};
use super::{
    Attr, AttrError, AttrReader, Doc, EvalError, Grad, Operator, Sample, Tolerance, TypeError, Types, attr::AttrValue,
};
use crate::compute::{Compute, Expr, Index, Lowering};
use crate::scalar::Cotangents;
use crate::{Builder, DType, Shape, Tensor, Type, Value};

/// Repeats a tensor along new axes. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Broadcast {
    /// The result's shape.
    pub shape: Shape,
    /// For each axis of the operand the result's axis that it becomes, ascending.
    pub axes: Vec<usize>,
}

impl Operator for Broadcast {
    const MNEMONIC: &'static str = "broadcast";
    const OPERANDS: &'static [&'static str] = &["x"];
    const DOC: Doc = Doc {
        meaning: "Repeats a tensor along new axes: `result[i] = x[i[axes[0]], i[axes[1]], …]`.",
        attributes: &[("axes", "for each axis of the operand the result's axis that it becomes, ascending")],
        types: "The operand's sizes equal those of the result's axes that `axes` maps them to; an axis of size 1 is \
            not stretched.",
        gradient: "The sum along the new axes.",
    };

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axes", self.axes.to_attr())]
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(Broadcast { axes: attrs.take("axes")?, shape: attrs.result()?.shape.clone() })
    }

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        ensure!(self.axes.len() == x.rank(), "expected one axis for each axis of {x}, found {}", self.axes.len());
        ensure!(self.axes.is_sorted_by(|a, b| a < b), "expected ascending axes, found {:?}", self.axes);
        for (i, &axis) in self.axes.iter().enumerate() {
            ensure!(axis < self.shape.rank(), "axis {axis} out of range for {}", self.shape);
            ensure!(self.shape[axis] == x.shape[i], "size mismatch: axis {i} of {x} and axis {axis} of {}", self.shape);
        }
        Ok(smallvec::smallvec![x.with_shape(self.shape.clone())])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let x = &args[0];
        let ty = result_type(self, args)?;
        let mut steps = vec![0; self.shape.rank()];
        self.axes.iter().zip(x.shape().strides()).for_each(|(&a, stride)| steps[a] = stride);
        let positions = walk(&self.shape, &steps);
        Ok(vec![Tensor::from_fn(ty, |i| x.get(positions[i]))])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Vjp(vjp)
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let index = self.axes.iter().map(|&a| Index::Axis(a)).collect();
        Compute::map(&args[0].with_shape(self.shape.clone()), Expr::read(0, &args[0], index))
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        let sample = |dtype, from: &[usize], to: &[usize], axes: &[usize]| {
            Sample::new(Broadcast { shape: to.into(), axes: axes.to_vec() }).on(Type::new(dtype, from))
        };
        vec![
            sample(DType::F32, &[3], &[2, 3], &[1]),
            sample(DType::F64, &[], &[2, 3], &[]),
            sample(DType::F64, &[2], &[2, 3], &[0]),
            sample(DType::F64, &[2, 3], &[2, 4, 3], &[0, 2]),
            sample(DType::F64, &[1], &[1, 2, 1], &[2]),
            sample(DType::I32, &[0], &[0, 3], &[0]),
            sample(DType::Bool, &[2], &[0, 2], &[1]),
        ]
    }
}

fn vjp(op: &Broadcast, b: &mut Builder, _: &[Value], _: &[Value], cts: &[Value]) -> Cotangents {
    let new: Vec<usize> = (0..op.shape.rank()).filter(|a| !op.axes.contains(a)).collect();
    Ok(vec![Some(b.sum(cts[0], &new)?)])
}
