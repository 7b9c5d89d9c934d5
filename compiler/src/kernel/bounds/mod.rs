//! Proof that no access of a kernel leaves its buffer.
//!
//! The walk knows of each `i64` a range, and its affine form over unknowns: iteration counts, quotients, lane numbers, elements
//! of data. Conditions that dominate an access, definitions of minima and quotients, and loop bounds are facts: forms that are
//! not negative. Whether an access stays inside is a bound of a form; where the ranges do not suffice, multiples of facts are
//! added until unknowns cancel. All of this is exact: what may wrap is an unknown without a range.
//!
//! Checks prove nothing, since loads may be hoisted above them. Indices that come from data are clamped.

mod affine;
mod clamp;
mod facts;
mod walk;

pub use clamp::confine;

use super::ir::{Buf, Kernel};

/// An access that is not proved to stay inside its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unproved {
    /// Its number among the loads, gathers and stores of the kernel, in order.
    pub access: usize,
    pub buf: Buf,
    /// The number of its elements.
    pub elements: usize,
    /// The first and the last element that could be accessed, by their ranges.
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

/// The accesses of a well-formed kernel that are not proved to stay inside their buffers.
pub fn unproved(kernel: &Kernel) -> Vec<Unproved> {
    let mut walk = walk::Walk::new(kernel);
    walk.block(&kernel.body);
    walk.unproved
}
