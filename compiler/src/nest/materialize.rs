//! Factors of a sum of products that are more than a read, such as a padded or a computed operand, are written to a
//! temporary first where each of their elements is used many times. What is left reads plain memory and can be tiled.
//!
//! A condition under which a product takes part in the sum (padding) becomes a zero in one of its factors, since otherwise every
//! padded convolution would test in its innermost loop. That gives the same sum unless the other factor is infinite or NaN: then
//! the sum is NaN. So the condition stays with the nest, and sums that are NaN are computed again under it (`loops/padding.rs`).

use dlc_ir::compute::Combine;
use dlc_ir::{Scalar, ScalarOp, Type};
use rustc_hash::FxHashMap;

use super::composed::{Composed, Nest, Output, SourceInfo, SourceKind};
use super::form::{ExprId, Form, Forms, Test};
use super::linear::{Atom, Linear, volume};

/// When it pays to write a factor to memory first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Temporaries {
    /// How often each of its elements must be used.
    pub uses: usize,
    /// Positions that the nest must have.
    pub positions: usize,
}

/// Takes computed factors out of a nest; returns the nests that compute them, which come before it.
pub(crate) fn materialize(nest: &mut Nest, composed: &mut Composed, pays: &Temporaries) -> Vec<Nest> {
    let mut before = vec![];
    let Some(reduce) = &nest.reduce else { return before };
    let total = volume(&nest.extents);
    if reduce.combine != Combine::Sum || total < pays.positions {
        return before;
    }
    let Form::Apply(ScalarOp::Mul, dtype, factors) = composed.forms.get(reduce.body).clone() else { return before };
    if !dtype.is_float() {
        return before;
    }
    let tests = reduce.tests.clone();
    let extents = nest.extents.clone();
    let mut new = factors.clone();
    // Each condition goes to a factor that moves along all of its axes, and to the others that would be read outside without it.
    let mut conditions: Vec<Vec<Test>> = vec![vec![]; new.len()];
    let is_outside: Vec<bool> = new.iter().map(|&f| reads_outside(f, &extents, composed)).collect();
    for test in tests {
        let axes = || (0..extents.len()).filter(|&a| mentions(test.index(), a));
        let moves = |factor: &usize| axes().all(|a| depends(&composed.forms, new[*factor], a));
        let Some(owner) = (0..new.len()).find(moves) else { return before };
        for factor in (0..new.len()).filter(|f| *f == owner || (is_outside[*f] && moves(f))) {
            conditions[factor].push(test.clone());
        }
    }
    if conditions.iter().zip(&is_outside).any(|(conditions, &is_outside)| is_outside && conditions.is_empty()) {
        return before;
    }
    for (factor, conditions) in new.iter_mut().zip(conditions) {
        let zero = composed.forms.constant(dtype, Scalar::zero(dtype));
        let guarded = composed.forms.choose(conditions, *factor, zero, &extents);
        let is_guarded = guarded != *factor;
        if is_plain(&composed.forms, guarded) {
            continue;
        }
        match temporary(guarded, nest, pays, composed) {
            Some((made, read)) => {
                before.push(made);
                *factor = read;
            }
            None if is_guarded => return vec![],
            None => {}
        }
    }
    if new != factors {
        let body = composed.forms.add(Form::Apply(ScalarOp::Mul, dtype, new));
        let reduce = nest.reduce.as_mut().expect("matched above");
        reduce.body = body;
        reduce.padding = std::mem::take(&mut reduce.tests);
    }
    before
}

/// Whether something that a factor reads may lie outside of its buffer, as far as ranges tell.
fn reads_outside(factor: ExprId, extents: &[usize], composed: &Composed) -> bool {
    composed.forms.reads([factor]).iter().any(|(source, offset)| {
        let (first, last) = offset.range(extents);
        first < 0 || last >= composed.sources[*source].ty.shape.elements() as i64
    })
}

fn is_plain(forms: &Forms, factor: ExprId) -> bool {
    match forms.get(factor) {
        Form::Read { offset, .. } => offset.is_affine(),
        Form::Const(_) => true,
        _ => false,
    }
}

/// A nest that writes all values of a factor, and the read that takes its place.
fn temporary(factor: ExprId, nest: &Nest, pays: &Temporaries, composed: &mut Composed) -> Option<(Nest, ExprId)> {
    let axes = nest.extents.len();
    let combined = combinations(factor, nest, &composed.forms);
    // The new domain: the old axes, of which most will turn out unused, then one axis for each combination.
    let mut extents = nest.extents.clone();
    let mut replaced: Vec<Linear> = (0..axes).map(Linear::axis).collect();
    for (i, (index, pivot, low, high)) in combined.iter().enumerate() {
        extents.push((high - low + 1) as usize);
        let coefficient = index.coefficient(*pivot);
        // index = coefficient * pivot + others  =>  pivot = coefficient * (new + low - others), as coefficient is ±1
        let others = index.plus(&Linear::axis(*pivot).scaled(-coefficient));
        let position = Linear::axis(axes + i).plus_constant(*low).plus(&others.scaled(-1));
        replaced[*pivot] = position.scaled(coefficient);
    }
    let moved = composed.forms.substitute(factor, &replaced, &extents, &mut FxHashMap::default());
    let used: Vec<usize> = (0..extents.len()).filter(|&a| depends(&composed.forms, moved, a)).collect();
    let clean = combined.iter().all(|(index, ..)| {
        // Neither the pivots nor what they were combined with may be left.
        index.terms.iter().all(|(atom, _)| !matches!(atom, Atom::Axis(a) if used.contains(a)))
    });
    let shape: Vec<usize> = used.iter().map(|&a| extents[a]).collect();
    let elements = volume(&shape);
    if !clean || elements == 0 || elements.saturating_mul(pays.uses) > volume(&nest.extents) {
        return None;
    }
    let dtype = composed.forms.dtype(factor);
    let source = composed.sources.len();
    composed.sources.push(SourceInfo { kind: SourceKind::Temp, ty: Type::new(dtype, shape.clone()) });
    // The nest over the used axes only.
    let narrow: Vec<Linear> = (0..extents.len())
        .map(|a| used.iter().position(|&u| u == a).map_or_else(|| Linear::constant(0), Linear::axis))
        .collect();
    let expr = composed.forms.substitute(moved, &narrow, &shape, &mut FxHashMap::default());
    let offset = Linear::row_major(0..shape.len(), &shape);
    let mut made = Nest {
        kept: shape.len(),
        extents: shape.clone(),
        reduce: None,
        outputs: vec![Output { source, offset, expr, check: None }],
    };
    made.normalize(&mut composed.forms);
    // And the read: each used axis is itself, or the combination that it stands for.
    let index: Vec<Linear> = used
        .iter()
        .map(|&a| match a.checked_sub(axes) {
            Some(i) => combined[i].0.clone().plus_constant(-combined[i].2),
            None => Linear::axis(a),
        })
        .collect();
    let offset = Linear::flatten(&index, &shape);
    let read = composed.forms.add(Form::Read { source, dtype, offset });
    Some((made, read))
}

/// The sums of several axes that conditions in a factor test, each with an axis that stands only in it, times 1 or -1, and
/// its range.
fn combinations(factor: ExprId, nest: &Nest, forms: &Forms) -> Vec<(Linear, usize, i64, i64)> {
    let mut tested: Vec<Linear> = vec![];
    forms.visit([factor], &mut |_, form| {
        if let Form::If { tests, .. } = form {
            for test in tests {
                let mut index = test.index().clone();
                index.constant = 0;
                let axes = index.terms.len();
                if axes > 1 && index.is_affine() && !tested.contains(&index) {
                    tested.push(index);
                }
            }
        }
    });
    let mut combined: Vec<(Linear, usize, i64, i64)> = vec![];
    for (i, index) in tested.iter().enumerate() {
        let lonely = |axis: usize| tested.iter().enumerate().all(|(j, other)| i == j || other.coefficient(axis) == 0);
        let pivot = index.terms.iter().find_map(|(atom, c)| match atom {
            Atom::Axis(axis) if c.abs() == 1 && lonely(*axis) => Some(*axis),
            _ => None,
        });
        if let Some(pivot) = pivot {
            let (low, high) = index.range(&nest.extents);
            // a combination of more values than there are elements is no axis
            let fits = |n: i64| n.unsigned_abs() < Type::MAX_BYTES as u64;
            if fits(low) && fits(high) {
                combined.push((index.clone(), pivot, low, high));
            }
        }
    }
    combined
}

/// Whether an expression changes along an axis.
pub(crate) fn depends(forms: &Forms, root: ExprId, axis: usize) -> bool {
    forms.indices([root]).iter().any(|index| mentions(index, axis))
}

fn mentions(index: &Linear, axis: usize) -> bool {
    index.terms.iter().any(|(atom, _)| match atom {
        Atom::Axis(a) => *a == axis,
        Atom::Div(x, _) | Atom::Mod(x, _) => mentions(x, axis),
        Atom::Data { .. } => false,
        Atom::Overflow => true,
    })
}
