//! What operators cost on a machine: a roofline.

use dlc_ir::op::Reduction;
use dlc_ir::{DType, Op, ScalarOp, Type};

pub use crate::machine::{Cost, CostModel};

impl CostModel {
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
