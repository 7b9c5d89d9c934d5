//! Maps in pieces: where branches depend on the range that an axis is in, as in concatenations and paddings, each range becomes a nest of
//! its own, which evaluates its branch and no other.

use std::ops::Range;

use super::affine::{AffineIndex, AffineTerm, volume};
use super::expr::{ExprArena, ExprKind, Predicate};
use super::nests::Nest;

/// When a piece pays for its launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pieces {
    /// The least number of its elements.
    pub elements: usize,
    /// The least number of its positions on the innermost axis: a vector of them.
    pub positions: usize,
}

impl Nest {
    /// The nests of the ranges of an axis between which branches change, if all of them pay; only itself if there are none.
    pub fn into_pieces(self, pays: &Pieces, exprs: &mut ExprArena) -> Vec<Nest> {
        let mut done = vec![];
        let mut open = vec![self];
        while let Some(nest) = open.pop() {
            match (0..nest.parallel).find_map(|axis| Some((axis, nest.ranges(axis, pays, exprs)?))) {
                Some((axis, ranges)) => {
                    let pieces = ranges.into_iter().rev().map(|range| nest.restricted(axis, range, exprs));
                    open.extend(pieces);
                }
                None => done.push(nest),
            }
        }
        done
    }

    /// The ranges of an axis between which branches of a map change, if there are several and all pay.
    fn ranges(&self, axis: usize, pays: &Pieces, exprs: &ExprArena) -> Option<Vec<Range<i64>>> {
        if self.reduce.is_some() {
            return None;
        }
        let n = self.extents[axis] as i64;
        let mut bounds = vec![0, n];
        exprs.visit(self.roots(), &mut |_, form| {
            let ExprKind::If { predicates, .. } = form else { return };
            for predicate in predicates {
                let Predicate::InRange { index, low, high } = predicate else { continue };
                if index.terms.as_slice() == [(AffineTerm::Axis(axis), 1)] {
                    let at = [low, high].into_iter().filter_map(|bound| bound.checked_sub(index.constant));
                    bounds.extend(at.filter(|at| (1..n).contains(at)));
                }
            }
        });
        bounds.sort_unstable();
        bounds.dedup();
        let across = volume(&self.extents) / self.extents[axis].max(1);
        let least = if axis + 1 == self.extents.len() { pays.positions } else { 1 };
        let pays = |length: usize| length >= least && length.saturating_mul(across) >= pays.elements;
        let ranges: Vec<Range<i64>> = bounds.windows(2).map(|pair| pair[0]..pair[1]).collect();
        (ranges.len() > 1 && ranges.iter().all(|r| pays((r.end - r.start) as usize))).then_some(ranges)
    }

    /// The same at some positions of an axis.
    fn restricted(&self, axis: usize, range: Range<i64>, exprs: &mut ExprArena) -> Nest {
        let mut nest = self.clone();
        let mut extents = self.extents.clone();
        extents[axis] = (range.end - range.start) as usize;
        let mut axes: Vec<AffineIndex> = (0..extents.len()).map(AffineIndex::axis).collect();
        axes[axis] = AffineIndex::axis(axis).plus_constant(range.start);
        nest.substitute(&axes, extents, self.parallel, exprs);
        nest
    }
}
