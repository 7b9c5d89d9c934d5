//! How long things take: one unit, one table.

use dlc_ir::op::Reduction;
use dlc_ir::{DType, Op, ScalarOp, Type};

/// A time in picoseconds of one core.
pub type Cost = u64;

/// What work costs on a machine, in picoseconds of one core. A cycle has 240, so that a sixth of it is a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CostModel {
    /// One kernel: the call, its fraction of the thread pool, its ragged ends.
    pub launch: Cost,
    /// Waking another thread: what takes less runs on the calling one.
    pub wake: Cost,
    /// Work of a kernel that is worth a chunk of its own, which any thread may run.
    pub chunk: Cost,
    /// Work of a product that repays packing its operands.
    pub packing: Cost,
    /// One byte read or written by a kernel, in units of 1/1024 picosecond.
    pub byte: Cost,

    /// One f32 addition or comparison in a vector body.
    pub simple: Cost,
    /// One f32 multiply-add of a register-tiled product.
    pub mac: Cost,
    /// One operation on one element in an ordinary loop, loads included.
    pub operation: Cost,
    /// The same in a register tile.
    pub tiled_operation: Cost,
    /// One update by `scatter`: read, added, and written at an address that is known late.
    pub scatter_update: Cost,

    /// The resolution of costs of instructions, a sixth of a cycle.
    pub tick: Cost,
    /// One vector instruction where nothing holds it up: four a cycle.
    pub instruction: Cost,
    /// One vector multiply-add: two a cycle.
    pub fma: Cost,
    /// From a vector multiply-add to its result, with what instructions wait for each other.
    pub fma_latency: Cost,
    /// One vector load: two a cycle.
    pub load: Cost,
    /// One lane that is read or written by itself, since its neighbours are elsewhere.
    pub strided_lane: Cost,
    /// One lane that is read at an index of its own.
    pub gathered_lane: Cost,
    /// One lane of an integer division.
    pub divided_lane: Cost,
    /// One element that is written in another order.
    pub moved: Cost,
    /// One element that the code behind a reduction reads or writes with a stride.
    pub strided: Cost,
    /// One position of a reduction without a register tile.
    pub untiled: Cost,
    /// Combining the lanes of an accumulator.
    pub combined_lanes: Cost,
}

impl CostModel {
    /// The portable target's: vectors of 128 bits at about 4 GHz.
    pub const PORTABLE: CostModel = CostModel {
        launch: 200_000,
        wake: 3_600_000,
        chunk: 9_830_400,
        packing: 40 << 22,
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
        strided_lane: 120,
        gathered_lane: 180,
        divided_lane: 240,
        moved: 480,
        strided: 360,
        untiled: 480,
        combined_lanes: 1_440,
    };

    /// The traffic of so many bytes.
    pub fn bytes(&self, bytes: usize) -> Cost {
        (bytes as u64).saturating_mul(self.byte) >> 10
    }

    /// One evaluation of a scalar function, in vector code, by its operands' dtype.
    pub fn scalar(&self, op: ScalarOp, dtype: DType) -> Cost {
        Cost::from(op.def().cost) * self.simple * lanes_lost(dtype)
    }

    /// One element of an operator's domain (for a reduction: of what it combines), operands in registers.
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

    /// So many vector instructions that nothing holds up, in whole ticks.
    pub const fn issue(&self, instructions: usize) -> Cost {
        instructions as Cost * self.instruction / self.tick * self.tick
    }

    /// So many operations on elements in ordinary loops.
    pub const fn operations(&self, count: usize) -> Cost {
        self.operation.saturating_mul(count as Cost)
    }

    /// How many chunks of a kernel some work is worth.
    pub const fn chunks(&self, work: Cost) -> usize {
        (work / self.chunk) as usize
    }
}

impl Default for CostModel {
    fn default() -> Self {
        Self::PORTABLE
    }
}

/// Elements of eight bytes fill a vector twice as fast.
fn lanes_lost(dtype: DType) -> Cost {
    if dtype.size() == 8 { 2 } else { 1 }
}
