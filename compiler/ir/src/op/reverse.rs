//! `reverse`: turns axes around.

use super::{Operator, TypeError, Types, are_axes};
use crate::Type;

/// Turns axes around.
///
/// ```text
/// %0 = reverse %x {axes=[0]} : f32[3]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reverse {
    /// Distinct axes.
    pub axes: Vec<usize>,
}

impl Operator for Reverse {
    const MNEMONIC: &'static str = "reverse";
    const OPERANDS: &'static [&'static str] = &["x"];
    attrs!(axes);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        ensure!(are_axes(&self.axes, x.rank()), "{:?} are not distinct axes of {x}", self.axes);
        Ok(smallvec::smallvec![x.clone()])
    }
}
