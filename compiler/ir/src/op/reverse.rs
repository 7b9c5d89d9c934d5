//! `reverse`: turns axes around.

use super::{EvalError, Operator, TypeError, Types, are_axes};
use super::eval::{element_at, result_type, tensor_of};
use crate::{Tensor, Type};

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

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let x = &args[0];
        let turned = |a: usize, i: usize| if self.axes.contains(&a) { x.shape()[a] - 1 - i } else { i };
        let element = |i: &[usize]| element_at(x, i.iter().enumerate().map(|(a, &i)| turned(a, i)));
        Ok(vec![tensor_of(&result_type(self, args)?, element)])
    }
}
