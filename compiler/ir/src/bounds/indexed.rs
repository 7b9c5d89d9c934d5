//! The radii of `gather`, `scatter` and `scatter_argmax`.

use crate::op::{EvalError, Gather, Scatter, ScatterArgmax, ScatterKind};
use crate::{DType, Op, Scalar, Tensor, Type};

use super::{Bounded, summing};

/// For each element of the slices its position in the indexed tensor, and the number of its index.
fn positions(axis: usize, batch: usize, x: &Type, indices: &Tensor, slices: &Type) -> Vec<(usize, usize)> {
    let product = |sizes: &[usize]| sizes.iter().product::<usize>().max(1);
    let (middle, inner) = (product(&x.shape[batch..axis]), product(&x.shape[axis + 1..]));
    let count = product(&indices.shape()[batch..]);
    let position = |element: usize| {
        let (s, rest) = (element % inner, element / inner);
        let (i, outer) = (rest % count, rest / count);
        let number = outer / middle * count + i;
        let index = indices.get(number).as_i64() as usize;
        ((outer * x.shape[axis] + index) * inner + s, number)
    };
    (0..slices.shape.elements()).map(position).collect()
}

/// An inexact index may read any element.
pub(super) fn gather(op: &Gather, args: &[Bounded], value: &Tensor) -> Result<Vec<f64>, EvalError> {
    let (x, indices) = (&args[0], &args[1]);
    let positions = positions(op.axis, op.batch, x.ty(), &indices.value, value.ty());
    Ok(positions.into_iter().map(|(position, number)| x.radius[position] + indices.radius[number]).collect())
}

pub(super) fn scatter(op: &Scatter, args: &[Bounded], value: &Tensor) -> Result<Vec<f64>, EvalError> {
    let (x, indices, updates) = (&args[0], &args[1], &args[2]);
    // An inexact index may write any element.
    if !indices.is_exact() {
        return Ok(vec![f64::INFINITY; value.len()]);
    }
    let put = Op::from(op.clone());
    let alike =
        |x: Tensor, updates: Tensor| Ok::<_, EvalError>(put.eval(&[x, indices.value.clone(), updates])?[0].to_f64s());
    let radii = alike(x.radii(), updates.radii())?;
    if op.kind != ScatterKind::Add || !value.dtype().is_float() {
        return Ok(radii);
    }
    let all = alike(x.largest(), updates.largest())?;
    let ones = |ty: &Type, n: f64| Tensor::full(ty.with_dtype(DType::F64), Scalar::Float(n));
    let terms = alike(ones(x.ty(), 0.0), ones(updates.ty(), 1.0))?;
    let own = |i: usize| if terms[i] == 0.0 { 0.0 } else { summing(1 + terms[i] as usize, all[i], value.dtype()) };
    Ok((0..value.len()).map(|i| radii[i] + own(i)).collect())
}

/// The winner is inexact where another element may be as large.
pub(super) fn winners(op: &ScatterArgmax, args: &[Bounded], value: &Tensor) -> Vec<f64> {
    let (x, indices, updates) = (&args[0], &args[1], &args[2]);
    if !indices.is_exact() {
        return vec![f64::INFINITY; value.len()];
    }
    let positions = positions(op.axis, op.batch, x.ty(), &indices.value, updates.ty());
    let mut meeting: Vec<Vec<(f64, f64)>> =
        (0..x.value.len()).map(|i| vec![(x.value.get(i).as_f64(), x.radius[i])]).collect();
    for (i, (position, _)) in positions.into_iter().enumerate() {
        meeting[position].push((updates.value.get(i).as_f64(), updates.radius[i]));
    }
    let open = |elements: &Vec<(f64, f64)>| {
        let reached = elements.iter().map(|(x, r)| x - r).fold(f64::NEG_INFINITY, f64::max);
        let (mut candidates, mut radius) = (0, 0.0f64);
        for (_, r) in elements.iter().filter(|(x, r)| x + r >= reached || x.is_nan()) {
            (candidates, radius) = (candidates + 1, radius.max(*r));
        }
        if candidates > 1 && radius > 0.0 { f64::INFINITY } else { 0.0 }
    };
    meeting.iter().map(open).collect()
}
