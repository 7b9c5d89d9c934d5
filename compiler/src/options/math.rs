//! How far a compiled program may deviate from the operators as written.

use std::fmt;
use std::str::FromStr;

/// What rewrites and kernels may assume about numbers. OPS.md states the conditions of each rewrite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Math {
    /// Only rewrites that are exact to the bit, and kernels that propagate infinities and NaN as the reference does. The order in
    /// which a kernel adds, and whether it fuses multiply-adds, is not fixed.
    Strict,
    /// Rewrites may round differently, but must not push an operator's result outside of its stated bound or make it infinite,
    /// zero or NaN, or the reverse: they apply only where the properties of operands that they need are proved. The sign of zero
    /// is not preserved.
    #[default]
    Safe,
    /// Rewrites assume that numbers are finite, of moderate size, and nonzero where they are divisors, unless the contrary is
    /// known: `x * 0` is 0, `x / x` is 1, `(x * y) * z` is `x * (y * z)`.
    Fast,
}

impl Math {
    /// All of them, from the strictest to the laxest.
    pub const ALL: [Math; 3] = [Math::Strict, Math::Safe, Math::Fast];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Math::Strict => "strict",
            Math::Safe => "safe",
            Math::Fast => "fast",
        }
    }
}

impl fmt::Display for Math {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Math {
    type Err = UnknownMath;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|m| m.name() == s).ok_or_else(|| UnknownMath(s.to_owned()))
    }
}

/// A name that is none of the three.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown maths `{0}`: expected strict, safe or fast")]
pub struct UnknownMath(pub String);
