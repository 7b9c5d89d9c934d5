//! `broadcast`: repeats a tensor along new axes.

use super::{EvalError, Attr, AttrError, AttrReader, Operator, TypeError, Types, attr::AttrValue};
use super::eval::{element_at, result_type, tensor_of};
use crate::{Shape, Tensor, Type};

/// Repeats a tensor along new axes: `result[i] = x[i[axes[0]], i[axes[1]], …]`.
///
/// ```text
/// %1 = broadcast %b {axes=[1]} : f32[32,128]      // from f32[128]
/// ```
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

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axes", self.axes.to_attr())]
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(Broadcast { axes: attrs.take("axes")?, shape: attrs.result()?.shape.clone() })
    }

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        ensure!(self.axes.len() == x.rank(), "{} axes for {x}", self.axes.len());
        ensure!(self.axes.is_sorted_by(|a, b| a < b), "axes {:?} must ascend", self.axes);
        for (i, &axis) in self.axes.iter().enumerate() {
            ensure!(axis < self.shape.rank(), "axis {axis} of {}", self.shape);
            ensure!(self.shape[axis] == x.shape[i], "axis {i} of {x} does not fit axis {axis} of {}", self.shape);
        }
        Ok(smallvec::smallvec![x.with_shape(self.shape.clone())])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let x = &args[0];
        let element = |i: &[usize]| element_at(x, self.axes.iter().map(|&a| i[a]));
        Ok(vec![tensor_of(&result_type(self, args)?, element)])
    }
}
