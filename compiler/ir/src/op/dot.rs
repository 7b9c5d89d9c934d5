//! `dot`: a generalised matrix product.

use super::eval::{result_type, sums_of_products, walk_axes};
use super::{Doc, EvalError, Grad, Operator, Sample, Tolerance, TypeError, Types, are_axes, lowered_type};
use crate::compute::{self, Combine, Compute, Expr, Index, Lowering};
use crate::scalar::Cotangents;
use crate::{Builder, DType, ScalarOp, Tensor, Type, Value};

/// Sums products over pairs of axes (a contraction), with batch axes. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dot {
    /// The contracted axes of the left operand.
    pub lhs: Vec<usize>,
    /// The contracted axes of the right operand, in the order of their partners.
    pub rhs: Vec<usize>,
    /// The batch axes of the left operand.
    pub lhs_batch: Vec<usize>,
    /// The batch axes of the right operand, in the order of their partners.
    pub rhs_batch: Vec<usize>,
}

impl Dot {
    /// The axes of an operand that are neither contracted nor batch axes, ascending.
    pub fn free(rank: usize, summed: &[usize], batch: &[usize]) -> Vec<usize> {
        (0..rank).filter(|a| !summed.contains(a) && !batch.contains(a)).collect()
    }
}

impl Operator for Dot {
    const MNEMONIC: &'static str = "dot";
    const OPERANDS: &'static [&'static str] = &["lhs", "rhs"];
    const DOC: Doc = Doc {
        meaning: "Generalised matrix product: sums products over pairs of axes. The result's axes: the batch axes, \
            then the left operand's free axes, then the right one's.",
        attributes: &[
            ("lhs", "the left operand's contracted axes"),
            ("rhs", "the right operand's contracted axes, in the order of their partners"),
            ("lhs_batch", "the left operand's batch axes"),
            ("rhs_batch", "the right operand's batch axes, in the order of their partners"),
        ],
        types: "Numbers of one dtype; paired axes have equal sizes. An empty sum is 0, integers wrap.",
        gradient: "For each operand a `dot` of the cotangent with the other operand over its free axes, and a \
            `transpose`.",
    };
    attrs!(lhs, rhs, lhs_batch, rhs_batch);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let (l, r) = (&args[0], &args[1]);
        ensure!(
            l.dtype == r.dtype && l.dtype != DType::Bool,
            "expected operands of one dtype other than bool, found {l} and {r}"
        );
        let pairs = self.lhs.len() == self.rhs.len() && self.lhs_batch.len() == self.rhs_batch.len();
        ensure!(pairs, "the lists of axes have different lengths");
        for (axes, batch, ty) in [(&self.lhs, &self.lhs_batch, l), (&self.rhs, &self.rhs_batch, r)] {
            ensure!(
                are_axes(&[axes.as_slice(), batch].concat(), ty.rank()),
                "expected distinct axes of {ty}, found {axes:?} and batch axes {batch:?}"
            );
        }
        for (&a, &b) in self.lhs.iter().zip(&self.rhs).chain(self.lhs_batch.iter().zip(&self.rhs_batch)) {
            ensure!(l.shape[a] == r.shape[b], "size mismatch: axis {a} of {l} and axis {b} of {r}");
        }
        let mut shape: Vec<usize> = self.lhs_batch.iter().map(|&a| l.shape[a]).collect();
        shape.extend(Self::free(l.rank(), &self.lhs, &self.lhs_batch).iter().map(|&a| l.shape[a]));
        shape.extend(Self::free(r.rank(), &self.rhs, &self.rhs_batch).iter().map(|&a| r.shape[a]));
        Ok(smallvec::smallvec![l.with_shape(shape)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let (l, r) = (args[0].shape(), args[1].shape());
        let ty = result_type(self, args)?;
        let summed = walk_axes(l, &self.lhs).into_iter().zip(walk_axes(r, &self.rhs)).collect();
        let l_batch = walk_axes(l, &self.lhs_batch);
        let r_batch = walk_axes(r, &self.rhs_batch);
        let l_free = walk_axes(l, &Self::free(l.rank(), &self.lhs, &self.lhs_batch));
        let r_free = walk_axes(r, &Self::free(r.rank(), &self.rhs, &self.rhs_batch));
        let tensor = sums_of_products(ty, &args[0], &args[1], summed, |i, run| {
            let (rest, column) = (i / r_free.len(), i % r_free.len());
            let (batch, row) = (rest / l_free.len(), rest % l_free.len());
            run(l_batch[batch] + l_free[row], r_batch[batch] + r_free[column]);
        });
        Ok(vec![tensor])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Vjp(vjp)
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let (l, r) = (&args[0], &args[1]);
        let ty = lowered_type(self, args);
        let (mut l_index, mut r_index) = (vec![Index::Const(0); l.rank()], vec![Index::Const(0); r.rank()]);
        let mut axes = (0..).map(Index::Axis);
        for (&a, &b) in self.lhs_batch.iter().zip(&self.rhs_batch) {
            let axis = axes.next().expect("axes do not end");
            (l_index[a], r_index[b]) = (axis.clone(), axis);
        }
        for (a, axis) in Self::free(l.rank(), &self.lhs, &self.lhs_batch).into_iter().zip(&mut axes) {
            l_index[a] = axis;
        }
        for (a, axis) in Self::free(r.rank(), &self.rhs, &self.rhs_batch).into_iter().zip(&mut axes) {
            r_index[a] = axis;
        }
        for (i, (&a, &b)) in self.lhs.iter().zip(&self.rhs).enumerate() {
            let axis = Index::Axis(ty.rank() + i);
            (l_index[a], r_index[b]) = (axis.clone(), axis);
        }
        let factors = vec![Expr::read(0, l, l_index), Expr::read(1, r, r_index)];
        let body = Expr::Apply(ScalarOp::Mul, ty.dtype, factors);
        if self.lhs.is_empty() {
            return Compute::map(&ty, body);
        }
        Lowering::Compute(Compute {
            extents: ty.shape.to_vec(),
            body,
            reduce: Some(compute::Reduce {
                combine: Combine::Sum,
                extents: self.lhs.iter().map(|&a| l.shape[a]).collect(),
                guards: vec![],
                position: None,
            }),
        })
    }

    fn tolerance(&self, args: &[Type]) -> Tolerance {
        Tolerance::Terms(self.lhs.iter().map(|&a| args[0].shape[a]).product())
    }

    fn samples() -> Vec<Sample> {
        type Axes<'a> = &'a [usize];
        let sample = |dtype, l: Axes<'_>, r: Axes<'_>, lhs: Axes<'_>, rhs: Axes<'_>, batch: (Axes<'_>, Axes<'_>)| {
            let (lhs_batch, rhs_batch) = (batch.0.to_vec(), batch.1.to_vec());
            let op = Dot { lhs: lhs.to_vec(), rhs: rhs.to_vec(), lhs_batch, rhs_batch };
            Sample::new(op).on(Type::new(dtype, l)).on(Type::new(dtype, r))
        };
        vec![
            sample(DType::F32, &[3, 4], &[2, 4], &[1], &[1], (&[], &[])),
            sample(DType::F32, &[5, 70], &[70, 9], &[1], &[0], (&[], &[])),
            sample(DType::F64, &[3, 4], &[4, 2], &[1], &[0], (&[], &[])),
            sample(DType::F64, &[2, 3, 4], &[2, 4, 2], &[2], &[1], (&[0], &[0])),
            sample(DType::F64, &[3, 2, 2, 2], &[2, 2, 3], &[3, 0], &[1, 2], (&[1], &[0])),
            sample(DType::F64, &[2, 3, 2], &[3, 2, 2], &[], &[], (&[1, 0], &[0, 2])),
            sample(DType::F64, &[3], &[3], &[0], &[0], (&[], &[])),
            sample(DType::F64, &[2], &[3], &[], &[], (&[], &[])),
            sample(DType::F64, &[], &[2], &[], &[], (&[], &[])),
            sample(DType::F64, &[2, 0], &[0, 3], &[1], &[0], (&[], &[])),
            sample(DType::F64, &[0, 2], &[2, 1], &[1], &[0], (&[], &[])),
            sample(DType::I32, &[2, 3], &[3, 2], &[1], &[0], (&[], &[])),
            sample(DType::U8, &[2, 3], &[3], &[1], &[0], (&[], &[])),
        ]
    }
}

fn vjp(op: &Dot, b: &mut Builder, args: &[Value], _: &[Value], cts: &[Value]) -> Cotangents {
    let (l_rank, r_rank) = (b.ty(args[0]).rank(), b.ty(args[1]).rank());
    let l_free = Dot::free(l_rank, &op.lhs, &op.lhs_batch);
    let r_free = Dot::free(r_rank, &op.rhs, &op.rhs_batch);
    let n = op.lhs_batch.len();
    let batch: Vec<usize> = (0..n).collect();
    let l_axes: Vec<usize> = (n..n + l_free.len()).collect();
    let r_axes: Vec<usize> = (n + l_free.len()..n + l_free.len() + r_free.len()).collect();
    // the axes of the result: batch, free ones of the operand, contracted ones in the order of the other operand's axes
    let l = b.dot(cts[0], args[1], &r_axes, &r_free, (&batch, &op.rhs_batch))?;
    let l = b.transpose(l, &arrange(l_rank, &op.lhs_batch, &l_free, &op.lhs, &op.rhs))?;
    let r = b.dot(cts[0], args[0], &l_axes, &l_free, (&batch, &op.lhs_batch))?;
    let r = b.transpose(r, &arrange(r_rank, &op.rhs_batch, &r_free, &op.rhs, &op.lhs))?;
    Ok(vec![Some(l), Some(r)])
}

/// For each axis of an operand its axis in: `batch`, `free`, contracted in ascending order of the partners.
fn arrange(rank: usize, batch: &[usize], free: &[usize], summed: &[usize], partners: &[usize]) -> Vec<usize> {
    let mut pairs: Vec<(usize, usize)> = partners.iter().copied().zip(summed.iter().copied()).collect();
    pairs.sort_unstable();
    let mut position = vec![0; rank];
    let all = batch.iter().chain(free).copied().chain(pairs.into_iter().map(|(_, axis)| axis));
    all.enumerate().for_each(|(i, axis)| position[axis] = i);
    position
}
