//! The radii of reductions, over axes and over windows.

use crate::op::{Reduce, Reduction, Window};
use crate::{Scalar, Shape, Tensor, Type};

use super::{Bounded, rounding, summing};

/// For each element of the result the row-major positions of the elements that are reduced to it.
pub(super) type Windows = Vec<Vec<usize>>;

pub(super) fn of_reduce(reduce: &Reduce, x: &Type) -> Windows {
    let kept: Vec<usize> = (0..x.rank()).filter(|a| !reduce.axes.contains(a)).collect();
    let shape = Shape::from(kept.iter().map(|&a| x.shape[a]).collect::<Vec<_>>());
    let mut windows = vec![vec![]; shape.elements()];
    for (position, index) in x.shape.indices().enumerate() {
        let index: Vec<usize> = kept.iter().map(|&a| index[a]).collect();
        windows[shape.offset(&index)].push(position);
    }
    windows
}

pub(super) fn of_window(window: &Window, x: &Type, result: &Type) -> Windows {
    let offsets = Shape::from(window.size.as_slice());
    let source = |index: &[usize], offset: &[usize]| {
        let mut at = index.to_vec();
        for (k, &a) in window.axes.iter().enumerate() {
            let position = (index[a] * window.stride[k] + offset[k] * window.window_dilation[k]) as i64 - window.low[k];
            let spread = window.base_dilation[k] as i64;
            let inside = position >= 0 && position % spread == 0 && position / spread < x.shape[a] as i64;
            at[a] = inside.then_some((position / spread) as usize)?;
        }
        Some(x.shape.offset(&at))
    };
    let one = |index: Vec<usize>| offsets.indices().filter_map(|offset| source(&index, &offset)).collect();
    result.shape.indices().map(|index| one(index.to_vec())).collect()
}

pub(super) fn combined(kind: Reduction, windows: &Windows, x: &Bounded, value: &Tensor) -> Vec<f64> {
    let each = |(i, window): (usize, &Vec<usize>)| match kind {
        _ if window.iter().all(|&p| x.radius[p] == 0.0) && !matches!(kind, Reduction::Sum | Reduction::Product) => 0.0,
        Reduction::Sum => {
            let radius: f64 = window.iter().map(|&p| x.radius[p]).sum();
            let size: f64 = window.iter().map(|&p| x.value.get(p).as_f64().abs()).sum::<f64>() + radius;
            if window.len() < 2 { radius } else { radius + summing(window.len(), size, value.dtype()) }
        }
        Reduction::Product => {
            let exact: f64 = window.iter().map(|&p| x.value.get(p).as_f64().abs()).product();
            let largest: f64 = window.iter().map(|&p| x.value.get(p).as_f64().abs() + x.radius[p]).product();
            let own = rounding(window.len() as f64, largest, value.dtype());
            match value.get(i) {
                Scalar::Float(_) => largest - exact + if window.len() < 2 { 0.0 } else { own },
                _ if window.iter().all(|&p| x.radius[p] == 0.0) => 0.0,
                _ => f64::INFINITY,
            }
        }
        Reduction::Min | Reduction::Max | Reduction::ArgMin | Reduction::ArgMax => extreme(kind, window, x),
    };
    windows.iter().enumerate().map(each).collect()
}

/// The radius of the largest or smallest element, or of its index: only elements that can be the extreme count.
fn extreme(kind: Reduction, window: &[usize], x: &Bounded) -> f64 {
    let sign = if matches!(kind, Reduction::Min | Reduction::ArgMin) { -1.0 } else { 1.0 };
    let at = |p: usize| sign * x.value.get(p).as_f64();
    if window.iter().any(|&p| !at(p).is_finite() || x.radius[p] == f64::INFINITY) {
        return f64::INFINITY;
    }
    let reached = window.iter().map(|&p| at(p) - x.radius[p]).fold(f64::NEG_INFINITY, f64::max);
    let candidates: Vec<usize> = window.iter().copied().filter(|&p| at(p) + x.radius[p] >= reached).collect();
    let radius = candidates.iter().map(|&p| x.radius[p]).fold(0.0, f64::max);
    match kind {
        Reduction::ArgMin | Reduction::ArgMax if candidates.len() == 1 || radius == 0.0 => 0.0,
        Reduction::ArgMin | Reduction::ArgMax => f64::INFINITY,
        // If another element is the extreme, it exceeds this one by at most that much.
        _ => radius,
    }
}
