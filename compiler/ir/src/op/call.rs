//! `call`: another function of the program.

use std::sync::Arc;

use smallvec::smallvec;

use super::{
    Attr, AttrError, AttrReader, Callee, Callees, Doc, EvalError, Grad, Operator, Sample, Tolerance, TypeError, Types,
    attr::AttrValue,
};
use crate::compute::{Lowering, Special};
use crate::{DType, Function, Loc, Locs, NodeId, Symbol, Tensor, Type};

/// The results of another function of the program. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// The callee, which is defined before the caller.
    pub func: Symbol,
    /// The types of its results.
    pub results: Arc<[Type]>,
    /// The source locations, in this call, of the callee's [checks](Function::checks), in their order; empty if those of the
    /// callee apply. Callers with equal kernels share one kernel, whose operators have a single location each.
    pub checks: Locs,
}

impl Call {
    /// A call whose callee's operators have their own locations.
    pub fn new(func: Symbol, results: impl Into<Arc<[Type]>>) -> Self {
        Call { func, results: results.into(), checks: Locs::default() }
    }

    /// The source location of a node of the callee in this call.
    pub fn loc_of(&self, callee: &Function, node: NodeId) -> Loc {
        let check = callee.checks().position(|check| check == node);
        let loc = check.and_then(|check| self.checks.as_slice().get(check));
        loc.copied().unwrap_or(callee.node(node).loc)
    }
}

impl Operator for Call {
    const MNEMONIC: &'static str = "call";
    const OPERANDS: &'static [&'static str] = &["...args"];
    const DOC: Doc = Doc {
        meaning: "Calls another function of the program.",
        attributes: &[("func", "the function, which is defined before the caller")],
        types: "The verifier checks the types against the callee's.",
        gradient: "The derivative of the callee, or its custom vjp.",
    };

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("func", self.func.to_attr())]
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(Call::new(attrs.take("func")?, attrs.results))
    }

    fn callees(&self) -> Callees<'_> {
        smallvec![Callee { func: &self.func, results: &self.results }]
    }

    fn infer(&self, _: &[Type]) -> Result<Types, TypeError> {
        Ok(self.results.iter().cloned().collect())
    }

    fn eval(&self, _: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        Err(EvalError::NotLocal(Self::MNEMONIC))
    }

    fn grad(&self) -> Grad<Self> {
        Grad::NotLocal
    }

    fn lower(&self, _: &[Type]) -> Lowering {
        Lowering::Special(Special::Call)
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::NotLocal
    }

    fn samples() -> Vec<Sample> {
        vec![Sample::new(Call::new("block".into(), vec![Type::new(DType::F32, [2])])).on(Type::new(DType::F32, [2]))]
    }
}
