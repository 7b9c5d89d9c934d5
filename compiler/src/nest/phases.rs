//! Sums over what is dilated, without the gaps: a reduction axis of which only every s-th element meets an element of the operand is
//! replaced by the axis of those elements.
//!
//! With a predicate `p + b k ≡ 0 (mod s)` between parallel axes `p` and a reduction axis `k`, all `k` that satisfy it are
//! `first(p) + s j`, where `first(p) = -p / b mod s`. The gradient of a strided convolution by its operand is the example: each of its
//! phases, the positions that are equal modulo the stride, meets every s-th tap only.

use super::affine::{AffineIndex, AffineTerm};
use super::expr::{ExprArena, Predicate};
use super::nests::Nest;

/// A predicate `rest + factor * axis ≡ 0 (mod divisor)`.
struct Phase {
    /// Its number among the predicates.
    number: usize,
    axis: usize,
    /// The inverse of the axis's coefficient modulo the divisor.
    inverse: i64,
    rest: AffineIndex,
    divisor: i64,
}

impl Nest {
    /// Replaces reduction axes of which a predicate selects every s-th element by the axes of what it selects.
    pub fn split_phases(&mut self, exprs: &mut ExprArena) {
        self.drop_multiples();
        while let Some(phase) = self.phase() {
            match self.divided(&phase) {
                Some(axis) => self.split_positions(axis, phase.divisor as usize, exprs),
                None => self.keep_selected(phase, exprs),
            }
        }
    }

    /// Leaves out of predicates on divisibility what is divisible anyway: with it goes the whole reduction or nothing.
    fn drop_multiples(&mut self) {
        let parallel = self.parallel;
        for predicate in self.reduce.iter_mut().flat_map(|r| &mut r.predicates) {
            let Predicate::Divisible { index, divisor } = predicate else { continue };
            let is_multiple = |(term, c): &(AffineTerm, i64)| {
                matches!(term, AffineTerm::Axis(axis) if *axis >= parallel) && c % *divisor == 0
            };
            index.terms.retain(|term| !is_multiple(term));
        }
    }

    fn phase(&self) -> Option<Phase> {
        let reduce = self.reduce.as_ref()?;
        reduce.predicates.iter().enumerate().find_map(|(number, predicate)| {
            let Predicate::Divisible { index, divisor } = predicate else { return None };
            let mut reduced = (self.parallel..self.extents.len()).filter(|&a| index.mentions(a));
            let axis = reduced.next()?;
            let factor = index.coefficient(axis);
            let rest = index.plus(&AffineIndex::axis(axis).scaled(factor.checked_neg()?));
            if reduced.next().is_some() || rest.mentions(axis) || rest.reads_data() {
                return None;
            }
            let inverse = (1..*divisor).find(|i| (i * factor.rem_euclid(*divisor)).rem_euclid(*divisor) == 1)?;
            Some(Phase { number, axis, inverse, rest, divisor: *divisor })
        })
    }

    /// A parallel axis of several whole periods.
    fn divided(&self, phase: &Phase) -> Option<usize> {
        phase.rest.terms.iter().find_map(|(term, c)| {
            let AffineTerm::Axis(axis) = term else { return None };
            let n = self.extents[*axis] as i64;
            (c % phase.divisor != 0 && n > phase.divisor && n % phase.divisor == 0).then_some(*axis)
        })
    }

    /// Splits a parallel axis into its phases and, within each, the positions that are so far apart.
    fn split_positions(&mut self, axis: usize, period: usize, exprs: &mut ExprArena) {
        let mut extents = self.extents.clone();
        extents.splice(axis..=axis, [period, self.extents[axis] / period]);
        let position = |old: usize| match old.cmp(&axis) {
            std::cmp::Ordering::Less => AffineIndex::axis(old),
            std::cmp::Ordering::Equal => {
                AffineIndex::axis(axis).plus(&AffineIndex::axis(axis + 1).scaled(period as i64))
            }
            std::cmp::Ordering::Greater => AffineIndex::axis(old + 1),
        };
        let axes: Vec<AffineIndex> = (0..self.extents.len()).map(position).collect();
        self.substitute(&axes, extents, self.parallel + 1, exprs);
    }

    /// Replaces a reduction axis by that of the elements that a predicate selects.
    fn keep_selected(&mut self, phase: Phase, exprs: &mut ExprArena) {
        let Phase { number, axis, inverse, rest, divisor } = phase;
        let size = self.extents[axis];
        let mut extents = self.extents.clone();
        extents[axis] = size.div_ceil(divisor as usize);
        let first = rest.scaled(-inverse).modulo(divisor, &extents);
        let selected = AffineIndex::axis(axis).scaled(divisor).plus(&first);
        let mut axes: Vec<AffineIndex> = (0..extents.len()).map(AffineIndex::axis).collect();
        axes[axis] = selected.clone();
        let reduce = self.reduce.as_mut().expect("it has a predicate");
        reduce.predicates.remove(number);
        self.substitute(&axes, extents, self.parallel, exprs);
        let inside = Predicate::InRange { index: selected, low: 0, high: size as i64 };
        if inside.known(&self.extents) != Some(true) {
            // Before the others, which may rely on it.
            self.reduce.as_mut().expect("it has a predicate").predicates.insert(0, inside);
        }
    }
}
