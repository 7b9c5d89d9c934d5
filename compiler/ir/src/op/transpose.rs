//! `transpose`: permutes axes.

use super::{EvalError, Operator, TypeError, Types, are_axes};
use super::eval::{element_at, result_type, tensor_of};
use crate::{Tensor, Type};

/// Permutes axes: axis `i` of the result is axis `perm[i]` of the operand.
///
/// ```text
/// %0 = transpose %x {perm=[1,0]} : f32[3,2]       // from f32[2,3]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transpose {
    /// A permutation of the operand's axes.
    pub perm: Vec<usize>,
}

impl Transpose {
    /// For each axis of the operand the result's axis that it becomes.
    pub fn inverse(&self) -> Vec<usize> {
        let mut inverse = vec![0; self.perm.len()];
        self.perm.iter().enumerate().for_each(|(i, &a)| inverse[a] = i);
        inverse
    }
}

impl Operator for Transpose {
    const MNEMONIC: &'static str = "transpose";
    const OPERANDS: &'static [&'static str] = &["x"];
    attrs!(perm);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        let fits = self.perm.len() == x.rank() && are_axes(&self.perm, x.rank());
        ensure!(fits, "{:?} does not permute the axes of {x}", self.perm);
        Ok(smallvec::smallvec![x.with_shape(self.perm.iter().map(|&a| x.shape[a]).collect::<Vec<_>>())])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let inverse = self.inverse();
        let element = |i: &[usize]| element_at(&args[0], inverse.iter().map(|&a| i[a]));
        Ok(vec![tensor_of(&result_type(self, args)?, element)])
    }
}
