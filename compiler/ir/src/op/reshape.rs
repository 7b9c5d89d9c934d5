//! `reshape`: the same elements in the same order with another shape.

use super::eval::result_type;
use super::{Attr, AttrError, AttrReader, Doc, EvalError, Grad, Operator, Sample, Tolerance, TypeError, Types};
use crate::compute::{Compute, Expr, Index, Lowering};
use crate::scalar::Cotangents;
use crate::{Builder, DType, Shape, Tensor, Type, Value};

/// The same elements in the same row-major order with another shape. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reshape {
    /// The result's shape.
    pub shape: Shape,
}

impl Operator for Reshape {
    const MNEMONIC: &'static str = "reshape";
    const OPERANDS: &'static [&'static str] = &["x"];
    const DOC: Doc = Doc {
        meaning: "The same elements in the same row-major order with another shape.",
        attributes: &[],
        types: "Operand and result have the same number of elements and the same dtype.",
        gradient: "A reshape to the operand's shape.",
    };

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(Reshape { shape: attrs.result()?.shape.clone() })
    }

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        ensure!(x.shape.elements() == self.shape.elements(), "{x} has another number of elements than {}", self.shape);
        Ok(smallvec::smallvec![x.with_shape(self.shape.clone())])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let ty = result_type(self, args)?;
        Ok(vec![Tensor::from_fn(ty, |i| args[0].get(i))])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Vjp(vjp)
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let body = Expr::read(0, &args[0], regroup(&args[0].shape, &self.shape));
        Compute::map(&args[0].with_shape(self.shape.clone()), body)
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        let sample =
            |dtype, from: &[usize], to: &[usize]| Sample::new(Reshape { shape: to.into() }).on(Type::new(dtype, from));
        vec![
            sample(DType::F32, &[2, 4, 3], &[2, 12]),
            sample(DType::F64, &[2, 6], &[3, 4]),
            sample(DType::F64, &[4, 1, 3], &[12]),
            sample(DType::F64, &[12], &[2, 1, 6]),
            sample(DType::F64, &[], &[1, 1]),
            sample(DType::F64, &[2, 3, 5, 2], &[6, 1, 10]),
            sample(DType::I64, &[0, 3], &[2, 0]),
            sample(DType::Bool, &[1, 4], &[4, 1]),
        ]
    }
}

/// For each axis of `from` its index, computed from the position on the axes of `to`. Runs of axes with equal products are
/// regrouped together, so that an unchanged axis needs no division.
fn regroup(from: &[usize], to: &[usize]) -> Vec<Index> {
    let mut index = vec![Index::Const(0); from.len()];
    if from.contains(&0) {
        return index;
    }
    let long = |shape: &[usize]| -> Vec<usize> { (0..shape.len()).filter(|&a| shape[a] > 1).collect() };
    let (sources, results) = (long(from), long(to));
    let (mut s, mut r) = (0, 0);
    while s < sources.len() {
        let (first_source, first_result) = (s, r);
        let (mut source_size, mut result_size) = (from[sources[s]], to[results[r]]);
        while source_size != result_size {
            if source_size < result_size {
                s += 1;
                source_size *= from[sources[s]];
            } else {
                r += 1;
                result_size *= to[results[r]];
            }
        }
        (s, r) = (s + 1, r + 1);
        let (group, axes) = (&sources[first_source..s], &results[first_result..r]);
        let sizes = |shape: &[usize], axes: &[usize]| -> Vec<usize> { axes.iter().map(|&a| shape[a]).collect() };
        let here: Vec<Index> = axes.iter().map(|&a| Index::Axis(a)).collect();
        let position = Index::flatten(&here, &sizes(to, axes));
        for (&a, i) in group.iter().zip(Index::unflatten(position, &sizes(from, group))) {
            index[a] = i;
        }
    }
    index
}

fn vjp(_: &Reshape, b: &mut Builder, args: &[Value], _: &[Value], cts: &[Value]) -> Cotangents {
    let shape = b.ty(args[0]).shape.clone();
    Ok(vec![Some(b.reshape(cts[0], shape)?)])
}
