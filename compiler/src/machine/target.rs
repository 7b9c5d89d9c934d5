//! Targets: named instruction sets.

use std::fmt;
use std::str::FromStr;

use super::Machine;

/// A named instruction set. Compiled code depends on the target and never on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// x86-64 with AVX2, FMA and BMI.
    X86_64V3,
    /// AArch64 with NEON.
    Aarch64,
}

impl Target {
    /// Every target.
    pub const ALL: [Target; 2] = [Target::X86_64V3, Target::Aarch64];

    /// The name in `--target` and in artefacts.
    pub const fn name(self) -> &'static str {
        match self {
            Target::X86_64V3 => "x86-64-v3",
            Target::Aarch64 => "aarch64",
        }
    }

    /// The machine model of the target. Today one for all: Cranelift has vectors of 128 bits.
    pub const fn machine(self) -> &'static Machine {
        match self {
            Target::X86_64V3 | Target::Aarch64 => &Machine::PORTABLE,
        }
    }

    /// The target that the host can run, if any.
    pub fn host() -> Option<Target> {
        #[cfg(target_arch = "x86_64")]
        {
            let has = std::is_x86_feature_detected!("avx2")
                && std::is_x86_feature_detected!("fma")
                && std::is_x86_feature_detected!("bmi1")
                && std::is_x86_feature_detected!("bmi2")
                && std::is_x86_feature_detected!("lzcnt");
            has.then_some(Target::X86_64V3)
        }
        #[cfg(target_arch = "aarch64")]
        {
            Some(Target::Aarch64)
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            None
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is not a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown target `{0}`: expected x86-64-v3 or aarch64")]
pub struct UnknownTarget(pub String);

impl FromStr for Target {
    type Err = UnknownTarget;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|t| t.name() == s).ok_or_else(|| UnknownTarget(s.to_owned()))
    }
}
