//! Comparison with the reference.

use dlc::Tensor;

use crate::workload::Kind;

/// How far a result is from the reference, in the unit of the workload's tolerance. Infinite for another number of elements, or for one
/// that is not a number.
pub fn deviation(kind: Kind, result: &Tensor, reference: &Tensor) -> f64 {
    if result.len() != reference.len() {
        return f64::INFINITY;
    }
    let pairs = || result.scalars().map(|x| x.as_f64()).zip(reference.scalars().map(|x| x.as_f64()));
    let worst = match kind {
        Kind::Infer => {
            let scale = reference.scalars().map(|x| x.as_f64().abs()).fold(0.0, f64::max);
            worst(pairs().map(|(x, y)| (x - y).abs())) / scale
        }
        Kind::Train => worst(pairs().map(|(x, y)| (x - y).abs() / y.abs())),
        Kind::Decode => pairs().filter(|(x, y)| x != y).count() as f64,
    };
    if worst.is_nan() { f64::INFINITY } else { worst }
}

/// The largest number, or NaN if there is one.
fn worst(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.fold(0.0, |worst, x| if x > worst || x.is_nan() { x } else { worst })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor<const N: usize>(numbers: [f32; N]) -> Tensor {
        Tensor::new([N], numbers.to_vec()).expect("as many")
    }

    #[test]
    fn each_kind_has_its_measure() {
        let reference = tensor([1.0, -4.0]);
        assert_eq!(deviation(Kind::Infer, &tensor([2.0, -4.0]), &reference), 0.25);
        assert_eq!(deviation(Kind::Train, &tensor([2.0, -4.0]), &reference), 1.0);
        assert_eq!(deviation(Kind::Decode, &tensor([2.0, -4.0]), &reference), 1.0);
        assert_eq!(deviation(Kind::Decode, &reference, &reference), 0.0);
    }

    #[test]
    fn what_is_no_number_is_wrong() {
        let reference = tensor([1.0, 2.0, 3.0]);
        for kind in [Kind::Infer, Kind::Train] {
            assert_eq!(deviation(kind, &tensor([1.0, f32::NAN, 3.0]), &reference), f64::INFINITY);
            assert_eq!(deviation(kind, &tensor([1.0, 2.0]), &reference), f64::INFINITY);
        }
    }
}
