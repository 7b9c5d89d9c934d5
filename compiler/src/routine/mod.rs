//! Functions as routines: launches and calls in order, on planned memory, and the checker of the result.
//!
//! A function of kind kernel becomes a few launches; a function becomes a routine with its own frame. The order of a function's
//! steps is that of its nodes, except that what overwrites an argument in place waits for the argument's last reader.

pub mod check;
mod function;
mod order;
pub mod plan;
mod print;
pub mod program;
mod routing;

pub use function::schedule;

use dlc_ir::Symbol;

use crate::kernel::Malformed;
use crate::nest::{NestError, Statuses};

use check::StepBinding;
use program::KernelProgram;

/// A scheduled graph.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its kernels and routines.
    pub program: KernelProgram,
    /// What the statuses of failed checks mean.
    pub statuses: Statuses,
    /// For each routine and each of its steps what the operands are bound to, for the buffer checker.
    pub bindings: Vec<Vec<StepBinding>>,
    /// How many accesses of its kernels are clamped, since it could not be proved that they stay inside of their buffers.
    /// Indices that come from data are not among them: those are clamped as they are made, which is a proof.
    pub clamped: usize,
}

/// A graph that cannot be scheduled: a bug of an earlier pass, or a file that no pass has made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// It has no nests.
    #[error(transparent)]
    Nest(#[from] NestError),
    /// A kernel that breaks a rule, for example since an access cannot be kept inside of its buffer: it must not run.
    #[error("internal error: the scheduler made a kernel that must not run: {0}")]
    Kernel(#[from] Malformed),
    /// A call of a function that does not come before its caller.
    #[error("{0} is called before it is defined")]
    UnknownFunction(Symbol),
}
