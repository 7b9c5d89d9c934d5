//! What work costs: a roofline in whole picoseconds, so that every machine that compiles decides the same.

use dlc_ir::op::Reduction;
use dlc_ir::{DType, Op, ScalarOp, Type};

/// A time in picoseconds of one core.
pub type Cost = u64;

/// What work costs on a target, in picoseconds of one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CostModel {
    /// One kernel: the call, its share of the thread pool, its ragged ends.
    pub launch: Cost,
    /// One byte read or written by a kernel, in units of 1/1024 picosecond.
    pub byte: Cost,
    /// One f32 addition or comparison in a vector body.
    pub simple: Cost,
    /// One f32 multiply-add of a register-tiled product.
    pub mac: Cost,
}

impl Default for CostModel {
    fn default() -> Self {
        Self::PORTABLE
    }
}

impl CostModel {
    /// The portable target: vectors of 128 bits at about 4 GHz.
    pub const PORTABLE: CostModel = CostModel { launch: 200_000, byte: 25 << 10, simple: 35, mac: 40 };

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
}

/// Elements of eight bytes fill a vector twice as fast.
fn lanes_lost(dtype: DType) -> Cost {
    if dtype.size() == 8 { 2 } else { 1 }
}

/// How many elements a reducing operator combines into one element of its result; 1 for all others.
pub fn reduction_size(op: &Op, operands: &[Type]) -> usize {
    let product = |sizes: &mut dyn Iterator<Item = usize>| sizes.fold(1, usize::saturating_mul);
    match op {
        Op::Reduce(r) => product(&mut r.axes.iter().map(|&a| operands[0].shape[a])),
        Op::ReduceWindow(r) => product(&mut r.window.size.iter().copied()),
        Op::WindowArgmax(w) => product(&mut w.window.size.iter().copied()),
        Op::Dot(d) => product(&mut d.lhs.iter().map(|&a| operands[0].shape[a])),
        Op::Conv(_) => product(&mut operands[1].shape[1..].iter().copied()),
        _ => 1,
    }
}
