//! `concat`: tensors one after another along an axis.

use super::{EvalError, Operator, TypeError, Types};
use super::eval::{element_at, result_type, tensor_of};
use crate::{Tensor, Type};

/// Tensors one after another along an axis.
///
/// ```text
/// %0 = concat %a, %b {axis=0} : f32[5]            // from f32[2] and f32[3]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Concat {
    /// The axis along which they follow.
    pub axis: usize,
}

impl Operator for Concat {
    const MNEMONIC: &'static str = "concat";
    const OPERANDS: &'static [&'static str] = &["first", "...rest"];
    attrs!(axis);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let first = &args[0];
        ensure!(self.axis < first.rank(), "axis {} of {first}", self.axis);
        let mut shape = first.shape.to_vec();
        shape[self.axis] = 0;
        for x in args {
            let same = x.dtype == first.dtype
                && x.rank() == first.rank()
                && (0..x.rank()).all(|a| a == self.axis || x.shape[a] == first.shape[a]);
            ensure!(same, "{x} does not fit {first} but for axis {}", self.axis);
            shape[self.axis] += x.shape[self.axis];
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
}
