//! Differentiation errors.

use std::sync::Arc;

use dlc_ir::{Loc, Symbol, TypeError};

/// Why a program cannot be differentiated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AutodiffError {
    /// A gradient would have to flow through an operator that has none.
    #[error("`{op}` has no derivative: {reason}")]
    NotDifferentiable { op: &'static str, reason: &'static str, loc: Loc },
    /// A trainable parameter gets no gradient.
    #[error("`{name}` is trainable, but no gradient reaches it")]
    NoGradient {
        /// The parameter's name in the tree of weights.
        name: Arc<str>,
        /// The operator that stops the gradient; `None` if the objective does not depend on the parameter.
        ends: Option<&'static str>,
        /// The operator's location, or that of the `gradient`.
        loc: Loc,
        /// The parameter's declaration, if known.
        declared: Loc,
    },
    /// A custom derivative does not fit its function.
    #[error("{vjp} cannot be the derivative of {func}: {message}")]
    CustomGradient {
        func: Symbol,
        vjp: Symbol,
        message: String,
        /// The location of the use.
        loc: Loc,
    },
    /// An unknown function, or one whose derivative depends on itself.
    #[error("unknown function {func}, or its derivative depends on itself")]
    NoFunction { func: Symbol },
    /// A derivative rule built something ill-typed: a bug in the rule.
    #[error("internal error in a derivative rule: {error}")]
    Rule { error: TypeError, loc: Loc },
}

impl AutodiffError {
    pub(super) fn rule(error: TypeError, loc: Loc) -> Self {
        AutodiffError::Rule { error, loc }
    }

    /// The location in the source; it may be unknown.
    pub fn loc(&self) -> Loc {
        match self {
            AutodiffError::NotDifferentiable { loc, .. }
            | AutodiffError::NoGradient { loc, .. }
            | AutodiffError::CustomGradient { loc, .. }
            | AutodiffError::Rule { loc, .. } => *loc,
            AutodiffError::NoFunction { .. } => Loc::NONE,
        }
    }
}
