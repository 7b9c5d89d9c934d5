//! Operation counts of operators and expressions.

use dlc_ir::{Op, ScalarOp};

/// Loading an element. Like the others but the last in vectorised loops, in [operations](super::CostModel::operation).
pub const READ: usize = 1;
/// A select.
pub const BRANCH: usize = 2;
pub const RANDOM: usize = 100;

pub const fn scalar(function: ScalarOp) -> usize {
    use ScalarOp::{Cos, Div, Erf, Exp, Expm1, Log, Log1p, Pow, Rem, Rsqrt, Sigmoid, Sin, Sqrt, Tanh};
    match function {
        Exp | Log | Tanh | Sigmoid | Erf | Sin | Cos | Pow | Expm1 | Log1p => 12,
        Div | Sqrt | Rsqrt | Rem => 4,
        _ => 1,
    }
}

/// The cost of rematerialising one element of an operator's result instead of saving it, in bytes of memory traffic; `None` if it
/// is never rematerialised.
pub fn rematerialize(op: &Op) -> Option<u64> {
    // A scalar function of more additions than this (a division and all slower ones) costs more than the traffic of an addition.
    const SLOW: u8 = 4;
    Some(match op {
        // free, or folded into their users
        Op::Constant(_) | Op::Iota(_) | Op::Broadcast(_) | Op::Reshape(_) => 0,
        // masks and statistics mostly, which are better recomputed than saved
        Op::Map(ScalarOp::Convert(_) | ScalarOp::Sqrt | ScalarOp::Rsqrt) => 1,
        Op::Map(f) if f.def().cost >= SLOW => 6,
        Op::Map(_) | Op::Transpose(_) | Op::Reverse(_) | Op::Slice(_) | Op::Pad(_) | Op::Concat(_) => 1,
        Op::Gather(_) => 4,
        // reductions, contractions, random draws and calls
        _ => return None,
    })
}
