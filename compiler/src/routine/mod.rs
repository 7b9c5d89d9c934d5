//! Functions as routines: launches and calls in order, on planned memory, and the checker of the result.
//!
//! A kernel function becomes one launch or a few; other functions become routines with frames of their own. Steps are in the
//! order of the function's nodes, except that an in-place update waits for the last reader of the old value.

pub mod check;
mod function;
mod order;
pub mod plan;
mod print;
pub mod program;
mod routing;
mod units;

pub use function::schedule;
pub(crate) use function::schedule_with_units;

use dlc_ir::Symbol;

use crate::kernel::Malformed;
use crate::nest::{NestError, Statuses};

use check::StepBinding;
use program::KernelProgram;

/// A scheduled graph.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub program: KernelProgram,
    /// The meaning of the statuses of failed checks.
    pub statuses: Statuses,
    /// For each routine and step the bindings of its operands, for the checker.
    pub bindings: Vec<Vec<StepBinding>>,
    /// The number of accesses that are clamped, since they could not be proved to be in bounds. Indices from data are not
    /// counted: clamping is part of their computation, and proves them.
    pub clamped: usize,
}

/// A graph that cannot be scheduled: a bug in an earlier pass, or a file that no pass produced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    #[error(transparent)]
    Nest(#[from] NestError),
    /// A kernel that the verifier rejects, for example since an access is wider than its buffer.
    #[error("internal error: the scheduler emitted an invalid kernel: {0}")]
    Kernel(#[from] Malformed),
    /// A call of a function that is not defined before its caller.
    #[error("{0} is called before it is defined")]
    UnknownFunction(Symbol),
}
