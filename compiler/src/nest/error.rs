//! Errors of composition.

use dlc_ir::Symbol;

/// A kernel function that cannot be composed into nests: a bug in an earlier pass, or a file that no pass produced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NestError {
    /// An operator that earlier passes must remove.
    #[error("internal error: `{mnemonic}` ({what}) cannot be lowered to loops; an earlier pass must expand it")]
    Unexpected { mnemonic: &'static str, what: String },
    /// A kernel that exceeds a limit.
    #[error("the kernel {kernel} has more than {limit} {what}")]
    TooLarge { kernel: Symbol, what: &'static str, limit: usize },
    /// An index that overflows 64 bits.
    #[error("an index of {0} overflows 64 bits")]
    Overflow(Symbol),
}
