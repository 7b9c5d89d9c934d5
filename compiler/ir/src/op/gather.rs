//! `gather`: gathers slices of one axis by index.

use super::eval::result_type;
use super::{
    Doc, Domain, EvalError, Grad, Operator, Sample, Scatter, ScatterKind, Tolerance, TypeError, Types,
    check_index::in_range, lowered_type,
};
use crate::compute::{Compute, Expr, Index, Lowering};
use crate::scalar::Cotangents;
use crate::{Builder, DType, Tensor, Type, Value};

/// Gathers slices of one axis by index. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gather {
    /// The axis of `x` that is indexed.
    pub axis: usize,
    /// The number of leading batch axes that `x` and `indices` have in common; at most `axis`.
    pub batch: usize,
}

impl Gather {
    /// The result's type, which is also the type of the updates of [`super::Scatter`].
    pub(super) fn result(&self, x: &Type, indices: &Type) -> Result<Type, TypeError> {
        ensure!(self.axis < x.rank(), "axis {} out of range for {x}", self.axis);
        ensure!(self.batch <= self.axis, "{} batch axes, but axis {} is indexed", self.batch, self.axis);
        ensure!(indices.dtype == DType::I64, "expected i64 indices, found {indices}");
        let together = indices.rank() >= self.batch && x.shape[..self.batch] == indices.shape[..self.batch];
        ensure!(together, "size mismatch: the {} batch axes of {x} and {indices}", self.batch);
        let mut shape = x.shape[..self.axis].to_vec();
        shape.extend_from_slice(&indices.shape[self.batch..]);
        shape.extend_from_slice(&x.shape[self.axis + 1..]);
        let result = x.with_shape(shape);
        let refers = x.shape[self.axis] > 0 || result.shape.elements() == 0;
        ensure!(refers, "axis {} of {x} has no elements for {indices} to select", self.axis);
        Ok(result)
    }

    /// For each element of the slices its row-major position in a tensor of type `x`. An index out of range is an error, even if
    /// it selects no element.
    pub(super) fn positions(&self, x: &Type, indices: &Tensor, slices: &Type) -> Result<Vec<usize>, EvalError> {
        let size = x.shape[self.axis];
        in_range(indices, size)?;
        if slices.shape.elements() == 0 {
            return Ok(vec![]);
        }
        let count = |axes: &[usize]| axes.iter().product::<usize>();
        let prefix = count(&x.shape[self.batch..self.axis]);
        let suffix = count(&x.shape[self.axis + 1..]);
        let chosen = count(&indices.shape()[self.batch..]);
        let position = |element: usize| {
            let (rest, inner) = (element / suffix, element % suffix);
            let (outer, i) = (rest / chosen, rest % chosen);
            let index = indices.get(outer / prefix * chosen + i).as_i64() as usize;
            (outer * size + index) * suffix + inner
        };
        Ok((0..slices.shape.elements()).map(position).collect())
    }
}

impl Operator for Gather {
    const MNEMONIC: &'static str = "gather";
    const OPERANDS: &'static [&'static str] = &["x", "indices"];
    const DOC: Doc = Doc {
        meaning: "Gathers slices of one axis by index. With `x: [B…, P…, A, S…]` and `indices: [B…, I…]`, where `B…` \
            are the first `batch` axes of both and `A` is axis `axis` of `x`, the result is `[B…, P…, I…, S…]`: \
            `result[b, p, i, s] = x[b, p, indices[b, i], s]`. The step fails if any index is outside of `0 .. A`, \
            even if the element that it selects is unused.",
        attributes: &[
            ("axis", "the axis of `x` that is indexed"),
            ("batch", "the number of leading batch axes of `x` and `indices`; at most `axis`"),
        ],
        types: "`indices` is i64; the batch axes have equal sizes. Axis `axis` has elements, unless the result has none.",
        gradient: "For `x` a `scatter` that adds the cotangents to zeros; none of `indices`.",
    };
    attrs!(axis, batch);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        Ok(smallvec::smallvec![self.result(&args[0], &args[1])?])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let ty = result_type(self, args)?;
        let positions = self.positions(args[0].ty(), &args[1], &ty)?;
        Ok(vec![Tensor::from_fn(ty, |i| args[0].get(positions[i]))])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Vjp(vjp)
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let (x, indices) = (&args[0], &args[1]);
        let ty = lowered_type(self, args);
        let inner = self.axis + indices.rank() - self.batch;
        let position = [Index::axes(0..self.batch), Index::axes(self.axis..inner)].concat();
        let value = Box::new(Expr::read(1, indices, position));
        let mut index = Index::axes(0..self.axis);
        index.push(Index::Data { value, bound: x.shape[self.axis] });
        index.extend(Index::axes(inner..ty.rank()));
        Compute::map(&ty, Expr::read(0, x, index))
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        samples_of_indexing(|x, indices, axis, batch| {
            let size = x.shape[axis] as i64;
            Sample::new(Gather { axis, batch }).on(x).with(indices, Domain::Int(0, size - 1))
        })
    }
}

/// The shapes of the samples of [`Gather`] and of [`super::Scatter`].
pub(super) fn samples_of_indexing(sample: impl Fn(Type, Type, usize, usize) -> Sample) -> Vec<Sample> {
    let typed = |dtype, x: &[usize], indices: &[usize], axis, batch| {
        sample(Type::new(dtype, x), Type::new(DType::I64, indices), axis, batch)
    };
    vec![
        typed(DType::F32, &[5, 3], &[2, 2], 0, 0),
        typed(DType::F64, &[4], &[6], 0, 0),
        typed(DType::F64, &[2, 3, 2], &[4], 1, 0),
        typed(DType::F64, &[2, 4, 2], &[2, 3], 1, 1),
        typed(DType::F64, &[2, 3, 2], &[2, 2, 2], 2, 1),
        typed(DType::F64, &[2, 3], &[], 1, 0),
        typed(DType::F64, &[3, 4], &[3], 1, 1),
        typed(DType::F64, &[3, 2], &[0], 0, 0),
        typed(DType::I32, &[3, 2], &[5], 0, 0),
    ]
}

fn vjp(op: &Gather, b: &mut Builder, args: &[Value], _: &[Value], cts: &[Value]) -> Cotangents {
    let zeros = b.zeros_like(args[0])?;
    let scatter = Scatter { axis: op.axis, batch: op.batch, kind: ScatterKind::Add };
    Ok(vec![Some(b.push(scatter, &[zeros, args[1], cts[0]])?), None])
}
