//! `iota`: each element is its own index along one axis.

use super::{EvalError, Attr, AttrError, AttrReader, Operator, TypeError, Types, attr::AttrValue};
use super::eval::{tensor_of};
use crate::{DType, Scalar, Tensor, Type};

/// Each element is its own index along one axis.
///
/// ```text
/// %0 = iota {axis=1} : i64[2,3]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Iota {
    /// The result's type: any dtype but bool.
    pub ty: Type,
    /// The axis that is counted.
    pub axis: usize,
}

impl Operator for Iota {
    const MNEMONIC: &'static str = "iota";
    const OPERANDS: &'static [&'static str] = &[];

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axis", self.axis.to_attr())]
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(Iota { axis: attrs.take("axis")?, ty: attrs.result()?.clone() })
    }

    fn infer(&self, _: &[Type]) -> Result<Types, TypeError> {
        ensure!(self.axis < self.ty.rank(), "axis {} of {}", self.axis, self.ty);
        ensure!(self.ty.dtype != DType::Bool, "makes numbers, not bool");
        Ok(smallvec::smallvec![self.ty.clone()])
    }

    fn eval(&self, _: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![tensor_of(&self.ty, |i| Scalar::Int(i[self.axis] as i64))])
    }
}
