//! Errors of sessions.

use dlc_compiler::program::{OutOfMemory, RunError};
use dlc_ir::op::EvalError;
use dlc_ir::{AllocError, InterpError, Loc, Tensor, Type};

use crate::near::{near, suggestion};
use crate::signature::TensorInfo;

/// Why a step could not be run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    #[error("unknown {kind} `{name}`{}; the program has {}", suggestion(.near), list(.known))]
    Unknown {
        /// `input`, `weight` or `state`.
        kind: &'static str,
        name: String,
        /// Similar names, best first.
        near: Vec<String>,
        known: Vec<String>,
    },
    /// A tensor of another type than the program takes.
    #[error(transparent)]
    Type(Box<WrongType>),
    #[error("duplicate input `{0}`")]
    GivenTwice(String),
    /// Arguments that were never set.
    #[error("missing inputs: {}", .0.iter().map(|(n, t)| format!("`{n}` {t}")).collect::<Vec<_>>().join(", "))]
    Missing(Vec<(String, Type)>),
    /// A check of the program failed, such as that of an index.
    #[error("{message}")]
    Check {
        message: String,
        /// Its location in the graph's sources, if known.
        loc: Option<Loc>,
    },
    /// An earlier step failed halfway, so that weights and states are partly updated.
    #[error(
        "an earlier step failed after some weights or states were updated: set all of them again, as `restore` of a trainer does"
    )]
    Poisoned,
    /// The program is too large for this machine.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// A bug in dlc.
    #[error("internal error: {0}")]
    Internal(String),
}

impl SessionError {
    /// The code in `error[...]`.
    pub fn code(&self) -> &'static str {
        match self {
            SessionError::Unknown { .. } => "unknown-argument",
            SessionError::Type(_) => "shape-mismatch",
            SessionError::GivenTwice(_) => "duplicate-name",
            SessionError::Missing(_) => "missing-argument",
            SessionError::Check { .. } => "failed-check",
            SessionError::Poisoned => "poisoned",
            SessionError::Memory(_) => "out-of-memory",
            SessionError::Internal(_) => "internal",
        }
    }
}

/// A tensor of another type than the program takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{name}`: expected {expected}, found {found}")]
pub struct WrongType {
    /// `input`, `weight` or `state`.
    pub kind: &'static str,
    pub name: String,
    pub expected: Type,
    pub found: Type,
}

impl From<WrongType> for SessionError {
    fn from(error: WrongType) -> Self {
        SessionError::Type(Box::new(error))
    }
}

impl From<InterpError> for SessionError {
    fn from(error: InterpError) -> Self {
        if let InterpError::Operator { error: EvalError::TooLarge(AllocError(bytes)), .. } = &error {
            return SessionError::Memory(OutOfMemory(*bytes));
        }
        let loc = match &error {
            InterpError::Operator { loc, .. } => loc.is_known().then_some(*loc),
            _ => None,
        };
        SessionError::Check { message: error.to_string(), loc }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The error for a failed run of machine code, with the location if known.
pub(super) fn failure(error: &RunError) -> SessionError {
    let RunError::Check { loc, .. } = *error else {
        return match error {
            RunError::Memory(error) => SessionError::Memory(*error),
            _ => SessionError::Internal(error.to_string()),
        };
    };
    SessionError::Check { message: error.to_string(), loc }
}

/// Checks a tensor for an argument.
pub(super) fn fits(
    kind: &'static str,
    TensorInfo { name, ty }: &TensorInfo,
    tensor: &Tensor,
) -> Result<(), SessionError> {
    if tensor.ty() == ty {
        return Ok(());
    }
    let (expected, found) = (ty.clone(), tensor.ty().clone());
    Err(WrongType { kind, name: name.to_string(), expected, found }.into())
}

pub(super) fn unknown<'a>(
    kind: &'static str,
    name: &str,
    known: impl Iterator<Item = (&'a str, &'a Type)>,
) -> SessionError {
    let known: Vec<String> = known.map(|(name, _)| name.to_owned()).collect();
    let near = near(name, known.iter().map(String::as_str));
    SessionError::Unknown { kind, name: name.to_owned(), near, known }
}
