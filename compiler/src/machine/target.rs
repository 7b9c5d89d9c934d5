//! Targets: named instruction sets.

use std::fmt;
use std::str::FromStr;

use super::Machine;

/// A named instruction set. Compiled code depends on the target and never on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// x86-64 with AVX2, FMA and BMI, of whose vectors 128 bits are used.
    X86_64,
    /// The same with vectors of 256 bits.
    X86_64V3,
    /// x86-64 with AVX-512 F, BW, CD, DQ and VL.
    X86_64V4,
    /// AArch64 with NEON.
    Aarch64,
}

impl Target {
    /// Every target.
    pub const ALL: [Target; 4] = [Target::X86_64, Target::X86_64V3, Target::X86_64V4, Target::Aarch64];

    /// The name in `--target` and in artefacts.
    pub const fn name(self) -> &'static str {
        match self {
            Target::X86_64 => "x86-64",
            Target::X86_64V3 => "x86-64-v3",
            Target::X86_64V4 => "x86-64-v4",
            Target::Aarch64 => "aarch64",
        }
    }

    /// The machine model of the target.
    pub const fn machine(self) -> &'static Machine {
        match self {
            Target::X86_64 | Target::Aarch64 => &Machine::PORTABLE,
            Target::X86_64V3 => &Machine::X86_64_V3,
            Target::X86_64V4 => &Machine::X86_64_V4,
        }
    }

    /// The target that the host runs fastest, if it can run any.
    pub fn host() -> Option<Target> {
        [Target::X86_64V4, Target::X86_64V3, Target::Aarch64].into_iter().find(|target| target.runs_here())
    }

    /// The target with vectors of 128 bits that the host can run, if any.
    pub fn portable() -> Option<Target> {
        [Target::X86_64, Target::Aarch64].into_iter().find(|target| target.runs_here())
    }

    /// Whether the host has the instructions of the target.
    pub fn runs_here(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let v3 = std::is_x86_feature_detected!("avx2")
                && std::is_x86_feature_detected!("fma")
                && std::is_x86_feature_detected!("bmi1")
                && std::is_x86_feature_detected!("bmi2")
                && std::is_x86_feature_detected!("lzcnt");
            let v4 = || {
                std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512bw")
                    && std::is_x86_feature_detected!("avx512cd")
                    && std::is_x86_feature_detected!("avx512dq")
                    && std::is_x86_feature_detected!("avx512vl")
            };
            match self {
                Target::X86_64 | Target::X86_64V3 => v3,
                Target::X86_64V4 => v3 && v4(),
                Target::Aarch64 => false,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Target::Aarch64 && cfg!(target_arch = "aarch64")
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
#[error("unknown target `{0}`: expected x86-64, x86-64-v3, x86-64-v4, aarch64, portable or native")]
pub struct UnknownTarget(pub String);

impl FromStr for Target {
    type Err = UnknownTarget;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let found = match s {
            "native" => Target::host(),
            "portable" => Target::portable(),
            name => Self::ALL.into_iter().find(|t| t.name() == name),
        };
        found.ok_or_else(|| UnknownTarget(s.to_owned()))
    }
}
