//! Helpers of the reference evaluations of operators.

use super::{Operator, TypeError};
use crate::{AllocError, Scalar, Shape, Tensor, Type};

/// Why an operator cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    #[error(transparent)]
    Type(#[from] TypeError),
    /// An index of `gather` or `scatter` that is out of range.
    #[error("index {index} is out of range for an axis of size {size}")]
    IndexOutOfRange {
        index: i64,
        /// The size of the axis.
        size: usize,
    },
    #[error(transparent)]
    TooLarge(#[from] AllocError),
    /// The operator depends on other functions of the program: the interpreter evaluates it, not the operator.
    #[error("`{0}` cannot be evaluated outside of a program")]
    NotLocal(&'static str),
}

/// The type of the only result.
pub(super) fn result_type(op: &impl Operator, args: &[Tensor]) -> Result<Type, TypeError> {
    let types: Vec<Type> = args.iter().map(|a| a.ty().clone()).collect();
    Ok(op.infer(&types)?.remove(0))
}

/// A tensor each element of which is computed from its index.
pub(super) fn tensor_of(ty: &Type, mut element: impl FnMut(&[usize]) -> Scalar) -> Tensor {
    let mut indices = ty.shape.indices();
    Tensor::from_fn(ty.clone(), |_| element(&indices.next().expect("there are as many indices as elements")))
}

/// The element at an index.
pub(super) fn element_at(x: &Tensor, index: impl IntoIterator<Item = usize>) -> Scalar {
    x.get(index.into_iter().zip(x.shape().iter()).fold(0, |offset, (i, d)| offset * d + i))
}

/// Row-major positions of the elements along some axes, in row-major order of the axes as listed; 0 on all others.
pub(super) fn walk_axes(shape: &Shape, axes: &[usize]) -> Vec<usize> {
    let strides = shape.strides();
    let sizes: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
    let steps: Vec<usize> = axes.iter().map(|&a| strides[a]).collect();
    walk(&sizes, &steps)
}

/// For each index, in row-major order, the sum over the axes of index times step.
pub(super) fn walk(sizes: &[usize], steps: &[usize]) -> Vec<usize> {
    if sizes.contains(&0) {
        return vec![];
    }
    let inner = |positions: Vec<usize>, (&size, &step): (&usize, &usize)| {
        positions.iter().flat_map(|position| (0..size).map(move |i| position + i * step)).collect()
    };
    sizes.iter().zip(steps).fold(vec![0], inner)
}

/// A tensor of sums of products. For each element of the result `runs` has the row-major positions at which runs of factors
/// begin; `terms` are the positions of a run's factors relative to that.
pub(super) fn sums_of_products(
    ty: Type,
    lhs: &Tensor,
    rhs: &Tensor,
    terms: Vec<(usize, usize)>,
    runs: impl Fn(usize, &mut dyn FnMut(usize, usize)),
) -> Tensor {
    if ty.dtype.is_float() {
        let (l, r) = (lhs.to_f64s(), rhs.to_f64s());
        Tensor::from_fn(ty, |i| {
            let mut sum = 0.0;
            runs(i, &mut |a, b| {
                for (l_place, r_place) in &terms {
                    sum += l[a + l_place] * r[b + r_place];
                }
            });
            Scalar::Float(sum)
        })
    } else {
        let ints = |x: &Tensor| -> Vec<i64> { x.scalars().map(Scalar::as_i64).collect() };
        let (l, r) = (ints(lhs), ints(rhs));
        Tensor::from_fn(ty, |i| {
            let mut sum = 0i64;
            runs(i, &mut |a, b| {
                for (l_place, r_place) in &terms {
                    sum = sum.wrapping_add(l[a + l_place].wrapping_mul(r[b + r_place]));
                }
            });
            Scalar::Int(sum)
        })
    }
}
