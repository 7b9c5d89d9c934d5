//! What the checker finds wrong.

use crate::routine::program::Address;

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The program does not have the form of the graph.
    #[error("{routine}: the program does not fit the graph: {what}")]
    Form {
        /// The routine.
        routine: String,
        /// What does not fit.
        what: String,
    },
    /// An operand, argument, result or state that is bound to a value of another type.
    #[error("{routine}, step {step}: {found} for {wanted}")]
    Type {
        /// The routine.
        routine: String,
        /// The step; the number of steps for what holds of the whole function.
        step: usize,
        /// What is bound.
        found: String,
        /// What should be.
        wanted: String,
    },
    /// A place that is not aligned.
    #[error("{routine}, step {step}: {place:?} is not aligned")]
    Unaligned {
        /// The routine.
        routine: String,
        /// The step.
        step: usize,
        /// The place.
        place: Address,
    },
    /// A place outside of its memory.
    #[error("{routine}, step {step}: {bytes} bytes at {place:?} lie outside")]
    Outside {
        /// The routine.
        routine: String,
        /// The step.
        step: usize,
        /// The place.
        place: Address,
        /// How many bytes.
        bytes: usize,
    },
    /// A read that finds something else.
    #[error("{routine}, step {step}: {place:?} does not hold {wanted}")]
    WrongValue {
        /// The routine.
        routine: String,
        /// The step; the number of steps for what must hold at the end.
        step: usize,
        /// The place.
        place: Address,
        /// What should be there.
        wanted: String,
    },
    /// A write where nothing may be written.
    #[error("{routine}, step {step}: {place:?} must not be written")]
    Forbidden {
        /// The routine.
        routine: String,
        /// The step.
        step: usize,
        /// The place.
        place: Address,
    },
    /// Operands of one step that overlap and must not.
    #[error("{routine}, step {step}: {first:?} and {second:?} overlap")]
    Overlap {
        /// The routine.
        routine: String,
        /// The step.
        step: usize,
        /// One of them.
        first: Address,
        /// The other.
        second: Address,
    },
}
