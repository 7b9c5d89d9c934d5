//! Accumulates an output for all examples: for metrics that cannot be computed from sums.

use dlc_ir::{Scalar, Tensor, Type};

use super::TrainError;

/// Limit in bytes for one metric's input.
const LIMIT: usize = 1 << 30;

/// Appends the positions of a batch along an axis, one by one.
///
/// # Errors
/// If there are too many.
pub(super) fn append(elements: &mut Vec<f64>, batch: &Tensor, axis: usize, name: &str) -> Result<(), TrainError> {
    let bytes = (elements.len() + batch.len()) * size_of::<f64>();
    if bytes > LIMIT {
        return Err(TrainError::TooManyRows { name: name.to_owned(), bytes, limit: LIMIT });
    }
    let (outer, size, inner) = around(batch.ty(), axis);
    for position in 0..size {
        for before in 0..outer {
            let first = (before * size + position) * inner;
            elements.extend((first..first + inner).map(|i| batch.get(i).as_f64()));
        }
    }
    Ok(())
}

/// The tensor of all positions, of type `ty`.
///
/// # Errors
/// If their number is wrong.
pub(super) fn tensor(
    elements: &[f64],
    ty: &Type,
    axis: usize,
    scalar: impl Fn(f64) -> Scalar,
) -> Result<Tensor, TrainError> {
    if elements.len() != ty.shape.elements() {
        return Err(TrainError::OtherExamples { found: elements.len(), expected: ty.shape.elements() });
    }
    let (outer, size, inner) = around(ty, axis);
    Ok(Tensor::from_fn(ty.clone(), |i| {
        let (before, rest) = (i / (size * inner), i % (size * inner));
        let (position, behind) = (rest / inner, rest % inner);
        scalar(elements[(position * outer + before) * inner + behind])
    }))
}

/// The products of the sizes before an axis, along it, and after it.
fn around(ty: &Type, axis: usize) -> (usize, usize, usize) {
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    (product(&ty.shape[..axis]), ty.shape[axis], product(&ty.shape[axis + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlc_ir::DType;

    #[test]
    fn batches_lie_behind_each_other_along_any_axis() {
        for axis in 0..3 {
            let shape = |size: usize| {
                let mut shape = [2, 3, 4];
                shape[axis] = size;
                Type::new(DType::F64, shape)
            };
            let all = Tensor::from_fn(shape(5), |i| Scalar::Float(i as f64));
            let (outer, size, inner) = around(all.ty(), axis);
            let mut elements = vec![];
            for (from, to) in [(0, 2), (2, 3), (3, 5)] {
                let part = Tensor::from_fn(shape(to - from), |i| {
                    let (before, rest) = (i / ((to - from) * inner), i % ((to - from) * inner));
                    all.get((before * size + from + rest / inner) * inner + rest % inner)
                });
                assert_eq!(outer * inner * (to - from), part.len());
                append(&mut elements, &part, axis, "x").expect("there is room");
            }
            assert_eq!(tensor(&elements, all.ty(), axis, Scalar::Float).expect("as many"), all, "{axis}");
        }
    }
}
