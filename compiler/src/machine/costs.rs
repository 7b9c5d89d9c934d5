//! The cost model: one unit, one table.

use dlc_ir::op::Reduction;
use dlc_ir::{DType, Op, ScalarOp, Type};

/// A time in picoseconds of one core.
pub type Cost = u64;

/// The costs of a machine, in picoseconds of one core. A cycle is 240, so that a sixth of it is an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CostModel {
    /// The fixed cost of a kernel: the call, its fraction of the thread pool, uneven chunks.
    pub launch: Cost,
    /// Waking another thread: a kernel that takes less runs on the calling one.
    pub wake: Cost,
    /// The least work of a chunk of a kernel, the unit that threads claim.
    pub chunk: Cost,
    /// The least work of a product for which packing pays.
    pub packing: Cost,
    /// The least work of a block of a product: of smaller ones, more is packed than they are worth.
    pub block: Cost,
    /// One byte read or written by a kernel, in units of 1/1024 picosecond.
    pub byte: Cost,

    /// One f32 addition or comparison in vector code.
    pub simple: Cost,
    /// One f32 multiply-add of a register-tiled product.
    pub mac: Cost,
    /// One operation on one element in an ordinary loop, loads included.
    pub operation: Cost,
    /// The same in a register tile.
    pub tiled_operation: Cost,
    /// One update by `scatter`: load, add, and store at a data-dependent address.
    pub scatter_update: Cost,

    /// The resolution of instruction costs, a sixth of a cycle.
    pub tick: Cost,
    /// The throughput cost of a vector instruction: four per cycle.
    pub instruction: Cost,
    /// The throughput cost of a vector multiply-add: two per cycle.
    pub fma: Cost,
    /// The latency of a vector multiply-add, with stalls.
    pub fma_latency: Cost,
    /// The throughput cost of a vector load: two per cycle.
    pub load: Cost,
    /// A cache line that comes from the second-level cache while the first is busy.
    pub line: Cost,
    /// A loop whose bounds are computed: their computation, and the end that is not predicted.
    pub bounded_loop: Cost,
    /// One lane of a strided load or store.
    pub strided_lane: Cost,
    /// One lane of a gather.
    pub gathered_lane: Cost,
    /// One lane of an integer division.
    pub divided_lane: Cost,
    /// One element that is stored in another order.
    pub moved: Cost,
    /// One element that a reduction's epilogue loads or stores with a stride.
    pub strided: Cost,
    /// One iteration of a reduction without a register tile.
    pub untiled: Cost,
    /// The horizontal reduction of an accumulator.
    pub combined_lanes: Cost,
}

impl CostModel {
    /// The portable target: vectors of 128 bits at about 4 GHz.
    pub const PORTABLE: CostModel = CostModel {
        launch: 200_000,
        wake: 3_600_000,
        chunk: 9_830_400,
        packing: 40 << 22,
        block: 40 << 22,
        byte: 25 << 10,
        simple: 35,
        mac: 40,
        operation: 600,
        tiled_operation: 75,
        scatter_update: 2_400,
        tick: 40,
        instruction: 60,
        fma: 120,
        fma_latency: 1_120,
        load: 120,
        line: 480,
        bounded_loop: 2_400,
        strided_lane: 120,
        gathered_lane: 180,
        divided_lane: 240,
        moved: 480,
        strided: 360,
        untiled: 480,
        combined_lanes: 1_440,
    };

    /// Vectors of 256 bits.
    pub const X86_64_V3: CostModel =
        CostModel { mac: 20, tiled_operation: 38, packing: 10 << 22, block: 10_000_000, ..CostModel::PORTABLE };

    /// Vectors of 512 bits, which some machines execute as two halves.
    pub const X86_64_V4: CostModel =
        CostModel { mac: 12, tiled_operation: 24, packing: 5 << 22, block: 10_000_000, ..CostModel::PORTABLE };

    /// The memory traffic of this many bytes.
    pub fn bytes(&self, bytes: usize) -> Cost {
        (bytes as u64).saturating_mul(self.byte) >> 10
    }

    /// One evaluation of a scalar function in vector code, by its operands' dtype.
    pub fn scalar(&self, op: ScalarOp, dtype: DType) -> Cost {
        Cost::from(op.def().cost) * self.simple * lanes_lost(dtype)
    }

    /// One point of an operator's iteration space, with operands in registers.
    pub fn element(&self, op: &Op, operands: &[Type]) -> Cost {
        let dtype = operands.first().map_or(DType::F32, |t| t.dtype);
        match op {
            Op::Map(f) => self.scalar(*f, operands.last().map_or(dtype, |t| t.dtype)),
            Op::Dot(_) => self.mac * lanes_lost(dtype),
            Op::Conv(_) => self.mac * lanes_lost(dtype) * 5 / 4,
            Op::Reduce(r) if matches!(r.kind, Reduction::ArgMin | Reduction::ArgMax) => {
                4 * self.simple * lanes_lost(dtype)
            }
            Op::Reduce(_) => self.simple * lanes_lost(dtype),
            Op::ReduceWindow(_) => 2 * self.simple * lanes_lost(dtype),
            Op::WindowArgmax(_) => 6 * self.simple * lanes_lost(dtype),
            Op::RngBits(_) => 40 * self.simple,
            Op::Pad(_) | Op::Concat(_) => 2 * self.simple,
            Op::Gather(_) => 10 * self.simple,
            Op::Scatter(_) => 20 * self.simple,
            Op::ScatterArgmax(_) => 40 * self.simple,
            // A shuffle of lanes, or a load that is not contiguous.
            Op::Transpose(_) | Op::Reverse(_) => self.simple / 2,
            _ => 0,
        }
    }

    /// The throughput cost of vector instructions, in whole ticks.
    pub const fn issue(&self, instructions: usize) -> Cost {
        instructions as Cost * self.instruction / self.tick * self.tick
    }

    /// The cost of operations on elements in ordinary loops.
    pub const fn operations(&self, count: usize) -> Cost {
        self.operation.saturating_mul(count as Cost)
    }

    /// How many chunks some work of a kernel is worth.
    pub const fn chunks(&self, work: Cost) -> usize {
        (work / self.chunk) as usize
    }
}

impl Default for CostModel {
    fn default() -> Self {
        Self::PORTABLE
    }
}

/// A vector has half as many lanes of eight bytes.
fn lanes_lost(dtype: DType) -> Cost {
    if dtype.size() == 8 { 2 } else { 1 }
}
