//! How cotangents pass through a call: by a forward and a backward function, or by a custom derivative.

use std::rc::Rc;

use dlc_ir::{Function, Loc, Symbol};

use super::joint::Joint;
use super::split::{self, Split};
use super::{AutodiffError, Differentiator};

/// An argument of a backward function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saved {
    Argument(usize),
    Result(usize),
}

/// The two functions that replace a differentiated one.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) forward: Symbol,
    pub(super) backward: Symbol,
    /// The first operands of `backward`.
    pub(super) saved: Vec<Saved>,
    /// The indices of the results whose cotangents follow.
    pub(super) seeded: Vec<usize>,
    /// For each argument the result of `backward` that is its cotangent.
    pub(super) grads: Vec<Option<usize>>,
}

/// How cotangents pass through a call.
#[derive(Debug)]
pub(super) enum Pullback {
    Pair(Pair),
    /// A custom derivative: (arguments, cotangents of the floating-point results) → cotangents of the floating-point arguments.
    Custom {
        vjp: Symbol,
        grads: Vec<Option<usize>>,
    },
}

impl Pullback {
    /// For each argument the result of the backward function that is its cotangent.
    pub(super) fn grads(&self) -> &[Option<usize>] {
        match self {
            Pullback::Pair(Pair { grads, .. }) | Pullback::Custom { grads, .. } => grads,
        }
    }
}

impl Differentiator<'_> {
    /// The pullback of a call of `func`, from cotangents of the results in `results` to those of the arguments in `args`; `None`
    /// if all of these are zero.
    pub(super) fn pullback(
        &mut self,
        func: &Symbol,
        args: &[bool],
        results: &[bool],
        loc: Loc,
    ) -> Result<Option<Rc<Pullback>>, AutodiffError> {
        let key = (func.clone(), args.to_vec(), results.to_vec(), self.in_again);
        if let Some(known) = self.pullbacks.get(&key) {
            return Ok(known.clone());
        }
        let f = self.ready(func)?.clone();
        let pullback = match &f.vjp {
            Some(vjp) => Some(self.custom(&f, vjp, loc)?),
            None => self.pair(&f, args, results)?,
        };
        let pullback = pullback.map(Rc::new);
        self.pullbacks.insert(key, pullback.clone());
        Ok(pullback)
    }

    fn pair(&mut self, f: &Function, args: &[bool], results: &[bool]) -> Result<Option<Pullback>, AutodiffError> {
        let mut joint: Joint = self.joint(f, args, results)?;
        if joint.grads.iter().all(Option::is_none) {
            return Ok(None);
        }
        if !self.in_again {
            joint.function = (self.optimise)(joint.function, &self.out);
        }
        let names = (self.fresh_name(&f.name, "fwd"), self.fresh_name(&f.name, "bwd"));
        let Split { forward, backward, saved, seeded } = split::split(&joint, names.0, names.1);
        let pair =
            Pair { forward: forward.name.clone(), backward: backward.name.clone(), saved, seeded, grads: joint.grads };
        self.forwards.insert(forward.name.clone(), f.name.clone());
        self.out.insert(forward);
        self.out.insert(backward);
        Ok(Some(Pullback::Pair(pair)))
    }

    /// A custom derivative, whose type is checked here.
    pub(super) fn custom(&mut self, f: &Function, vjp: &Symbol, loc: Loc) -> Result<Pullback, AutodiffError> {
        let rule = self.ready(vjp)?;
        let floats = f.args().iter().filter(|a| a.ty.dtype.is_float()).count();
        let results = f.results.iter().map(|r| f.ty(r.value)).filter(|ty| ty.dtype.is_float());
        let operands = f.args().iter().map(|a| &a.ty).chain(results);
        let gradients = f.args().iter().map(|a| &a.ty).filter(|ty| ty.dtype.is_float());
        let message = if !rule.args().iter().map(|a| &a.ty).eq(operands) {
            "it must take the arguments, then the cotangents of the floating-point results"
        } else if !rule.results.iter().map(|r| rule.ty(r.value)).eq(gradients) {
            "it must return the cotangents of the floating-point arguments"
        } else {
            let mut numbers = 0..floats;
            let grads = f.args().iter().map(|a| if a.ty.dtype.is_float() { numbers.next() } else { None });
            return Ok(Pullback::Custom { vjp: vjp.clone(), grads: grads.collect() });
        };
        let message = message.to_owned();
        Err(AutodiffError::CustomGradient { func: f.name.clone(), vjp: vjp.clone(), message, loc })
    }
}
