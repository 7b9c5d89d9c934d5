//! Affine forms over unknowns, in checked arithmetic: a form that would overflow is not made.

use smallvec::SmallVec;

/// An unknown: a loop's iteration, a quotient, an element of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Atom(pub u32);

/// `constant + Σ coefficient * atom`, atoms ascending, no coefficient 0. An exact integer: it never denotes an `i64` that
/// wrapped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Affine {
    pub terms: Terms,
    pub constant: i64,
}

/// Atoms with their coefficients.
pub(super) type Terms = SmallVec<[(Atom, i64); 4]>;

/// The most terms of a form: index arithmetic has one for each enclosing loop.
const MAX_TERMS: usize = 24;

impl Affine {
    pub fn constant(constant: i64) -> Self {
        Affine { terms: SmallVec::new(), constant }
    }

    pub fn atom(atom: Atom) -> Self {
        Affine { terms: smallvec::smallvec![(atom, 1)], constant: 0 }
    }

    pub fn as_constant(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    pub fn coefficient(&self, atom: Atom) -> i64 {
        self.terms.iter().find(|(a, _)| *a == atom).map_or(0, |(_, c)| *c)
    }

    pub fn plus_constant(mut self, constant: i64) -> Option<Self> {
        self.constant = self.constant.checked_add(constant)?;
        Some(self)
    }

    /// `self + factor * other`.
    pub fn plus(&self, other: &Affine, factor: i64) -> Option<Self> {
        self.combined(1, other, factor)
    }

    /// `times * self + factor * other`.
    pub fn combined(&self, times: i64, other: &Affine, factor: i64) -> Option<Self> {
        let mut terms = SmallVec::new();
        let constant = self.combine(times, other, factor, |atom, c| terms.push((atom, c)))?;
        Some(Affine { terms, constant })
    }

    /// Calls `term` with the terms of `times * self + factor * other`, ascending; the result is the constant. None if there is no such
    /// form, maybe after some terms.
    pub fn combine(&self, times: i64, other: &Affine, factor: i64, mut term: impl FnMut(Atom, i64)) -> Option<i64> {
        let (mut ours, mut theirs) = (self.terms.as_slice(), other.terms.as_slice());
        let mut count = 0;
        loop {
            let (atom, c) = match (ours, theirs) {
                ([], []) => break,
                ([(a, c), rest @ ..], [(b, d), others @ ..]) if a == b => {
                    (ours, theirs) = (rest, others);
                    (*a, c.checked_mul(times)?.checked_add(d.checked_mul(factor)?)?)
                }
                ([(a, c), rest @ ..], [(b, _), ..]) if a < b => {
                    ours = rest;
                    (*a, c.checked_mul(times)?)
                }
                (_, [(b, d), others @ ..]) => {
                    theirs = others;
                    (*b, d.checked_mul(factor)?)
                }
                ([(a, c), rest @ ..], []) => {
                    ours = rest;
                    (*a, c.checked_mul(times)?)
                }
            };
            if c != 0 {
                count += 1;
                term(atom, c);
            }
        }
        let constant = self.constant.checked_mul(times)?.checked_add(other.constant.checked_mul(factor)?)?;
        (count <= MAX_TERMS).then_some(constant)
    }

    /// `factor * self`.
    pub fn scaled(&self, factor: i64) -> Option<Self> {
        Self::constant(0).plus(self, factor)
    }

    /// The greatest common divisor of the coefficients; 0 for a constant.
    pub fn step(&self) -> u64 {
        self.terms.iter().fold(0, |g, (_, c)| gcd(g, c.unsigned_abs()))
    }

    /// The strongest equivalent of `self >= 0` over the integers.
    pub fn tightened(mut self) -> Self {
        if let Ok(step @ 2..) = i64::try_from(self.step()) {
            self.terms.iter_mut().for_each(|(_, c)| *c /= step);
            self.constant = self.constant.div_euclid(step);
        }
        self
    }
}

pub(super) fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
