//! The options of a compilation.

mod math;

use crate::machine::{Machine, Target};

pub use math::{Math, UnknownMath};

/// The optimisation level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Level {
    /// No optimisation, every operator a kernel of its own: the reference for tests of everything else.
    O0,
    #[default]
    Full,
}

/// How kernels are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Machine code, compiled on several threads.
    Native {
        /// At least one.
        threads: usize,
    },
    /// The interpreter of kernels.
    Interpreter,
}

impl Backend {
    /// The number of threads that compile.
    pub const fn threads(self) -> usize {
        match self {
            Backend::Native { threads } => threads,
            Backend::Interpreter => 1,
        }
    }
}

/// What to compile for, and how.
#[derive(Clone, Debug)]
pub struct Options {
    pub target: Target,
    pub level: Level,
    pub passes: PassOptions,
    pub backend: Backend,
    /// Whether to verify after every stage. On in debug builds. The graph and the memory plan of the final program are always
    /// verified, since nothing checks them at run time.
    pub check: bool,
}

impl Options {
    /// The default options for a target.
    pub fn new(target: Target) -> Self {
        Options {
            target,
            level: Level::Full,
            passes: PassOptions::default(),
            backend: Backend::Native { threads: 1 },
            check: cfg!(debug_assertions),
        }
    }

    /// The pass options, with the target's machine and the backend's threads.
    pub fn for_passes(&self) -> PassOptions {
        PassOptions { machine: *self.target.machine(), threads: self.backend.threads(), ..self.passes.clone() }
    }

    /// The same without rules that move factors and terms into weights.
    #[must_use]
    pub fn without_moving(&self) -> Self {
        Options { passes: PassOptions { weights: false, ..self.passes.clone() }, ..self.clone() }
    }
}

/// Limits on the size of an e-graph. They are counts, not times: the output must be deterministic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// E-nodes of the algebra round per e-node of the program; the round stops above this.
    pub growth: usize,
    /// Iterations of the algebra round.
    pub iterations: usize,
    /// Kernels that the fusion round considers for each value.
    pub kernels_per_value: usize,
    /// Operators in one kernel.
    pub kernel_ops: usize,
    /// Limit of redundant evaluations of operators in one kernel per point of its iteration space.
    pub kernel_recomputations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { growth: 8, iterations: 8, kernels_per_value: 8, kernel_ops: 64, kernel_recomputations: 48 }
    }
}

/// What the passes may do.
#[derive(Clone, Debug)]
pub struct PassOptions {
    /// What rewrites may assume.
    pub math: Math,
    /// Whether rules that move factors and terms into prepared weights apply even if the maths is not fast: the caller must then
    /// check, when weights are loaded, that no finite one overflowed or underflowed to zero, and fall back to the program
    /// compiled without these rules otherwise.
    pub weights: bool,
    pub limits: Limits,
    /// The machine to compile for. As a part of [`Options`] it is that of the target: see [`Options::for_passes`].
    pub machine: Machine,
    /// Whether to compute what depends on weights only once, when they are loaded; the caller must then run the program's
    /// preparation too, as sessions do. The roles of arguments determine which are weights: see
    /// [`prepare`](crate::passes::prepare).
    pub prepare: bool,
    /// The threads on which functions are optimised; no result depends on it. As a part of [`Options`] it is the backend's.
    pub threads: usize,
}

impl Default for PassOptions {
    fn default() -> Self {
        PassOptions {
            math: Math::default(),
            weights: true,
            limits: Limits::default(),
            machine: Machine::PORTABLE,
            prepare: false,
            threads: 1,
        }
    }
}
