//! What the parts of an element's expression count for in a loop of vectors, in [operations](super::CostModel::operation).

use dlc_ir::ScalarOp;

/// Reading an element.
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
