//! `iota`: the index of each element along one axis.

use super::eval::tensor_of;
use super::{
    Attr, AttrError, AttrReader, Doc, EvalError, Grad, Operator, Sample, Tolerance, TypeError, Types, attr::AttrValue,
};
use crate::compute::{Compute, Expr, Index, Lowering};
use crate::{DType, Scalar, Tensor, Type};

/// The index of each element along one axis. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Iota {
    /// The result's type: any dtype but bool.
    pub ty: Type,
    pub axis: usize,
}

impl Operator for Iota {
    const MNEMONIC: &'static str = "iota";
    const OPERANDS: &'static [&'static str] = &[];
    const DOC: Doc = Doc {
        meaning: "The index of each element along one axis, converted to the dtype as `convert` does.",
        attributes: &[("axis", "the axis of the index")],
        types: "No operands; any result type but bool with that axis.",
        gradient: "Zero: there are no operands.",
    };

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axis", self.axis.to_attr())]
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(Iota { axis: attrs.take("axis")?, ty: attrs.result()?.clone() })
    }

    fn infer(&self, _: &[Type]) -> Result<Types, TypeError> {
        ensure!(self.axis < self.ty.rank(), "axis {} out of range for {}", self.axis, self.ty);
        ensure!(self.ty.dtype != DType::Bool, "expected a numeric dtype, found bool");
        Ok(smallvec::smallvec![self.ty.clone()])
    }

    fn eval(&self, _: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![tensor_of(&self.ty, |i| Scalar::Int(i[self.axis] as i64))])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Zero
    }

    fn lower(&self, _: &[Type]) -> Lowering {
        Compute::map(&self.ty, Expr::Position(Index::Axis(self.axis), self.ty.dtype))
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        let sample = |dtype, shape: &[usize], axis| Sample::new(Iota { ty: Type::new(dtype, shape), axis });
        vec![
            sample(DType::I64, &[2, 3], 1),
            sample(DType::F32, &[4], 0),
            sample(DType::F64, &[3, 1, 2], 0),
            sample(DType::I32, &[2, 0], 0),
            sample(DType::U8, &[300], 0),
        ]
    }
}
