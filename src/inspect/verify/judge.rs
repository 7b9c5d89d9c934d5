//! How far two programs that mean the same are apart.

use dlc_ir::bounds::Bounded;
use dlc_ir::{Function, ResultDecl, ResultRole, Scalar, Tensor};

use super::Deviation;
use crate::Error;

/// The results of two programs that mean the same, and how far they are apart.
pub(super) struct Judged {
    /// Those of the one, and of the other.
    pub expected: Vec<Option<Tensor>>,
    pub found: Vec<Option<Tensor>>,
    pub deviations: Vec<Deviation>,
}

/// Judges two programs by their results: first by what most programs keep, and where one does not, by the bounds of both, which take
/// several times as long to compute as the results.
pub(super) fn judge(
    entry: &Function,
    what: &str,
    expected: Vec<Option<Tensor>>,
    found: Vec<Option<Tensor>>,
    bounds: impl FnOnce() -> Result<(Vec<Bounded>, Vec<Bounded>), Error>,
) -> Result<Judged, Error> {
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
    Ok(Judged { expected, found, deviations })
}

/// Roundings of a tensor's largest number that most programs stay within.
const ALLOWED: f64 = 1e4;

/// Results that are no numbers, or infinite, in the program as it is written, and otherwise in the optimised one, or the reverse. What rounding
/// decides is seldom the same in two types, so both must say so. Where arguments are infinite, the order in which the terms of nested
/// sums are added decides whether a sum is infinite or NaN, so that only whether it is one of both counts.
pub(super) fn no_numbers(entry: &Function, wide: &Judged, narrow: &Judged, of_infinities: bool) -> Vec<Deviation> {
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
        let value = format!("{}, where it is no number,", result_name(entry, result));
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

/// The difference of the element that is furthest off for what rounding explains, and what it explains. Elements that hang on a
/// comparison which rounding decides have no bound, and are left out.
pub(super) fn worst(found: &Tensor, expected: &Bounded) -> (f64, f64) {
    let mut worst = (0.0, 0.0);
    let share = |(largest, allowed): (f64, f64)| if largest == 0.0 { 0.0 } else { largest / allowed };
    for ((x, y), &radius) in found.scalars().zip(expected.value.scalars()).zip(&expected.radius) {
        let distance = distance(x, y);
        let beyond = share((distance, radius)) > share(worst) || distance.is_nan();
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

/// How far two numbers are apart; NaN agrees with NaN and infinity with itself only.
fn distance(x: Scalar, y: Scalar) -> f64 {
    let (x, y) = (x.as_f64(), y.as_f64());
    if x == y || (x.is_nan() && y.is_nan()) { 0.0 } else { (x - y).abs() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_is_a_difference_wherever_it_stands() {
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
