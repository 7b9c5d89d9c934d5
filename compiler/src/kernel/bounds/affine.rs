//! Affine forms over unknowns, in checked arithmetic: a form that would overflow is not made.

use smallvec::SmallVec;

/// An unknown: a loop's iteration, a quotient, an element of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Atom(pub u32);

/// `constant + Σ coefficient * atom`, atoms ascending, no coefficient 0. An exact integer: it never denotes an `i64` that
/// wrapped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Affine {
    pub terms: SmallVec<[(Atom, i64); 4]>,
    pub constant: i64,
}

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
        let mut terms = SmallVec::new();
        let (mut ours, mut theirs) = (self.terms.iter().peekable(), other.terms.iter().peekable());
        loop {
            let term = match (ours.peek(), theirs.peek()) {
                (None, None) => break,
                (Some(&&(a, c)), their) if their.is_none_or(|(b, _)| a < *b) => {
                    ours.next();
                    (a, c)
                }
                (our, Some(&&(b, d))) => {
                    theirs.next();
                    let scaled = d.checked_mul(factor)?;
                    match our {
                        Some(&&(a, c)) if a == b => {
                            ours.next();
                            (a, c.checked_add(scaled)?)
                        }
                        _ => (b, scaled),
                    }
                }
                (Some(_), None) => unreachable!("the first arm takes what is left of one"),
            };
            if term.1 != 0 {
                terms.push(term);
            }
        }
        let constant = self.constant.checked_add(other.constant.checked_mul(factor)?)?;
        (terms.len() <= MAX_TERMS).then_some(Affine { terms, constant })
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
