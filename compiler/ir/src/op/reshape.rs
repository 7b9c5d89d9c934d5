//! `reshape`: the same elements in the same order with another shape.

use super::{EvalError, Attr, AttrError, AttrReader, Operator, TypeError, Types};
use super::eval::{result_type};
use crate::{Shape, Tensor, Type};

/// The same elements in the same row-major order with another shape.
///
/// ```text
/// %0 = reshape %image : f32[64,784]               // from f32[64,28,28]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reshape {
    /// The result's shape.
    pub shape: Shape,
}

impl Operator for Reshape {
    const MNEMONIC: &'static str = "reshape";
    const OPERANDS: &'static [&'static str] = &["x"];

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(Reshape { shape: attrs.result()?.shape.clone() })
    }

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        ensure!(x.shape.elements() == self.shape.elements(), "{x} has not as many elements as {}", self.shape);
        Ok(smallvec::smallvec![x.with_shape(self.shape.clone())])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let ty = result_type(self, args)?;
        Ok(vec![Tensor::from_fn(ty, |i| args[0].get(i))])
    }
}
