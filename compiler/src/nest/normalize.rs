//! Normalises nests for loops: splits axes at quotients and remainders, so that the rest is affine, and merges neighbouring axes
//! that every access traverses as one.

use rustc_hash::FxHashMap;

use super::affine::{AffineIndex, AffineTerm};
use super::expr::{ExprArena, ExprId, Predicate};
use super::nests::Nest;

/// Neighbouring axes are not merged beyond this size: indices over them must not overflow.
const MAX_AXIS: usize = dlc_ir::Type::MAX_BYTES;

impl Nest {
    /// Splits, drops and merges axes.
    pub fn normalize(&mut self, exprs: &mut ExprArena) {
        self.drop_units(exprs);
        // Every split replaces an axis by two smaller ones, so this terminates; the limit keeps odd nests small.
        for _ in 0..16 {
            let Some((axis, low)) = self.division(exprs) else { break };
            self.split(axis, low, exprs);
        }
        self.drop_units(exprs);
        let mut axis = 0;
        while axis + 1 < self.extents.len() {
            if axis + 1 != self.parallel && self.can_merge(axis, exprs) {
                self.merge(axis, exprs);
            } else {
                axis += 1;
            }
        }
    }

    /// The expressions that the nest evaluates.
    pub fn roots(&self) -> Vec<ExprId> {
        self.outputs.iter().map(|o| o.expr).chain(self.reduce.as_ref().map(|r| r.body)).collect()
    }

    /// Every index that the nest computes, except within divisions. Those of padding predicates are excluded: they are evaluated
    /// too rarely to influence the loops.
    fn indices(&self, exprs: &ExprArena) -> Vec<AffineIndex> {
        let mut indices = exprs.indices(self.roots());
        indices.extend(self.own_indices().cloned());
        indices
    }

    /// Those of [`Nest::indices`] that are in no expression.
    fn own_indices(&self) -> impl Iterator<Item = &AffineIndex> {
        let reduce = self.reduce.as_ref();
        let positions = reduce.and_then(|r| r.position.as_ref());
        let predicates = reduce.into_iter().flat_map(|r| &r.predicates).map(Predicate::index);
        self.outputs.iter().map(|o| &o.offset).chain(positions).chain(predicates)
    }

    fn division(&self, exprs: &ExprArena) -> Option<(usize, usize)> {
        self.indices(exprs).iter().find_map(|index| self.division_in(index))
    }

    /// An axis whose quotient or remainder by a divisor of its size is taken, and the divisor.
    fn division_in(&self, index: &AffineIndex) -> Option<(usize, usize)> {
        index.terms.iter().find_map(|(atom, _)| {
            let (AffineTerm::Div(x, k) | AffineTerm::Mod(x, k)) = atom else { return None };
            if let [(AffineTerm::Axis(axis), c)] = x.terms.as_slice()
                && *c > 0
                && k % c == 0
            {
                let (n, low) = (self.extents[*axis], (k / c) as usize);
                let even = x.constant.rem_euclid(*k) == 0 || x.constant.rem_euclid(*k) < *c;
                if even && low > 1 && low < n && n.is_multiple_of(low) {
                    return Some((*axis, low));
                }
            }
            self.division_in(x)
        })
    }

    /// Splits an axis, the inner part of size `low`, which divides it.
    pub fn split(&mut self, axis: usize, low: usize, exprs: &mut ExprArena) {
        let high = self.extents[axis] / low;
        let mut extents = self.extents.clone();
        extents.splice(axis..=axis, [high, low]);
        let axes: Vec<AffineIndex> = (0..self.extents.len())
            .map(|old| match old.cmp(&axis) {
                std::cmp::Ordering::Less => AffineIndex::axis(old),
                std::cmp::Ordering::Equal => {
                    AffineIndex::axis(old).scaled(low as i64).plus(&AffineIndex::axis(old + 1))
                }
                std::cmp::Ordering::Greater => AffineIndex::axis(old + 1),
            })
            .collect();
        let parallel = self.parallel + usize::from(axis < self.parallel);
        self.substitute(&axes, extents, parallel, exprs);
    }

    /// Drops the axes of size 1, and beside an empty axis all others: the loops would compute nothing.
    fn drop_units(&mut self, exprs: &mut ExprArena) {
        let (parallel, reduced) = self.extents.split_at(self.parallel);
        let empty = [parallel, reduced].map(|axes| axes.iter().position(|&n| n == 0));
        let empty = [empty[0], empty[1].map(|axis| axis + self.parallel)];
        let is_dropped = |axis: usize| {
            let beside = empty[usize::from(axis >= self.parallel)];
            self.extents[axis] == 1 || beside.is_some_and(|empty| empty != axis)
        };
        let dropped: Vec<bool> = (0..self.extents.len()).map(is_dropped).collect();
        if !dropped.contains(&true) {
            return;
        }
        let mut extents = vec![];
        let mut axes = vec![];
        let mut parallel = 0;
        for (axis, &n) in self.extents.iter().enumerate() {
            if dropped[axis] {
                axes.push(AffineIndex::constant(0));
                continue;
            }
            axes.push(AffineIndex::axis(extents.len()));
            extents.push(n);
            parallel += usize::from(axis < self.parallel);
        }
        self.substitute(&axes, extents, parallel, exprs);
    }

    fn can_merge(&self, axis: usize, exprs: &ExprArena) -> bool {
        let n = self.extents[axis + 1];
        let fits = self.extents[axis].checked_mul(n).is_some_and(|n| n < MAX_AXIS);
        // An index over both cannot be divided by the size of an empty axis.
        let divisor = i64::try_from(n).ok().filter(|&n| fits && n > 0);
        divisor.is_some_and(|n| {
            self.own_indices().all(|index| mergeable(index, axis, n))
                && !exprs.any_index(self.roots(), |index| !mergeable(index, axis, n))
        })
    }

    fn merge(&mut self, axis: usize, exprs: &mut ExprArena) {
        let n = self.extents[axis + 1];
        let mut extents = self.extents.clone();
        extents.splice(axis..=axis + 1, [self.extents[axis] * n]);
        let merged = AffineIndex::axis(axis);
        let axes: Vec<AffineIndex> = (0..self.extents.len())
            .map(|old| {
                if old < axis {
                    AffineIndex::axis(old)
                } else if old == axis {
                    merged.div(n as i64, &extents)
                } else if old == axis + 1 {
                    merged.modulo(n as i64, &extents)
                } else {
                    AffineIndex::axis(old - 1)
                }
            })
            .collect();
        let parallel = self.parallel - usize::from(axis + 1 < self.parallel);
        self.substitute(&axes, extents, parallel, exprs);
    }

    /// The nest on another iteration space: every axis as an index over the new ones.
    pub fn substitute(&mut self, axes: &[AffineIndex], extents: Vec<usize>, parallel: usize, exprs: &mut ExprArena) {
        let memo = &mut FxHashMap::default();
        for output in &mut self.outputs {
            output.offset = exprs.index(&output.offset, axes, &extents, memo);
            output.expr = exprs.substitute(output.expr, axes, &extents, memo);
        }
        if let Some(reduce) = &mut self.reduce {
            reduce.body = exprs.substitute(reduce.body, axes, &extents, memo);
            reduce.position = reduce.position.as_ref().map(|p| exprs.index(p, axes, &extents, memo));
            for predicates in [&mut reduce.predicates, &mut reduce.padding] {
                *predicates = exprs.predicates(predicates, axes, &extents, memo);
                predicates.retain(|t: &Predicate| t.known(&extents) != Some(true));
            }
        }
        self.extents = extents;
        self.parallel = parallel;
    }
}

/// Whether an index traverses an axis and its inner neighbour of size `n` as one.
fn mergeable(index: &AffineIndex, axis: usize, n: i64) -> bool {
    Some(index.coefficient(axis)) == index.coefficient(axis + 1).checked_mul(n)
        && index.terms.iter().all(|(atom, _)| match atom {
            AffineTerm::Div(x, _) | AffineTerm::Mod(x, _) => mergeable(x, axis, n),
            AffineTerm::Axis(_) | AffineTerm::Data { .. } => true,
            AffineTerm::Overflow => false,
        })
}
