//! Why a kernel function has no nests.

use dlc_ir::Symbol;

/// A kernel function that cannot be composed into nests: a bug of an earlier pass, or a file that no pass has made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NestError {
    /// An operator that must be gone by now.
    #[error("`{mnemonic}` ({what}) has no loops, and must have been replaced before")]
    Unexpected {
        /// The operator.
        mnemonic: &'static str,
        /// How it is lowered.
        what: String,
    },
    /// A kernel that is larger than any that the passes make.
    #[error("the kernel {kernel} has more than {limit} {what}")]
    TooLarge {
        /// The kernel.
        kernel: Symbol,
        /// What it has so many of.
        what: &'static str,
        /// The most that it may have.
        limit: usize,
    },
    /// An index that 64 bits do not hold.
    #[error("{0} computes an index that is larger than any memory")]
    Overflow(Symbol),
}
