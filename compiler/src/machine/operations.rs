//! What operators and the parts of an element's expression count for.

use dlc_ir::{Op, ScalarOp};

/// Reading an element, in [operations](super::CostModel::operation) in a loop of vectors, as all here but the last.
pub const READ: usize = 1;
/// Choosing between two values.
pub const BRANCH: usize = 2;
/// Drawing a random number.
pub const RANDOM: usize = 100;

/// A scalar function.
pub const fn scalar(function: ScalarOp) -> usize {
    use ScalarOp::{Cos, Div, Erf, Exp, Expm1, Log, Log1p, Pow, Rem, Rsqrt, Sigmoid, Sin, Sqrt, Tanh};
    match function {
        Exp | Log | Tanh | Sigmoid | Erf | Sin | Cos | Pow | Expm1 | Log1p => 12,
        Div | Sqrt | Rsqrt | Rem => 4,
        _ => 1,
    }
}

/// What rematerialising one element of an operator's result, computing it again where it is used instead of saving it, is worth in bytes of
/// memory traffic; none if that is never done.
pub fn rematerialize(op: &Op) -> Option<u64> {
    // Additions from which a scalar function is worth more than the traffic of an addition: a division and all beyond.
    const SLOW: u8 = 4;
    Some(match op {
        // no work of their own, or folded into whatever reads them
        Op::Constant(_) | Op::Iota(_) | Op::Broadcast(_) | Op::Reshape(_) => 0,
        // of masks and of statistics mostly, which are better computed than saved
        Op::Map(ScalarOp::Convert(_) | ScalarOp::Sqrt | ScalarOp::Rsqrt) => 1,
        Op::Map(f) if f.def().cost >= SLOW => 6,
        Op::Map(_) | Op::Transpose(_) | Op::Reverse(_) | Op::Slice(_) | Op::Pad(_) | Op::Concat(_) => 1,
        Op::Gather(_) => 4,
        // reductions, contractions, random draws and calls
        _ => return None,
    })
}
