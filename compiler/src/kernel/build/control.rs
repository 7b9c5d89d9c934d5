//! Loops and branches.

use super::KernelBuilder;
use crate::kernel::ir::*;

impl KernelBuilder {
    /// `for var in (begin..end).step_by(step) { body }`.
    pub fn repeat(&mut self, begin: Val, end: Val, step: i64, body: impl FnOnce(&mut Self, Val)) {
        self.fold(begin, end, step, &[], |b, var, _| {
            body(b, var);
            Vec::new()
        });
    }

    /// `for var in 0..n { body }`; without a loop if there is one iteration.
    pub fn count(&mut self, n: usize, body: impl FnOnce(&mut Self, Val)) {
        let (begin, end) = (self.index(0), self.index(n as i64));
        self.repeat(begin, end, 1, body);
    }

    /// A loop with carried values: `body` gets them and returns the next ones; the result is those after the last iteration.
    pub fn fold(
        &mut self,
        begin: Val,
        end: Val,
        step: i64,
        init: &[Val],
        body: impl FnOnce(&mut Self, Val, &[Val]) -> Vec<Val>,
    ) -> Vec<Val> {
        if let (Some(b), Some(e)) = (self.known_index(begin), self.known_index(end)) {
            if b >= e {
                return init.to_vec();
            }
            if b + step >= e {
                return body(self, begin, init);
            }
        }
        self.looped(begin, end, step, false, init, None, body)
    }

    /// Like [`KernelBuilder::fold`] with constant bounds, unrolled: emitters emit the body once per iteration.
    pub fn unrolled(
        &mut self,
        iterations: usize,
        init: &[Val],
        body: impl FnOnce(&mut Self, Val, &[Val]) -> Vec<Val>,
    ) -> Vec<Val> {
        let (begin, end) = (self.index(0), self.index(iterations as i64));
        match iterations {
            0 => init.to_vec(),
            1 => body(self, begin, init),
            _ => self.looped(begin, end, 1, true, init, None, body),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the one place that all loops come from")]
    pub(super) fn looped(
        &mut self,
        begin: Val,
        end: Val,
        step: i64,
        unroll: bool,
        init: &[Val],
        range: Option<(i64, i64)>,
        body: impl FnOnce(&mut Self, Val, &[Val]) -> Vec<Val>,
    ) -> Vec<Val> {
        assert!(step > 0, "loops count upwards");
        let certain = match (self.range(begin), self.range(end)) {
            (Some((_, begin)), Some((end, _))) => begin < end,
            _ => false,
        };
        // The chunk range is never empty.
        let certain = certain || (begin, end) == (Kernel::BEGIN, Kernel::END);
        let range = range.or_else(|| Some((self.range(begin)?.0, self.range(end)?.1 - 1)));
        let depth = self.scopes.len();
        self.open(certain);
        let var = self.define(Ty::INDEX, depth, None, range);
        let args: Vec<Val> = init
            .iter()
            .map(|&v| {
                let ty = self.ty(v);
                self.define(ty, depth, None, None)
            })
            .collect();
        let next = body(self, var, &args);
        assert_eq!(next.len(), init.len(), "a loop returns as many values as it carries");
        let block = self.close();
        let mut results = Vec::with_capacity(init.len());
        let mut carried = Vec::with_capacity(init.len());
        for ((&init, &arg), &next) in init.iter().zip(&args).zip(&next) {
            assert_eq!(self.ty(init), self.ty(next), "a carried value keeps its type");
            let result = self.define(self.ty(init), depth - 1, None, None);
            carried.push(Carried { init, arg, next, result });
            results.push(result);
        }
        self.push(Stmt::Loop(Box::new(Loop { var, begin, end, step, unroll, carried, body: block })));
        results
    }

    /// `if cond { then } else { otherwise }` with the values that both branches return.
    pub fn branch(
        &mut self,
        cond: Val,
        then: impl FnOnce(&mut Self) -> Vec<Val>,
        otherwise: impl FnOnce(&mut Self) -> Vec<Val>,
    ) -> Vec<Val> {
        self.branching(cond, false, then, otherwise)
    }

    /// The same for a condition that is unlikely to hold.
    pub fn rarely(
        &mut self,
        cond: Val,
        then: impl FnOnce(&mut Self) -> Vec<Val>,
        otherwise: impl FnOnce(&mut Self) -> Vec<Val>,
    ) -> Vec<Val> {
        self.branching(cond, true, then, otherwise)
    }

    fn branching(
        &mut self,
        cond: Val,
        is_rare: bool,
        then: impl FnOnce(&mut Self) -> Vec<Val>,
        otherwise: impl FnOnce(&mut Self) -> Vec<Val>,
    ) -> Vec<Val> {
        assert_eq!(self.ty(cond), Ty::scalar(Elem::Bool));
        match self.known_bool(cond) {
            Some(true) => return then(self),
            Some(false) => return otherwise(self),
            None => {}
        }
        let depth = self.scopes.len();
        self.open(false);
        let a = then(self);
        let first = self.close();
        self.open(false);
        let b = otherwise(self);
        let second = self.close();
        assert_eq!(a.len(), b.len(), "both branches return as many values");
        let mut results = Vec::new();
        for (&then, &otherwise) in a.iter().zip(&b) {
            assert_eq!(self.ty(then), self.ty(otherwise), "both branches return the same types");
            let result = self.define(self.ty(then), depth - 1, None, None);
            results.push(Merged { then, otherwise, result });
        }
        let vals = results.iter().map(|m| m.result).collect();
        self.push(Stmt::If(Box::new(If { cond, then: first, otherwise: second, results, is_rare })));
        vals
    }

    /// `if cond { body }`.
    pub fn when(&mut self, cond: Val, body: impl FnOnce(&mut Self)) {
        self.branch(
            cond,
            |b| {
                body(b);
                Vec::new()
            },
            |_| Vec::new(),
        );
    }
}
