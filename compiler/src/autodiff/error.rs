//! Why there is no gradient.

use std::sync::Arc;

use dlc_ir::{Loc, Symbol, TypeError};

/// Why there is no gradient.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AutodiffError {
    /// A gradient must flow through an operator that has none.
    #[error("`{op}` has no derivative: {reason}")]
    NotDifferentiable {
        /// The operator.
        op: &'static str,
        /// Why it has none.
        reason: &'static str,
        /// Its place.
        loc: Loc,
    },
    /// A trainable parameter gets no gradient.
    #[error("`{name}` is trainable, but no gradient reaches it")]
    NoGradient {
        /// The parameter's name in the tree of weights.
        name: Arc<str>,
        /// The operator at which its first way to the objective ends; `None` if nothing of the objective is computed from it.
        ends: Option<&'static str>,
        /// The operator's place, or that of the `gradient`.
        loc: Loc,
        /// Where the parameter is declared, if that is known.
        declared: Loc,
    },
    /// A custom derivative does not fit its function.
    #[error("{vjp} cannot be the derivative of {func}: {message}")]
    CustomGradient {
        /// The function.
        func: Symbol,
        /// Its custom derivative.
        vjp: Symbol,
        /// What does not fit.
        message: String,
        /// The place of the use.
        loc: Loc,
    },
    /// A function that is named does not exist, or is part of its own derivative.
    #[error("there is no function {func}, or it needs itself")]
    NoFunction {
        /// Its name.
        func: Symbol,
    },
    /// A derivative rule built something ill-typed: a bug in the rule.
    #[error("a derivative rule is wrong: {error}")]
    Rule {
        /// What does not fit.
        error: TypeError,
        /// The place of the operator.
        loc: Loc,
    },
}

impl AutodiffError {
    pub(super) fn rule(error: TypeError, loc: Loc) -> Self {
        AutodiffError::Rule { error, loc }
    }

    /// The place in the source to which it belongs; it may be unknown.
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
