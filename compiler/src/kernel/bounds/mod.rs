//! Proof that no access of a kernel leaves its buffer.
//!
//! The walk knows of each `i64` a range, and the sum of multiples of unknowns that it is: iterations of loops, quotients, numbers of
//! lanes, elements of data. Conditions around an access, definitions of minima and quotients, and the ends of loops are facts: sums
//! that are not negative. Whether an access stays inside is a bound of a sum; where the ranges do not give it, multiples of
//! facts are added until unknowns cancel. All of this is exact: what may wrap is an unknown of which nothing is known.
//!
//! Checks prove nothing, since loads may come before them. Indices that come from data are clamped.

mod affine;
mod clamp;
mod facts;
mod walk;

pub use clamp::confine;

use super::ir::{Buf, Kernel};

/// An access that may leave its buffer, for all that could be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unproved {
    /// Its number among the loads, gathers and stores of the kernel, in order.
    pub access: usize,
    /// The buffer.
    pub buf: Buf,
    /// The number of its elements.
    pub elements: usize,
    /// The first and the last element that could be accessed, as far as ranges show.
    pub first: i64,
    /// See `first`.
    pub last: i64,
}

impl std::fmt::Display for Unproved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Unproved { access, buf, elements, first, last } = self;
        write!(f, "access {access}, to elements {first}..={last} of buffer {}, which has {elements}", buf.0)
    }
}

/// The accesses of a kernel, which otherwise keeps the rules, that are not proved to stay inside their buffers.
pub fn unproved(kernel: &Kernel) -> Vec<Unproved> {
    let mut walk = walk::Walk::new(kernel);
    walk.block(&kernel.body);
    walk.unproved
}
