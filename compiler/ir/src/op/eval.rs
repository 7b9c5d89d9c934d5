//! What the reference evaluations of operators share.

use super::{Operator, TypeError};
use crate::{Scalar, Tensor, Type};

/// Why an operator has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Operands that do not fit.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// An index of `gather` or `scatter` that does not exist.
    #[error("index {index} is not in 0 .. {size}")]
    IndexOutOfRange {
        /// The index.
        index: i64,
        /// The size of the axis.
        size: usize,
    },
    /// The operator's meaning hangs on other functions of the program: the interpreter evaluates it, not the operator.
    #[error("`{0}` has no meaning outside a program")]
    NotLocal(&'static str),
}

/// The type of the one result.
pub(super) fn result_type(op: &impl Operator, args: &[Tensor]) -> Result<Type, TypeError> {
    let types: Vec<Type> = args.iter().map(|a| a.ty().clone()).collect();
    Ok(op.infer(&types)?.remove(0))
}

/// A tensor of which every element is computed from its index.
pub(super) fn tensor_of(ty: &Type, mut element: impl FnMut(&[usize]) -> Scalar) -> Tensor {
    let mut indices = ty.shape.indices();
    Tensor::from_fn(ty.clone(), |_| element(&indices.next().expect("there are as many indices as elements")))
}

/// The element at an index.
pub(super) fn element_at(x: &Tensor, index: impl IntoIterator<Item = usize>) -> Scalar {
    x.get(index.into_iter().zip(x.shape().iter()).fold(0, |offset, (i, d)| offset * d + i))
}

/// A tensor of sums of products. For each index of the result `terms` names the row-major positions of the factors, pair by pair.
pub(super) fn sums_of_products(
    ty: &Type,
    lhs: &Tensor,
    rhs: &Tensor,
    terms: impl Fn(&[usize], &mut dyn FnMut(usize, usize)),
) -> Tensor {
    if ty.dtype.is_float() {
        let (l, r) = (lhs.to_f64s(), rhs.to_f64s());
        tensor_of(ty, |i| {
            let mut sum = 0.0;
            terms(i, &mut |a, b| sum += l[a] * r[b]);
            Scalar::Float(sum)
        })
    } else {
        let ints = |x: &Tensor| -> Vec<i64> { x.scalars().map(Scalar::as_i64).collect() };
        let (l, r) = (ints(lhs), ints(rhs));
        tensor_of(ty, |i| {
            let mut sum = 0i64;
            terms(i, &mut |a, b| sum = sum.wrapping_add(l[a].wrapping_mul(r[b])));
            Scalar::Int(sum)
        })
    }
}
