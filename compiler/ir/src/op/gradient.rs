//! `gradient`: a function together with its derivatives.

use std::sync::Arc;

use smallvec::smallvec;

use super::{
    Attr, AttrError, AttrReader, Callee, Callees, Doc, EvalError, Grad, Operator, Sample, Tolerance, TypeError, Types,
    attr::AttrValue,
};
use crate::compute::{Lowering, Special};
use crate::{DType, Symbol, Tensor, Type};

/// The results of a function and its derivatives; differentiation expands it. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gradient {
    pub func: Symbol,
    /// The index of the result that is differentiated.
    pub of: usize,
    /// The indices of the floating-point arguments with respect to which it is differentiated.
    pub wrt: Vec<usize>,
    pub results: Arc<[Type]>,
}

impl Operator for Gradient {
    const MNEMONIC: &'static str = "gradient";
    const OPERANDS: &'static [&'static str] = &["...args"];
    const DOC: Doc = Doc {
        meaning: "The results of a function, followed by the derivatives of one of them, a floating-point scalar, \
            with respect to some of the arguments. Differentiation expands it.",
        attributes: &[
            ("func", "the function, which is defined before the caller"),
            ("of", "the index of the result that is differentiated; omitted if 0"),
            ("wrt", "the indices of the floating-point arguments with respect to which it is differentiated"),
        ],
        types: "The verifier checks the types against the function's.",
        gradient: "By differentiating the function again, so that derivatives have any order.",
    };

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        let of = (self.of > 0).then(|| ("of", self.of.to_attr()));
        [("func", self.func.to_attr())].into_iter().chain(of).chain([("wrt", self.wrt.to_attr())]).collect()
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        let (func, of) = (attrs.take("func")?, attrs.take_if_given("of")?.unwrap_or(0));
        let wrt: Vec<usize> = attrs.take("wrt")?;
        let own = attrs.results.len().checked_sub(wrt.len());
        let own = own.ok_or_else(|| AttrError("more derivatives than results".to_owned()))?;
        Ok(Gradient { func, of, wrt, results: attrs.results[..own].into() })
    }

    fn callees(&self) -> Callees<'_> {
        smallvec![Callee { func: &self.func, results: &self.results }]
    }

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let objective = self.results.get(self.of).is_some_and(|ty| ty.dtype.is_float() && ty.rank() == 0);
        ensure!(objective, "result {} of {} must be a floating-point scalar", self.of, self.func);
        let mut types: Types = self.results.iter().cloned().collect();
        for &i in &self.wrt {
            ensure!(i < args.len() && args[i].dtype.is_float(), "argument {i} is not a floating-point one");
            types.push(args[i].clone());
        }
        Ok(types)
    }

    fn eval(&self, _: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        Err(EvalError::NotLocal(Self::MNEMONIC))
    }

    fn grad(&self) -> Grad<Self> {
        Grad::NotLocal
    }

    fn lower(&self, _: &[Type]) -> Lowering {
        Lowering::Special(Special::Gradient)
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::NotLocal
    }

    fn samples() -> Vec<Sample> {
        let sample = |of, results: &[Type]| {
            Sample::new(Gradient { func: "loss".into(), of, wrt: vec![0], results: results.into() })
                .on(Type::new(DType::F32, [2]))
        };
        let (scalar, vector) = (Type::scalar(DType::F32), Type::new(DType::F32, [3]));
        vec![sample(1, &[vector, scalar.clone()]), sample(0, &[scalar])]
    }
}
