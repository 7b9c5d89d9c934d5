//! The instruction sets that kernels are compiled for, and which of them this machine has.

use super::vector::{Avx2, Avx512, Task, Vector};

/// An instruction set of this machine.
#[derive(Clone, Copy, Debug)]
pub enum Set {
    /// Vectors of 512 bits.
    Avx512(Avx512),
    /// Vectors of 256 bits.
    Avx2(Avx2),
}

impl Set {
    /// All that this machine has, the best first.
    pub fn all() -> Vec<Set> {
        Avx512::detect().map(Set::Avx512).into_iter().chain(Avx2::detect().map(Set::Avx2)).collect()
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Set::Avx512(_) => "AVX-512",
            Set::Avx2(_) => "AVX2",
        }
    }

    /// Does a task with it.
    pub fn call(self, task: impl Task) {
        match self {
            Set::Avx512(v) => v.call(task),
            Set::Avx2(v) => v.call(task),
        }
    }
}
