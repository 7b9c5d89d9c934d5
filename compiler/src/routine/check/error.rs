//! Violations that the checker finds.

use crate::routine::program::Address;

/// Why a plan is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The structure of the program differs from the graph's.
    #[error("{routine}: the program does not match the graph: {what}")]
    Form { routine: String, what: String },
    /// A type mismatch of an operand, argument, result or state and the value that it is bound to.
    #[error("{routine}, step {step}: expected {expected}, found {found}")]
    Type {
        routine: String,
        /// The step; the number of steps for a condition on the whole function.
        step: usize,
        found: String,
        expected: String,
    },
    #[error("{routine}, step {step}: address {address:?} is not aligned")]
    Unaligned { routine: String, step: usize, address: Address },
    /// An access out of bounds.
    #[error("{routine}, step {step}: {bytes} bytes at {address:?} are out of bounds")]
    Outside { routine: String, step: usize, address: Address, bytes: usize },
    /// A read that finds another value.
    #[error("{routine}, step {step}: expected {expected} at {address:?}")]
    WrongValue {
        routine: String,
        /// The step; the number of steps for a condition at the end.
        step: usize,
        address: Address,
        expected: String,
    },
    /// A write to read-only memory.
    #[error("{routine}, step {step}: {address:?} is read-only")]
    Forbidden { routine: String, step: usize, address: Address },
    /// Operands of one step that must not alias, but do.
    #[error("{routine}, step {step}: {first:?} and {second:?} must not alias")]
    Overlap { routine: String, step: usize, first: Address, second: Address },
}
