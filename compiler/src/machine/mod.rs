//! The one description of the machine that is compiled for.
//!
//! Registers, caches, threads and costs are described here only; other rooms take a [`Machine`] and compute with its fields.
//! Costs have one unit, a picosecond of one core, and are integers, so that compilation is deterministic across hosts. The
//! machine that runs a program (number of cores, actual caches) has no influence.

mod costs;
pub mod operations;
mod target;

pub use costs::{Cost, CostModel};
pub use target::{Target, UnknownTarget};

use dlc_ir::DType;

/// A machine, as far as the compiler is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    /// Size of a vector register.
    pub vector_bytes: usize,
    /// Number of vector registers.
    pub vector_registers: usize,
    /// Independent chains of vector multiply-adds that hide the latency of one.
    pub fma_chains: usize,
    /// Whether loading an element into all lanes costs no more than loading a vector.
    pub broadcasts: bool,
    /// Whether loading the lanes that a mask selects costs about as much as loading all.
    pub masked_loads: bool,
    /// Limit of the vectors in the unrolled body of an innermost loop.
    pub unrolled_vectors: usize,
    /// Size of a cache line.
    pub line_bytes: usize,
    /// Size of the first-level data cache of a core.
    pub l1_bytes: usize,
    /// Size of the second-level cache of a core.
    pub l2_bytes: usize,
    /// Size of the last-level cache that a few cores share. What is larger is written past the caches.
    pub llc_bytes: usize,
    /// Threads of a large machine of this kind. Work is divided for this number, whatever machine runs it.
    pub threads: usize,
    pub costs: CostModel,
}

impl Machine {
    /// What all targets have in common: 128-bit vectors at about 4 GHz.
    pub const PORTABLE: Machine = Machine {
        vector_bytes: 16,
        vector_registers: 16,
        fma_chains: 8,
        broadcasts: false,
        masked_loads: false,
        unrolled_vectors: 50,
        line_bytes: 64,
        l1_bytes: 32 << 10,
        l2_bytes: 512 << 10,
        llc_bytes: 32 << 20,
        threads: 64,
        costs: CostModel::PORTABLE,
    };

    /// Vectors of 256 bits.
    pub const X86_64_V3: Machine = Machine {
        vector_bytes: 32,
        broadcasts: true,
        masked_loads: true,
        costs: CostModel::X86_64_V3,
        ..Machine::PORTABLE
    };

    /// Vectors of 512 bits, and twice as many registers.
    pub const X86_64_V4: Machine = Machine {
        vector_bytes: 64,
        vector_registers: 32,
        broadcasts: true,
        masked_loads: true,
        unrolled_vectors: 100,
        l2_bytes: 1 << 20,
        costs: CostModel::X86_64_V4,
        ..Machine::PORTABLE
    };

    /// Ways of the caches: lines of one set that they hold at the same time. Hardly any machine has fewer.
    pub const WAYS: usize = 8;

    /// Lanes of a vector register.
    pub const fn lanes(&self, dtype: DType) -> usize {
        self.vector_bytes / dtype.size()
    }

    /// The depth of the packed blocks of a product.
    pub const fn panel_depth(&self) -> usize {
        if self.broadcasts {
            // Panels of A are narrow, those of B that stream past them are not: together they fit.
            self.l1_bytes / 128
        } else {
            // Elements of A are in all lanes of a register.
            self.l1_bytes / (self.fma_chains * self.vector_bytes)
        }
    }

    /// The number of vector registers that a vector of this many lanes takes.
    pub const fn registers(&self, dtype: DType, lanes: usize) -> usize {
        (lanes * dtype.size()).div_ceil(self.vector_bytes)
    }
}
