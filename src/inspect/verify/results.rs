//! Comparison of the results of two equivalent programs.

use dlc_ir::bounds::Bounded;
use dlc_ir::{Function, ResultDecl, ResultRole, Scalar, Tensor};

use super::Deviation;
use crate::Error;

/// The results of two equivalent programs, and their deviations.
pub(super) struct Comparison {
    /// The results of the reference, and those of the program under test.
    pub expected: Vec<Option<Tensor>>,
    pub found: Vec<Option<Tensor>>,
    pub deviations: Vec<Deviation>,
}

/// Compares the results of two programs: first by a tolerance that most programs meet, and only if one does not, by the error bounds of
/// both, which take several times as long to compute as the results.
pub(super) fn compare_results(
    entry: &Function,
    what: &str,
    expected: Vec<Option<Tensor>>,
    found: Vec<Option<Tensor>>,
    bounds: impl FnOnce() -> Result<(Vec<Bounded>, Vec<Bounded>), Error>,
) -> Result<Comparison, Error> {
    let pairs = || std::iter::zip(&expected, &found).map(|(a, b)| a.as_ref().zip(b.as_ref()));
    let rough = |(a, b): (&Tensor, &Tensor)| (difference(a, b), ALLOWED * a.dtype().unit_roundoff() * magnitude(a));
    let mut apart: Vec<Option<(f64, f64)>> = pairs().map(|pair| pair.map(rough)).collect();
    if apart.iter().flatten().any(|(largest, allowed)| largest.is_nan() || largest > allowed) {
        let (before, after) = bounds()?;
        let exact = |(pair, (before, after)): (Option<(&Tensor, &Tensor)>, (&Bounded, &Bounded))| {
            let (a, b) = pair?;
            let radius = before.radius.iter().zip(&after.radius).map(|(a, b)| a + b).collect();
            Some(worst(b, &Bounded { value: a.clone(), radius }))
        };
        apart = pairs().zip(before.iter().zip(&after)).map(exact).collect();
    }
    let deviation = |(result, apart): (&ResultDecl, &Option<(f64, f64)>)| {
        let (largest, allowed) = (*apart)?;
        Some(Deviation { value: format!("{}, {what},", result_name(entry, result)), largest, allowed, from: None })
    };
    let deviations = entry.results.iter().zip(&apart).filter_map(deviation).collect();
    Ok(Comparison { expected, found, deviations })
}

/// The tolerance that most programs meet, in roundings of a tensor's largest number.
const ALLOWED: f64 = 1e4;

/// Results that are NaN or infinite in the program as written and not so in the optimised one, or the reverse. A difference counts only if it
/// occurs in both float types, which excludes most that rounding causes. With infinite arguments, the order of additions in nested sums
/// decides between infinity and NaN, so the two are not distinguished.
pub(super) fn not_finite(
    entry: &Function,
    wide: &Comparison,
    narrow: &Comparison,
    of_infinities: bool,
) -> Vec<Deviation> {
    let kind = |tensor: &Tensor, i: usize| {
        let x = tensor.get(i).as_f64();
        if of_infinities {
            return (!x.is_finite(), false, false);
        }
        (x.is_nan(), x == f64::INFINITY, x == f64::NEG_INFINITY)
    };
    let mut deviations = vec![];
    for (i, result) in entry.results.iter().enumerate() {
        let all = [&wide.expected[i], &narrow.expected[i], &wide.found[i], &narrow.found[i]];
        let [Some(wide_before), Some(before), Some(wide_after), Some(after)] = all else { continue };
        let differs = |at: usize| {
            let (one, other) = (kind(wide_before, at), kind(wide_after, at));
            one != other && one == kind(before, at) && other == kind(after, at)
        };
        let largest = if (0..before.len()).any(differs) { f64::NAN } else { 0.0 };
        let value = format!("{}, where it is not finite,", result_name(entry, result));
        deviations.push(Deviation { value, largest, allowed: 0.0, from: None });
    }
    deviations
}

fn result_name(entry: &Function, result: &ResultDecl) -> String {
    match (&result.name, &result.role) {
        (_, ResultRole::Update(i)) => format!("new {}", entry.args()[*i].name),
        (Some(name), ResultRole::Output) => name.to_string(),
        (None, ResultRole::Output) => "result".to_owned(),
        (_, ResultRole::Check) => "check".to_owned(),
    }
}

/// The largest difference relative to its error bound, with that bound. Elements that depend on a comparison which rounding may decide
/// have no bound, and are left out.
pub(super) fn worst(found: &Tensor, expected: &Bounded) -> (f64, f64) {
    let mut worst = (0.0, 0.0);
    let fraction = |(largest, allowed): (f64, f64)| if largest == 0.0 { 0.0 } else { largest / allowed };
    for ((x, y), &radius) in found.scalars().zip(expected.value.scalars()).zip(&expected.radius) {
        let distance = distance(x, y);
        let beyond = fraction((distance, radius)) > fraction(worst) || distance.is_nan();
        if radius.is_finite() && beyond {
            worst = (distance, radius);
        }
    }
    worst
}

fn magnitude(tensor: &Tensor) -> f64 {
    tensor.to_f64s().into_iter().filter(|x| x.is_finite()).fold(f64::MIN_POSITIVE, |m, x| m.max(x.abs()))
}

/// The largest difference of two elements.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    // `max` would drop a NaN.
    let larger = |m: f64, d: f64| if d > m || d.is_nan() { d } else { m };
    a.scalars().zip(b.scalars()).map(|(x, y)| distance(x, y)).fold(0.0, larger)
}

/// The distance of two values; NaN equals NaN only, and an infinity itself only.
fn distance(x: Scalar, y: Scalar) -> f64 {
    let (x, y) = (x.as_f64(), y.as_f64());
    if x == y || (x.is_nan() && y.is_nan()) { 0.0 } else { (x - y).abs() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_is_a_difference_at_every_index() {
        let tensor = |values: [f64; 3]| Tensor::new([3], values.to_vec()).expect("as many as there are");
        assert!(difference(&tensor([f64::NAN, 1.0, 2.0]), &tensor([0.0, 1.0, 2.0])).is_nan());
        assert_eq!(difference(&tensor([f64::NAN, 1.0, 2.0]), &tensor([f64::NAN, 1.0, 2.5])), 0.5);
        for i in 0..3 {
            let mut with = [1.0, 2.0, 3.0];
            with[i] = f64::NAN;
            let (largest, _) = worst(&tensor(with), &Bounded::exact(tensor([1.0, 2.0, 3.0])));
            assert!(largest.is_nan(), "{i}");
        }
    }
}
