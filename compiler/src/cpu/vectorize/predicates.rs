//! Expressions that depend on predicates of the position.

use super::{Elements, LaneStride};
use crate::kernel::{Binary, Compare, KernelBuilder, Unary, Val};
use crate::nest::expr::{ExprId, Predicate};

impl Elements<'_> {
    /// Predicates that are uniform across lanes become branches, the others a mask.
    pub(super) fn choose(
        &mut self,
        b: &mut KernelBuilder,
        predicates: &[Predicate],
        then: ExprId,
        other: ExprId,
    ) -> Val {
        let (moving, still): (Vec<&Predicate>, Vec<&Predicate>) =
            predicates.iter().partition(|t| self.lane_stride(t.index()) != LaneStride::Regular(0));
        let vector = self.is_moving(then) || self.is_moving(other) || !moving.is_empty();
        let lanes = if vector { self.lanes() } else { 1 };
        let chosen = |this: &mut Self, b: &mut KernelBuilder| {
            let Some(mask) = this.all(b, &moving) else {
                let val = this.eval(b, then);
                return b.splat(val, lanes);
            };
            let not = b.unary(Unary::Not, mask);
            let x = this.within(b, mask, then);
            let y = this.within(b, not, other);
            let val = b.select(mask, x, y);
            b.splat(val, lanes)
        };
        let Some(cond) = self.all(b, &still) else { return chosen(self, b) };
        match b.known_bool(cond) {
            Some(true) => return chosen(self, b),
            Some(false) => return self.eval(b, other),
            None => {}
        }
        let this = std::cell::RefCell::new(self);
        let results = b.branch(
            cond,
            |b| vec![this.borrow_mut().scope(false, |this| chosen(this, b))],
            |b| {
                vec![this.borrow_mut().scope(false, |this| {
                    let val = this.eval(b, other);
                    b.splat(val, lanes)
                })]
            },
        );
        results[0]
    }

    /// Evaluates an expression in those lanes only.
    fn within(&mut self, b: &mut KernelBuilder, mask: Val, id: ExprId) -> Val {
        let inner = match self.mask {
            Some(outer) => b.binary(Binary::And, outer, mask),
            None => mask,
        };
        let before = self.mask.replace(inner);
        let val = self.scope(false, |this| this.eval(b, id));
        self.mask = before;
        val
    }

    /// The conjunction of all predicates; `None` if there are none.
    pub fn all(&mut self, b: &mut KernelBuilder, predicates: &[&Predicate]) -> Option<Val> {
        let mut all = None;
        for predicate in predicates {
            let holds = self.predicate(b, predicate);
            all = Some(match all {
                Some(before) => b.and(before, holds),
                None => holds,
            });
        }
        all
    }

    /// Whether a predicate holds.
    fn predicate(&mut self, b: &mut KernelBuilder, predicate: &Predicate) -> Val {
        let index = self.index(b, predicate.index());
        match predicate {
            Predicate::InRange { low, high, .. } => {
                let (low, high) = (b.index(*low), b.index(*high));
                let from = b.compare(Compare::Ge, index, low);
                let below = b.compare(Compare::Lt, index, high);
                b.and(from, below)
            }
            Predicate::Divisible { divisor, .. } => {
                let rest = b.modulo(index, *divisor);
                let zero = b.index(0);
                b.compare(Compare::Eq, rest, zero)
            }
        }
    }
}
