//! `constant`: a tensor that is known when compiling.

use super::{EvalError, Attr, AttrError, AttrReader, Operator, TypeError, Types};
use crate::{Tensor, Type};

/// A tensor that is known when compiling.
///
/// ```text
/// %0 = constant [1.0, 2.0] : f32[2]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Constant {
    /// The value.
    pub value: Tensor,
}

impl Operator for Constant {
    const MNEMONIC: &'static str = "constant";
    const OPERANDS: &'static [&'static str] = &[];

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        let value = attrs.literal.take().ok_or_else(|| AttrError("wants a literal".to_owned()))?;
        Ok(Constant { value })
    }

    fn infer(&self, _: &[Type]) -> Result<Types, TypeError> {
        Ok(smallvec::smallvec![self.value.ty().clone()])
    }

    fn eval(&self, _: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![self.value.clone()])
    }
}
