//! `constant`: a tensor that is known at compile time.

use super::{Attr, AttrError, AttrReader, Doc, EvalError, Grad, Operator, Sample, Tolerance, TypeError, Types};
use crate::compute::{Lowering, Special};
use crate::{DType, Scalar, Tensor, Type};

/// A tensor that is known at compile time. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Constant {
    pub value: Tensor,
}

impl Operator for Constant {
    const MNEMONIC: &'static str = "constant";
    const OPERANDS: &'static [&'static str] = &[];
    const DOC: Doc = Doc {
        meaning: "A tensor that is known at compile time.",
        attributes: &[],
        types: "No operands; the result has the type of the literal.",
        gradient: "Zero: there are no operands.",
    };

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        let value = attrs.literal.take().ok_or_else(|| AttrError("expected a literal".to_owned()))?;
        Ok(Constant { value })
    }

    fn infer(&self, _: &[Type]) -> Result<Types, TypeError> {
        Ok(smallvec::smallvec![self.value.ty().clone()])
    }

    fn eval(&self, _: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![self.value.clone()])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Zero
    }

    fn lower(&self, _: &[Type]) -> Lowering {
        Lowering::Special(Special::Constant)
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        let types = [
            Type::new(DType::F32, [2]),
            Type::scalar(DType::F64),
            Type::new(DType::I64, [2, 3]),
            Type::new(DType::Bool, [3]),
            Type::new(DType::U8, [0, 2]),
        ];
        let value = |ty: Type| Tensor::from_fn(ty, |i| Scalar::Float(i as f64 - 0.5));
        types.into_iter().map(|ty| Sample::new(Constant { value: value(ty) })).collect()
    }
}
