//! How far a compiled program may be from the operators as written.

use std::fmt;
use std::str::FromStr;

/// What rewrites and kernels may take for granted of the numbers. OPS.md states the law of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Math {
    /// Only rewrites that give the same bits, and kernels that treat infinities and NaN as the reference does. In which order a
    /// kernel adds, and whether it rounds the products that it adds, is not fixed.
    Strict,
    /// Rewrites may round otherwise, but no operator's result leaves its stated bound, becomes infinite, zero or NaN, or ceases to
    /// be, because of one: what a rewrite needs to know of its operands was proved of them. A zero has no sign.
    #[default]
    Safe,
    /// Rewrites take for granted that numbers are finite, moderate, and not zero where they are divided by, unless the contrary is
    /// known: `x * 0` is 0, `x / x` is 1, `(x * y) * z` is `x * (y * z)`.
    Fast,
}

impl Math {
    /// All of them, from the one that allows least to the one that allows most.
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
#[error("there is no maths `{0}`; they are strict, safe, fast")]
pub struct UnknownMath(pub String);
