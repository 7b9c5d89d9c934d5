//! The size of operators, to which the machine's cost model applies.

use dlc_ir::{Op, Type};

pub use crate::machine::{Cost, CostModel};

/// How many elements are reduced to one element of the result; 1 for operators other than reductions.
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
