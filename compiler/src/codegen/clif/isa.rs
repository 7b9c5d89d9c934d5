//! Cranelift's instruction sets for our targets.

use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};

use crate::codegen::EmitError;
use crate::machine::Target;

/// The features of `x86-64-v3` that Cranelift supports. Without `has_avx` and `has_fma`, `fma` would be a library call.
const X86_64_V3: [&str; 10] = [
    "has_sse3",
    "has_ssse3",
    "has_sse41",
    "has_sse42",
    "has_popcnt",
    "has_avx",
    "has_avx2",
    "has_fma",
    "has_bmi1",
    "has_bmi2",
];

/// The register allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::codegen) enum RegisterAllocation {
    /// For kernels: best code.
    Backtracking,
    /// One pass with many spills: for code that runs once per launch.
    SinglePass,
}

impl RegisterAllocation {
    fn name(self) -> &'static str {
        match self {
            RegisterAllocation::Backtracking => "backtracking",
            RegisterAllocation::SinglePass => "single_pass",
        }
    }
}

pub(super) fn build(target: Target, registers: RegisterAllocation) -> Result<OwnedTargetIsa, EmitError> {
    let internal = |e: &dyn std::fmt::Display| EmitError::Internal(format!("target {target}: {e}"));
    let mut flags = settings::builder();
    for (name, value) in [
        ("opt_level", "none"),
        ("regalloc_algorithm", registers.name()),
        ("enable_alias_analysis", "false"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
        ("unwind_info", "false"),
        ("enable_probestack", "false"),
    ] {
        flags.set(name, value).map_err(|e| internal(&e))?;
    }
    let flags = settings::Flags::new(flags);
    let name = match target {
        Target::X86_64 | Target::X86_64V3 | Target::X86_64V4 => "x86_64",
        Target::Aarch64 => "aarch64",
    };
    let mut builder = isa::lookup_by_name(name).map_err(|e| internal(&e))?;
    if target != Target::Aarch64 {
        for feature in X86_64_V3 {
            builder.enable(feature).map_err(|e| internal(&e))?;
        }
        builder.enable("has_lzcnt").map_err(|e| internal(&e))?;
    }
    builder.finish(flags).map_err(|e| internal(&e))
}
