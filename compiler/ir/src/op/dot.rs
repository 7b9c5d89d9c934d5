//! `dot`: sums of products over pairs of axes.

use super::{EvalError, Operator, TypeError, Types, are_axes};
use super::eval::{result_type, sums_of_products};
use crate::{DType, Shape, Tensor, Type};

/// Sums products over pairs of axes. The result's axes: the batch axes, then the left operand's free axes, then the right one's.
///
/// ```text
/// %0 = dot %x, %w {lhs=[1], rhs=[1], lhs_batch=[], rhs_batch=[]} : f32[32,128]   // f32[32,784] and f32[128,784]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dot {
    /// The left operand's summed axes.
    pub lhs: Vec<usize>,
    /// The right operand's summed axes, in the order of their partners.
    pub rhs: Vec<usize>,
    /// The left operand's batch axes.
    pub lhs_batch: Vec<usize>,
    /// The right operand's batch axes, in the order of their partners.
    pub rhs_batch: Vec<usize>,
}

impl Dot {
    /// The axes of an operand that are neither summed nor batch, ascending.
    pub fn free(rank: usize, summed: &[usize], batch: &[usize]) -> Vec<usize> {
        (0..rank).filter(|a| !summed.contains(a) && !batch.contains(a)).collect()
    }
}

impl Operator for Dot {
    const MNEMONIC: &'static str = "dot";
    const OPERANDS: &'static [&'static str] = &["lhs", "rhs"];
    attrs!(lhs, rhs, lhs_batch, rhs_batch);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let (l, r) = (&args[0], &args[1]);
        ensure!(l.dtype == r.dtype && l.dtype != DType::Bool, "{l} and {r} must be numbers of one dtype");
        let pairs = self.lhs.len() == self.rhs.len() && self.lhs_batch.len() == self.rhs_batch.len();
        ensure!(pairs, "axes come in pairs");
        for (axes, batch, ty) in [(&self.lhs, &self.lhs_batch, l), (&self.rhs, &self.rhs_batch, r)] {
            ensure!(are_axes(&[axes.as_slice(), batch].concat(), ty.rank()), "{axes:?} and {batch:?} on {ty}");
        }
        for (&a, &b) in self.lhs.iter().zip(&self.rhs).chain(self.lhs_batch.iter().zip(&self.rhs_batch)) {
            ensure!(l.shape[a] == r.shape[b], "axis {a} of {l} does not fit axis {b} of {r}");
        }
        let mut shape: Vec<usize> = self.lhs_batch.iter().map(|&a| l.shape[a]).collect();
        shape.extend(Self::free(l.rank(), &self.lhs, &self.lhs_batch).iter().map(|&a| l.shape[a]));
        shape.extend(Self::free(r.rank(), &self.rhs, &self.rhs_batch).iter().map(|&a| r.shape[a]));
        Ok(smallvec::smallvec![l.with_shape(shape)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let (l, r) = (args[0].shape(), args[1].shape());
        let summed: Shape = self.lhs.iter().map(|&a| l[a]).collect();
        let l_free = Self::free(l.rank(), &self.lhs, &self.lhs_batch);
        let r_free = Self::free(r.rank(), &self.rhs, &self.rhs_batch);
        let batch = self.lhs_batch.len();
        let tensor = sums_of_products(&result_type(self, args)?, &args[0], &args[1], |i, term| {
            let (mut l_index, mut r_index) = (vec![0; l.rank()], vec![0; r.rank()]);
            self.lhs_batch.iter().chain(&l_free).zip(i).for_each(|(&a, &i)| l_index[a] = i);
            self.rhs_batch.iter().zip(i).for_each(|(&a, &i)| r_index[a] = i);
            r_free.iter().zip(&i[batch + l_free.len()..]).for_each(|(&a, &i)| r_index[a] = i);
            for k in summed.indices() {
                self.lhs.iter().zip(&k).for_each(|(&a, &k)| l_index[a] = k);
                self.rhs.iter().zip(&k).for_each(|(&a, &k)| r_index[a] = k);
                term(l.offset(&l_index), r.offset(&r_index));
            }
        });
        Ok(vec![tensor])
    }
}
