//! The options of a compilation: data that every room may read.

mod math;

use crate::machine::{Machine, Target};

pub use math::{Math, UnknownMath};

/// How much the compiler thinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Level {
    /// Every operator is a kernel of its own: the reference for tests of everything else.
    O0,
    /// Everything.
    #[default]
    Full,
}

/// What makes kernels run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Machine code by Cranelift, compiled on so many threads.
    Cranelift {
        /// The number of threads, at least one.
        threads: usize,
    },
    /// The interpreter of kernels.
    Interpreter,
}

/// What to compile for, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The instruction set.
    pub target: Target,
    /// How much to optimise.
    pub level: Level,
    /// What the optimiser may do.
    pub passes: PassOptions,
    /// What makes the kernels run.
    pub backend: Backend,
    /// Whether all stages are checked by themselves. On in debug builds. Of what becomes a program the graph is always
    /// verified and the plan checked, since nothing checks them while it runs.
    pub check: bool,
}

impl Options {
    /// The usual options for a target.
    pub fn new(target: Target) -> Self {
        Options {
            target,
            level: Level::Full,
            passes: PassOptions::default(),
            backend: Backend::Cranelift { threads: 1 },
            check: cfg!(debug_assertions),
        }
    }

    /// What the passes may do, on the target's machine.
    pub fn for_passes(&self) -> PassOptions {
        PassOptions { machine: *self.target.machine(), ..self.passes.clone() }
    }

    /// The same without rules that move factors and terms into weights.
    #[must_use]
    pub fn without_moving(&self) -> Self {
        Options { passes: PassOptions { weights: false, ..self.passes.clone() }, ..self.clone() }
    }
}

/// Bounds on the size of an e-graph. There is no bound on time: the output must not depend on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// E-nodes of the algebra round, for each e-node of the program that is put in; the round stops above.
    pub growth: usize,
    /// Iterations of the algebra round.
    pub iterations: usize,
    /// Kernels that the fusion round considers for each value.
    pub kernels_per_value: usize,
    /// Operators in one kernel.
    pub kernel_ops: usize,
    /// How often operators in one kernel may be evaluated beyond once each, at one position of its loops.
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
    /// What rewrites may take for granted.
    pub math: Math,
    /// Whether rules that move factors and terms into weights that are prepared apply where the maths is not fast: who runs the program must
    /// then check, when weights are loaded, that no finite one became infinite or was lost to zero, and otherwise run the program
    /// compiled without them.
    pub weights: bool,
    /// Bounds on the e-graphs.
    pub limits: Limits,
    /// What is compiled for. As a part of [`Options`] it is that of the target: see [`Options::for_passes`].
    pub machine: Machine,
    /// Whether what follows from weights alone is computed once, when they are loaded; who runs the program must then run its
    /// preparation too, as sessions do. Which arguments are weights is said by their roles: see [`prepare`](crate::passes::prepare).
    pub prepare: bool,
}

impl Default for PassOptions {
    fn default() -> Self {
        PassOptions {
            math: Math::default(),
            weights: true,
            limits: Limits::default(),
            machine: Machine::PORTABLE,
            prepare: false,
        }
    }
}
