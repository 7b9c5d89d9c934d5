//! `slice`: a part of each axis, at constant positions.

use super::{EvalError, Operator, TypeError, Types};
use super::eval::{element_at, result_type, tensor_of};
use crate::{Tensor, Type};

/// Of each axis the positions `start, start + stride, …` below `limit`.
///
/// ```text
/// %0 = slice %x {start=[0,1], limit=[2,6], stride=[1,2]} : f32[2,3]
/// ```
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
    attrs!(start, limit, stride);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        let rank = x.rank();
        let fits = self.start.len() == rank && self.limit.len() == rank && self.stride.len() == rank;
        ensure!(fits, "wants a start, a limit and a stride for each axis of {x}");
        let mut shape = vec![];
        for axis in 0..rank {
            let (start, limit, stride) = (self.start[axis], self.limit[axis], self.stride[axis]);
            ensure!(start <= limit && limit <= x.shape[axis], "{start}..{limit} on axis {axis} of {x}");
            ensure!(stride > 0, "stride 0 on axis {axis}");
            shape.push((limit - start).div_ceil(stride));
        }
        Ok(smallvec::smallvec![x.with_shape(shape)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let place = |i: &[usize], a: usize| self.start[a] + i[a] * self.stride[a];
        let element = |i: &[usize]| element_at(&args[0], (0..i.len()).map(|a| place(i, a)));
        Ok(vec![tensor_of(&result_type(self, args)?, element)])
    }
}
