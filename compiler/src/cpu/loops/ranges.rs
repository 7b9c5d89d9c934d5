//! Predicates of a reduction as the bounds of its loops: what they exclude is not visited.

use std::cell::RefCell;

use super::{LoopEmitter, TilePoint};
use crate::cpu::tiling::VectorAxis;
use crate::cpu::vectorize::Elements;
use crate::kernel::{Binary, KernelBuilder, Val};
use crate::nest::affine::AffineIndex;
use crate::nest::expr::Predicate;
use crate::nest::nests::NestReduce;
use crate::nest::ranges::ReducedRange;

impl LoopEmitter<'_> {
    /// The range to which a predicate restricts a loop: it is the same for all points and lanes. Unlikely code tests predicates where
    /// it reads, which is as easily proved as it is slow.
    pub(super) fn range(&self, predicate: &Predicate) -> Option<ReducedRange> {
        let plan = &self.plan;
        if plan.is_rare {
            return None;
        }
        let index = predicate.index();
        let is_moving = |axis: usize| plan.jammed(axis) > 1 || plan.lane == VectorAxis::Parallel(axis);
        let range = predicate.range(self.nest.parallel)?;
        let is_lane = range.axis().is_some_and(|axis| plan.lane == VectorAxis::Reduction(axis));
        (!is_lane && !index.axes().into_iter().any(is_moving)).then_some(range)
    }

    /// Visits the reduction unless a predicate excludes all of it.
    pub(super) fn visited(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        carried: Vec<Val>,
        points: &[TilePoint],
    ) -> Vec<Val> {
        let whole = |p: &&Predicate| matches!(self.range(p), Some(ReducedRange::Whole));
        let whole: Vec<&Predicate> = reduce.predicates.iter().filter(whole).collect();
        let cond = elements.all(b, &whole);
        self.where_holds(b, elements, cond, carried, |b, elements, carried| {
            self.iterations(b, elements, reduce, self.nest.parallel, carried, points)
        })
    }

    /// Goes on where a condition holds, if there is one, and keeps what is carried where it does not.
    pub(super) fn where_holds(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        cond: Option<Val>,
        carried: Vec<Val>,
        body: impl FnOnce(&mut KernelBuilder, &mut Elements<'_>, Vec<Val>) -> Vec<Val>,
    ) -> Vec<Val> {
        let Some(cond) = cond else { return body(b, elements, carried) };
        let elements = RefCell::new(elements);
        b.branch(
            cond,
            |b| elements.borrow_mut().inside(|elements| body(b, elements, carried.clone())),
            |_| carried.clone(),
        )
    }

    /// The first and the end of the elements of a reduction axis that predicates leave; none if all are visited.
    pub(super) fn bounds(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        axis: usize,
    ) -> Option<(Val, Val)> {
        let mut bounds = None;
        for predicate in &reduce.predicates {
            let Some(ReducedRange::Axis { axis: of, factor, rest, low, high }) = self.range(predicate) else {
                continue;
            };
            if of != axis {
                continue;
            }
            let (begin, end) = bounds.unwrap_or_else(|| (b.index(0), b.index(self.nest.extents[axis] as i64)));
            let rest = elements.first(b, &rest);
            // Where the axis counts backwards, `-high < -rest + |factor| * axis <= -low`.
            let (rest, low, high) = match factor > 0 {
                true => (rest, low, high),
                false => (b.mul_const(rest, -1), 1 - high, 1 - low),
            };
            let factor = factor.abs();
            let from = |b: &mut KernelBuilder, bound: i64| {
                // the quotient, rounded up
                let distance = b.mul_const(rest, -1);
                let distance = b.add_const(distance, bound + factor - 1);
                if factor == 1 { distance } else { b.div_floor(distance, factor) }
            };
            let (first, last) = (from(b, low), from(b, high));
            bounds = Some((b.binary(Binary::Max, begin, first), b.binary(Binary::Min, end, last)));
        }
        bounds
    }

    /// Whether a predicate holds at every position on the parallel axes, since the reduction's position is known.
    pub(super) fn is_known(&self, b: &KernelBuilder, elements: &Elements<'_>, predicate: &Predicate) -> bool {
        // Of the lane axis the position is that of the first lane only.
        let is_one = |axis: usize| axis >= self.nest.parallel && self.plan.lane != VectorAxis::Reduction(axis);
        let at = |axis: usize| match elements.axes[axis].filter(|_| is_one(axis)) {
            Some(at) => b.known_index(at).map_or_else(|| AffineIndex::axis(axis), AffineIndex::constant),
            None => AffineIndex::axis(axis),
        };
        let axes: Vec<AffineIndex> = (0..self.nest.extents.len()).map(at).collect();
        let here = predicate.substitute(&axes, &self.nest.extents, &mut |data| data);
        here.known(&self.nest.extents) == Some(true)
    }
}
