//! The one description of the machine that code is made for.
//!
//! All that is known of registers, caches, threads and time is here. A room that decides something by it takes a [`Machine`] and computes
//! with its fields; it has no such number of its own. Times have one unit, a picosecond of one core, and are whole numbers, so that every
//! machine that compiles decides the same. What runs a program (how many cores, which exact caches) has no influence.

mod costs;
pub mod operations;
mod target;

pub use costs::{Cost, CostModel};
pub use target::{Target, UnknownTarget};

use dlc_ir::DType;

/// A machine, as far as the compiler takes notice of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    /// Bytes of a vector register.
    pub vector_bytes: usize,
    /// Vector registers.
    pub vector_registers: usize,
    /// Independent chains of vector multiply-adds that cover the latency of one.
    pub fma_chains: usize,
    /// The most vectors that the unrolled iterations of an innermost loop work on.
    pub unrolled_vectors: usize,
    /// Bytes of a core's first-level data cache.
    pub l1_bytes: usize,
    /// Bytes of a core's second-level cache.
    pub l2_bytes: usize,
    /// The threads of a large machine of this kind. Work is cut for so many, however many there are when it runs.
    pub threads: usize,
    /// How long everything takes.
    pub costs: CostModel,
}

impl Machine {
    /// What every target has: 128-bit vectors at about 4 GHz.
    pub const PORTABLE: Machine = Machine {
        vector_bytes: 16,
        vector_registers: 16,
        fma_chains: 8,
        unrolled_vectors: 50,
        l1_bytes: 32 << 10,
        l2_bytes: 512 << 10,
        threads: 64,
        costs: CostModel::PORTABLE,
    };

    /// Elements of a dtype in a vector register.
    pub const fn lanes(&self, dtype: DType) -> usize {
        self.vector_bytes / dtype.size()
    }

    /// Vector registers that hold a vector of so many lanes.
    pub const fn registers(&self, dtype: DType, lanes: usize) -> usize {
        (lanes * dtype.size()).div_ceil(self.vector_bytes)
    }
}
