//! `call`: another function of the program.

use super::{EvalError, Attr, AttrError, AttrReader, Operator, TypeError, Types, attr::AttrValue};
use crate::{Symbol, Tensor, Type};

/// The results of another function of the program. The verifier checks the types against the callee's.
///
/// ```text
/// %1:2 = call %x, %w {func=@block} : f32[2], f32[3]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// The function, which stands before the caller.
    pub func: Symbol,
    /// The types of its results.
    pub results: Vec<Type>,
}

impl Operator for Call {
    const MNEMONIC: &'static str = "call";
    const OPERANDS: &'static [&'static str] = &["...args"];

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("func", self.func.to_attr())]
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(Call { func: attrs.take("func")?, results: attrs.results.to_vec() })
    }

    fn infer(&self, _: &[Type]) -> Result<Types, TypeError> {
        Ok(self.results.iter().cloned().collect())
    }

    fn eval(&self, _: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        Err(EvalError::NotLocal(Self::MNEMONIC))
    }
}
