//! `pad`: pads around and between elements; negative amounts cut.

use super::eval::result_type;
use super::{Doc, EvalError, Grad, Operator, Sample, Slice, Tolerance, TypeError, Types, lowered_type};
use crate::compute::{Compute, Expr, Guard, Index, Lowering};
use crate::scalar::Cotangents;
use crate::{Builder, DType, Scalar, Tensor, Type, Value};

/// Pads before, after and between the elements of each axis; negative amounts cut. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pad {
    /// The padding before each axis.
    pub low: Vec<i64>,
    /// The padding after each axis.
    pub high: Vec<i64>,
    /// The padding between neighbours.
    pub interior: Vec<usize>,
}

impl Operator for Pad {
    const MNEMONIC: &'static str = "pad";
    const OPERANDS: &'static [&'static str] = &["x", "value"];
    const DOC: Doc = Doc {
        meaning: "Pads with `value` before, after and between the elements of each axis. Negative `low` and `high` \
            cut elements, including interior padding.",
        attributes: &[
            ("low", "padding before each axis; a negative amount cuts"),
            ("high", "padding after each axis; a negative amount cuts"),
            ("interior", "padding between neighbours"),
        ],
        types: "One amount per axis of `x`, `value` a scalar of its dtype; the result's sizes are `n + (n - 1) \
            interior + low + high` (without the interior where `n` is 0), which must not be negative.",
        gradient: "For `x` a negative `pad` and a `slice` with stride `interior + 1`; for `value` the sum of the \
            cotangents of padding.",
    };
    attrs!(low, high, interior);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let (x, value) = (&args[0], &args[1]);
        let rank = x.rank();
        let fits = self.low.len() == rank && self.high.len() == rank && self.interior.len() == rank;
        ensure!(fits, "expected a low, a high and an interior amount for each axis of {x}");
        ensure!(*value == Type::scalar(x.dtype), "expected a value of type {}[], found {value}", x.dtype);
        let mut shape = vec![];
        for axis in 0..rank {
            // On an axis of one element the interior padding does not show in the size.
            let amounts = [self.low[axis].unsigned_abs(), self.high[axis].unsigned_abs(), self.interior[axis] as u64];
            ensure!(
                amounts.iter().all(|&n| n < Type::MAX_BYTES as u64),
                "the padding of axis {axis} of {x} is too large"
            );
            let size = x.shape[axis] as i128;
            let spread = size + (size - 1).max(0) * self.interior[axis] as i128;
            let padded = spread + i128::from(self.low[axis]) + i128::from(self.high[axis]);
            ensure!(
                (0..Type::MAX_BYTES as i128).contains(&padded),
                "axis {axis} of {x} would have size {padded}, which is out of range"
            );
            shape.push(padded as usize);
        }
        Ok(smallvec::smallvec![x.with_shape(shape)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let (x, value) = (&args[0], args[1].get(0));
        let ty = result_type(self, args)?;
        let strides = x.shape().strides();
        let mut positions: Vec<Option<usize>> = vec![Some(0)];
        for (axis, &stride) in strides.iter().enumerate() {
            let step = self.interior[axis] as i64 + 1;
            let source = |i: usize| {
                let position = i as i64 - self.low[axis];
                let inside = position >= 0 && position % step == 0 && position / step < x.shape()[axis] as i64;
                inside.then(|| (position / step) as usize * stride)
            };
            let sources: Vec<Option<usize>> = (0..ty.shape[axis]).map(source).collect();
            let inner = |position: &Option<usize>| {
                let position = *position;
                sources.iter().map(move |source| Some(position? + (*source)?))
            };
            positions = positions.iter().flat_map(inner).collect();
        }
        Ok(vec![Tensor::from_fn(ty, |i| positions[i].map_or(value, |position| x.get(position)))])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Vjp(vjp)
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let (x, value) = (&args[0], &args[1]);
        let ty = lowered_type(self, args);
        let (mut index, mut guards) = (vec![], vec![]);
        for axis in 0..x.rank() {
            let step = self.interior[axis] as i64 + 1;
            let position = Index::Axis(axis) + -self.low[axis];
            if step > 1 {
                guards.push(Guard::Divisible { index: position.clone(), divisor: step });
            }
            let position = position.quotient(step);
            if self.low[axis] > 0 || self.high[axis] > 0 {
                guards.push(Guard::InRange { index: position.clone(), low: 0, high: x.shape[axis] as i64 });
            }
            index.push(position);
        }
        let then = Expr::read(0, x, index);
        if guards.is_empty() {
            return Compute::map(&ty, then);
        }
        let other = Box::new(Expr::read(1, value, vec![]));
        Compute::map(&ty, Expr::If { guards, then: Box::new(then), other })
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        let sample = |dtype, shape: &[usize], low: &[i64], high: &[i64], interior: &[usize]| {
            let op = Pad { low: low.to_vec(), high: high.to_vec(), interior: interior.to_vec() };
            Sample::new(op).on(Type::new(dtype, shape)).on(Type::scalar(dtype))
        };
        vec![
            sample(DType::F32, &[4], &[1], &[-1], &[0]),
            sample(DType::F64, &[2, 3], &[1, 0], &[2, 1], &[0, 2]),
            sample(DType::F64, &[3, 2], &[-1, 2], &[1, -1], &[2, 1]),
            sample(DType::F64, &[3], &[-2], &[-2], &[1]),
            sample(DType::F64, &[5], &[-1], &[-2], &[0]),
            sample(DType::F64, &[], &[], &[], &[]),
            sample(DType::I64, &[0, 2], &[2, 0], &[1, 0], &[1, 0]),
            sample(DType::Bool, &[2], &[0], &[0], &[1]),
        ]
    }
}

fn vjp(op: &Pad, b: &mut Builder, args: &[Value], _: &[Value], cts: &[Value]) -> Cotangents {
    let shape = b.ty(args[0]).shape.clone();
    // the inverse: padding is cut off, what was cut gets zero
    let zero = b.zero_of(cts[0])?;
    let opposite = |amounts: &[i64]| amounts.iter().map(|a| -a).collect();
    let cut = Pad { low: opposite(&op.low), high: opposite(&op.high), interior: vec![0; shape.rank()] };
    let spread = b.pad(cts[0], zero, cut)?;
    let limit = b.ty(spread).shape.to_vec();
    let stride = op.interior.iter().map(|i| i + 1).collect();
    let x = b.slice(spread, Slice { start: vec![0; shape.rank()], limit, stride })?;
    // the cotangent of the value: all that is not at an element
    let nothing = b.zeros_like(args[0])?;
    let one = b.scalar(b.ty(args[1]).dtype, Scalar::Float(1.0))?;
    let mask = b.pad(nothing, one, op.clone())?;
    let masked = b.mul(cts[0], mask)?;
    let all: Vec<usize> = (0..shape.rank()).collect();
    Ok(vec![Some(x), Some(b.sum(masked, &all)?)])
}
