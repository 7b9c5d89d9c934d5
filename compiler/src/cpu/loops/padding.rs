//! Padding of convolutions, and other predicates in sums of products.
//!
//! A register tile has no predicates in its innermost loop: padding is multiplied as zeros (`materialize.rs`). The sum is that
//! without padding, unless a zero is multiplied by an infinity or NaN: then it is NaN. So those sums of a tile that are NaN are
//! recomputed one by one, without padding. Ordinary numbers pay for one NaN test per tile.

use std::cell::RefCell;

use super::{LoopEmitter, TilePoint};
use crate::cpu::tiling::{Tiling, VectorAxis};
use crate::cpu::vectorize::Elements;
use crate::kernel::{Binary, Buf, Compare, KernelBuilder, Val};
use crate::machine::Machine;
use crate::nest::expr::ExprArena;
use crate::nest::nests::{Nest, NestReduce};

/// The sums `values` of a nest at a vector of positions on a parallel axis, from the given one, of which `active` are there,
/// corrected for padding; the positions on the other parallel axes are set.
pub(crate) fn leave_out_padding(
    b: &mut KernelBuilder,
    elements: &mut Elements<'_>,
    nest: &Nest,
    exprs: &ExprArena,
    machine: &Machine,
    (axis, first, active): (usize, Val, Option<Val>),
    values: Val,
) -> Val {
    let Some(reduce) = &nest.reduce else { return values };
    let emitter =
        LoopEmitter { nest, exprs, machine, plan: Tiling::rare(VectorAxis::Parallel(axis), b.ty(values).lanes) };
    let point = TilePoint { lane: Some((axis, first, active)), ..TilePoint::default() };
    emitter.without_padding(b, elements, reduce, &[point], vec![values])[0]
}

impl LoopEmitter<'_> {
    /// Emits a reduction at some points: without the predicates on a vector's positions where all of these are known to hold.
    pub(super) fn at_border(&self, b: &mut KernelBuilder, elements: &mut Elements<'_>, points: &[TilePoint]) {
        let lanes = i64::from(self.plan.lanes);
        let interior = match points {
            [TilePoint { lane: Some((axis, first, None)), .. }] => {
                let interior = self.nest.interior(*axis).filter(|(begin, end)| end - begin >= lanes);
                interior.map(|interior| (*axis, *first, interior))
            }
            _ => None,
        };
        let Some((axis, first, (begin, end))) = interior else { return self.reduced(b, elements, points) };
        let mut inner = self.nest.clone();
        let reduce = inner.reduce.as_mut().expect("reductions have predicates");
        reduce.predicates.retain(|p| !p.index().mentions(axis));
        let inner = LoopEmitter { nest: &inner, plan: self.plan.clone(), ..*self };
        let (begin, last) = (b.index(begin), b.index(end - lanes));
        let (after, before) = (b.compare(Compare::Ge, first, begin), b.compare(Compare::Le, first, last));
        let is_inside = b.and(after, before);
        let elements = RefCell::new(elements);
        b.branch(
            is_inside,
            |b| {
                elements.borrow_mut().inside(|elements| inner.reduced(b, elements, points));
                vec![]
            },
            |b| {
                elements.borrow_mut().inside(|elements| self.reduced(b, elements, points));
                vec![]
            },
        );
    }

    /// Corrects the sums at some points for padding.
    pub(super) fn without_padding(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        points: &[TilePoint],
        sums: Vec<Val>,
    ) -> Vec<Val> {
        if reduce.padding.is_empty() {
            return sums;
        }
        let any = any_nan(b, &sums);
        let elements = RefCell::new(elements);
        b.rarely(
            any,
            |b| elements.borrow_mut().inside(|elements| self.again(b, elements, reduce, points, &sums)),
            |_| sums.clone(),
        )
    }

    /// Recomputes the sums that are NaN.
    fn again(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        points: &[TilePoint],
        sums: &[Val],
    ) -> Vec<Val> {
        let lanes = b.ty(sums[0]).lanes;
        let memory = b.scratch(self.exprs.dtype(reduce.body), sums.len() * usize::from(lanes));
        let offsets: Vec<Val> = (0..sums.len()).map(|i| b.index(i as i64 * i64::from(lanes))).collect();
        for (&offset, &sum) in offsets.iter().zip(sums) {
            b.store(memory, offset, sum);
        }
        // Unlikely code has padding among its conditions.
        let one = LoopEmitter { plan: Tiling::rare(VectorAxis::None, 1), ..*self };
        let zero = b.index(0);
        self.jammed(b, elements, &points[0].axes, (&points[0], lanes), zero, &mut |b, elements, offset| {
            one.if_nan(b, elements, memory, offset);
        });
        offsets.into_iter().map(|offset| b.load_lanes(memory, offset, lanes)).collect()
    }

    /// Loops over the points of a tile, in order: those on `axes` first. The body gets the number of each.
    fn jammed(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        axes: &[(usize, Val)],
        (first, lanes): (&TilePoint, u8),
        number: Val,
        body: &mut dyn FnMut(&mut KernelBuilder, &mut Elements<'_>, Val),
    ) {
        let Some((&(axis, at), axes)) = axes.split_first() else {
            return self.lanes(b, elements, (first, lanes), number, body);
        };
        let count = self.plan.jammed(axis);
        b.count(count, |b, i| {
            let at = b.add(at, i);
            let number = b.mul_const(number, count as i64);
            let number = b.add(number, i);
            elements.at(axis, at, |elements| self.jammed(b, elements, axes, (first, lanes), number, body));
        });
    }

    /// The same over the lanes of a tile's vectors.
    fn lanes(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        (first, lanes): (&TilePoint, u8),
        number: Val,
        body: &mut dyn FnMut(&mut KernelBuilder, &mut Elements<'_>, Val),
    ) {
        let Some((axis, at, active)) = first.lane else { return body(b, elements, number) };
        let vectors = self.plan.vectors;
        b.count(vectors, |b, v| {
            let distance = b.mul_const(v, i64::from(lanes));
            let mut at = b.add(at, distance);
            if vectors > 1 {
                // The last vectors overlap, as those of the tile do.
                let last = b.index(self.nest.extents[axis] as i64 - i64::from(lanes));
                at = b.binary(Binary::Min, at, last);
            }
            let number = b.mul_const(number, vectors as i64);
            let number = b.add(number, v);
            let number = b.mul_const(number, i64::from(lanes));
            let zero = b.index(0);
            let end = active.unwrap_or_else(|| b.index(i64::from(lanes)));
            b.repeat(zero, end, 1, |b, lane| {
                let (at, number) = (b.add(at, lane), b.add(number, lane));
                elements.at(axis, at, |elements| body(b, elements, number));
            });
        });
    }

    /// Recomputes a sum at the current position if it is NaN.
    fn if_nan(&self, b: &mut KernelBuilder, elements: &mut Elements<'_>, memory: Buf, offset: Val) {
        let reduce = self.nest.reduce.as_ref().expect("only sums have padding");
        let sum = b.load(memory, offset);
        let is_nan = b.compare(Compare::Ne, sum, sum);
        b.when(is_nan, |b| {
            elements.inside(|elements| {
                let sum = self.reduce(b, elements, reduce, &[TilePoint::default()])[0];
                b.store(memory, offset, sum);
            });
        });
    }
}

/// Whether some sum is NaN. May also be true for infinities of both signs.
fn any_nan(b: &mut KernelBuilder, sums: &[Val]) -> Val {
    let mut sums = sums.to_vec();
    while sums.len() > 1 {
        sums = sums.chunks(2).map(|pair| pair.iter().copied().reduce(|x, y| b.add(x, y)).expect("not empty")).collect();
    }
    let is_nan = b.compare(Compare::Ne, sums[0], sums[0]);
    b.any(is_nan)
}
