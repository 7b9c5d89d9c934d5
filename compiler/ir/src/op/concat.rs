//! `concat`: tensors one after another along an axis.

use super::{Operator, TypeError, Types};
use crate::Type;

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
}
