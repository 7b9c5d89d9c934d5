//! Predicates as ranges of reduction axes: padding is outside of a range whose bounds follow from the position, so that loops need not
//! visit it.

use super::affine::{AffineIndex, AffineTerm, volume};
use super::expr::Predicate;
use super::nests::Nest;

/// What a predicate leaves of a reduction, at a position on the parallel axes.
#[derive(Clone, Debug)]
pub(crate) enum ReducedRange {
    /// All of it or nothing.
    Whole,
    /// The elements of an axis for which `low <= rest + factor * axis < high`.
    Axis { axis: usize, factor: i64, rest: AffineIndex, low: i64, high: i64 },
}

/// Positions that [`Nest::executed`] counts one by one; of more, all elements count as visited.
const COUNTED: usize = 1 << 16;

/// The unit of [`Nest::executed`].
pub(crate) const WHOLE: u64 = 1 << 10;

impl Predicate {
    /// The range to which it restricts a reduction, if it is one. `parallel` is the number of parallel axes.
    pub fn range(&self, parallel: usize) -> Option<ReducedRange> {
        let reduced = |index: &AffineIndex| index.axes().into_iter().filter(|&a| a >= parallel).collect::<Vec<_>>();
        let index = self.index();
        if index.reads_data() {
            return None;
        }
        match (reduced(index).as_slice(), self) {
            ([], _) => Some(ReducedRange::Whole),
            (&[axis], Predicate::InRange { low, high, .. }) => {
                let factor = index.coefficient(axis);
                let rest = index.plus(&AffineIndex::axis(axis).scaled(factor.checked_neg()?));
                let is_range = factor != 0 && !rest.mentions(axis);
                is_range.then_some(ReducedRange::Axis { axis, factor, rest, low: *low, high: *high })
            }
            _ => None,
        }
    }
}

impl ReducedRange {
    /// The reduction axis.
    pub fn axis(&self) -> Option<usize> {
        match self {
            ReducedRange::Whole => None,
            ReducedRange::Axis { axis, .. } => Some(*axis),
        }
    }
}

impl Nest {
    /// The fraction of the reduction's points whose predicates hold, in units of 1 / [`WHOLE`], rounded up. Predicates that are no
    /// ranges count as true.
    pub fn executed(&self) -> u64 {
        let Some(reduce) = &self.reduce else { return WHOLE };
        let mut open: Vec<(Vec<usize>, &Predicate)> = reduce
            .predicates
            .iter()
            .filter(|p| p.range(self.parallel).is_some())
            .map(|p| (p.index().axes(), p))
            .collect();
        let mut fraction = WHOLE as f64;
        // Predicates without a common axis are independent of each other.
        while let Some((mut axes, predicate)) = open.pop() {
            let mut together = vec![predicate];
            while let Some(at) = open.iter().position(|(other, _)| other.iter().any(|a| axes.contains(a))) {
                let (more, predicate) = open.swap_remove(at);
                axes.extend(more);
                together.push(predicate);
            }
            axes.sort_unstable();
            axes.dedup();
            fraction *= self.fraction(&axes, &together);
        }
        (fraction.ceil() as u64).min(WHOLE)
    }

    /// The positions on a parallel axis at which all predicates that depend on it hold, whatever the other positions are; none if no
    /// predicate depends on it, or nothing is known of one that does.
    pub fn interior(&self, axis: usize) -> Option<(i64, i64)> {
        let reduce = self.reduce.as_ref()?;
        let mut interior = None;
        for predicate in reduce.predicates.iter().filter(|p| p.index().mentions(axis)) {
            let Predicate::InRange { index, low, high } = predicate else { return None };
            let factor = index.coefficient(axis);
            let rest = index.plus(&AffineIndex::axis(axis).scaled(factor.checked_neg()?));
            if factor <= 0 || rest.mentions(axis) || rest.reads_data() {
                return None;
            }
            let (least, most) = rest.range(&self.extents);
            let from = low.checked_sub(least)?.checked_add(factor - 1)?.div_euclid(factor);
            let to = high.checked_sub(most)?.checked_add(factor - 1)?.div_euclid(factor);
            let (begin, end) = interior.unwrap_or((0, self.extents[axis] as i64));
            interior = Some((from.max(begin), to.min(end)));
        }
        interior
    }

    fn fraction(&self, axes: &[usize], predicates: &[&Predicate]) -> f64 {
        let sizes: Vec<usize> = axes.iter().map(|&a| self.extents[a]).collect();
        let points = volume(&sizes);
        if points > COUNTED || points == 0 {
            return 1.0;
        }
        let mut position = vec![0; self.extents.len()];
        let mut held = 0;
        for point in 0..points {
            let mut rest = point;
            for (&axis, &size) in axes.iter().zip(&sizes).rev() {
                position[axis] = (rest % size) as i64;
                rest /= size;
            }
            held += usize::from(predicates.iter().all(|p| p.holds(&position)));
        }
        held as f64 / points as f64
    }
}

impl Predicate {
    /// Whether it holds at a position; it does not depend on data.
    fn holds(&self, position: &[i64]) -> bool {
        match self {
            Predicate::InRange { index, low, high } => (*low..*high).contains(&index.at(position)),
            Predicate::Divisible { index, divisor } => index.at(position).rem_euclid(*divisor) == 0,
        }
    }
}

impl AffineIndex {
    /// The value at a position; it does not depend on data.
    fn at(&self, position: &[i64]) -> i64 {
        let term = |term: &AffineTerm| match term {
            AffineTerm::Axis(axis) => position[*axis],
            AffineTerm::Div(x, k) => x.at(position).div_euclid(*k),
            AffineTerm::Mod(x, k) => x.at(position).rem_euclid(*k),
            AffineTerm::Data { .. } | AffineTerm::Overflow => 0,
        };
        self.terms.iter().fold(self.constant, |sum, (t, c)| sum.wrapping_add(c.wrapping_mul(term(t))))
    }
}
