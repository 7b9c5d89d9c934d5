//! Materialises factors of a sum of products that are not plain reads, such as padded or computed operands, in a temporary if
//! each element is used many times. What remains reads plain memory and can be tiled.
//!
//! A predicate on a product (padding) becomes a zero in one of its factors, since otherwise every padded convolution would test
//! it in its innermost loop. The sum is the same unless the other factor is infinite or NaN; then it is NaN. So the predicate
//! stays with the nest, and sums that are NaN are recomputed with it (`loops/padding.rs`).

use dlc_ir::compute::Combine;
use dlc_ir::{Scalar, ScalarOp, Type};
use rustc_hash::FxHashMap;

use super::affine::{AffineIndex, AffineTerm, volume};
use super::expr::{ExprArena, ExprId, ExprKind, Predicate};
use super::nests::{Nest, Nests, Output, SourceInfo, SourceKind};

/// When materialising a factor pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Temporaries {
    /// The least number of uses of each element.
    pub uses: usize,
    /// The least number of points of the nest.
    pub positions: usize,
}

/// Materialises computed factors of a nest; returns the nests that compute them, which run before it. Predicates for which
/// `is_kept` stay with the nest.
pub(crate) fn materialize(
    nest: &mut Nest,
    nests: &mut Nests,
    pays: &Temporaries,
    is_kept: impl Fn(&Predicate) -> bool,
) -> Vec<Nest> {
    let mut before = vec![];
    let Some(reduce) = &nest.reduce else { return before };
    let total = volume(&nest.extents);
    if reduce.combine != Combine::Sum || total < pays.positions {
        return before;
    }
    let ExprKind::Apply(ScalarOp::Mul, dtype, factors) = nests.exprs.get(reduce.body).clone() else { return before };
    if !dtype.is_float() {
        return before;
    }
    let (kept, predicates): (Vec<Predicate>, Vec<Predicate>) = reduce.predicates.iter().cloned().partition(is_kept);
    let extents = nest.extents.clone();
    let mut new = factors.clone();
    // Each predicate is moved to a factor that depends on all of its axes, and to the others that would be read out of bounds
    // without it.
    let mut conditions: Vec<Vec<Predicate>> = vec![vec![]; new.len()];
    let is_outside: Vec<bool> = new.iter().map(|&f| reads_outside(f, &extents, nests)).collect();
    for predicate in &predicates {
        let axes = || (0..extents.len()).filter(|&a| predicate.index().mentions(a));
        let moves = |factor: &usize| axes().all(|a| depends(&nests.exprs, new[*factor], a));
        let Some(owner) = (0..new.len()).find(moves) else { return before };
        for factor in (0..new.len()).filter(|f| *f == owner || (is_outside[*f] && moves(f))) {
            conditions[factor].push(predicate.clone());
        }
    }
    // A kept predicate guards the reads of what depends on all of its axes.
    let guards = |f: usize| {
        let is_guard = |p: &&Predicate| p.index().axes().into_iter().all(|a| depends(&nests.exprs, new[f], a));
        kept.iter().filter(|p| is_outside[f] && is_guard(p)).cloned().collect::<Vec<_>>()
    };
    let kept_guards: Vec<Vec<Predicate>> = (0..new.len()).map(guards).collect();
    let inside = |f: usize| !is_outside[f] || !conditions[f].is_empty() || !kept_guards[f].is_empty();
    if !(0..new.len()).all(inside) {
        return before;
    }
    for ((factor, conditions), bounds) in new.iter_mut().zip(conditions).zip(kept_guards) {
        let zero = nests.exprs.constant(dtype, Scalar::zero(dtype));
        let guarded = nests.exprs.choose(conditions, *factor, zero, &extents);
        let is_guarded = guarded != *factor;
        if is_plain(&nests.exprs, guarded, &kept) {
            *factor = guarded;
            continue;
        }
        // Where it is stored without the nest's loops around it, it has their bounds itself.
        let bounded = nests.exprs.choose(bounds, guarded, zero, &extents);
        match temporary(bounded, nest, &kept, pays, nests) {
            Some((made, read)) => {
                before.push(made);
                *factor = read;
            }
            None if is_guarded => return vec![],
            None => {}
        }
    }
    if new != factors {
        let body = nests.exprs.add(ExprKind::Apply(ScalarOp::Mul, dtype, new));
        let reduce = nest.reduce.as_mut().expect("matched above");
        reduce.body = body;
        (reduce.predicates, reduce.padding) = (kept, predicates);
    }
    before
}

/// Whether a read of a factor may be out of bounds, by the ranges of its indices.
fn reads_outside(factor: ExprId, extents: &[usize], nests: &Nests) -> bool {
    nests.exprs.reads([factor]).iter().any(|(source, offset)| {
        let (first, last) = offset.range(extents);
        first < 0 || last >= nests.sources[*source].ty.shape.elements() as i64
    })
}

/// Whether a factor can be read where it is: affinely, but for axes of kept predicates, along which no tile extends.
fn is_plain(exprs: &ExprArena, factor: ExprId, kept: &[Predicate]) -> bool {
    match exprs.get(factor) {
        ExprKind::Read { offset, .. } => {
            let fixed = |axis: usize| kept.iter().any(|p| p.index().mentions(axis));
            !offset.reads_data() && offset.axes().into_iter().all(|a| offset.is_affine_in(a) || fixed(a))
        }
        ExprKind::Const(_) => true,
        _ => false,
    }
}

/// A nest that materialises a factor, and the read that replaces it.
fn temporary(
    factor: ExprId,
    nest: &Nest,
    kept: &[Predicate],
    pays: &Temporaries,
    nests: &mut Nests,
) -> Option<(Nest, ExprId)> {
    let axes = nest.extents.len();
    let combined = combinations(factor, nest, kept, &nests.exprs);
    // The new iteration space: the old axes, most of which will be unused, and one axis per combination.
    let mut extents = nest.extents.clone();
    let mut replaced: Vec<AffineIndex> = (0..axes).map(AffineIndex::axis).collect();
    for (i, (index, pivot, low, high)) in combined.iter().enumerate() {
        extents.push((high - low + 1) as usize);
        let coefficient = index.coefficient(*pivot);
        // index = coefficient * pivot + others  =>  pivot = coefficient * (new + low - others), as coefficient is ±1
        let others = index.plus(&AffineIndex::axis(*pivot).scaled(-coefficient));
        let position = AffineIndex::axis(axes + i).plus_constant(*low).plus(&others.scaled(-1));
        replaced[*pivot] = position.scaled(coefficient);
    }
    let moved = nests.exprs.substitute(factor, &replaced, &extents, &mut FxHashMap::default());
    let used: Vec<usize> = (0..extents.len()).filter(|&a| depends(&nests.exprs, moved, a)).collect();
    let clean = combined.iter().all(|(index, ..)| {
        // Neither the pivots nor the axes that were combined with them may remain.
        used.iter().all(|&a| !index.mentions(a))
    });
    let shape: Vec<usize> = used.iter().map(|&a| extents[a]).collect();
    let elements = volume(&shape);
    if !clean || elements == 0 || elements.saturating_mul(pays.uses) > volume(&nest.extents) {
        return None;
    }
    let dtype = nests.exprs.dtype(factor);
    let source = nests.sources.len();
    nests.sources.push(SourceInfo { kind: SourceKind::Temp, ty: Type::new(dtype, shape.clone()) });
    // Drop the unused axes.
    let narrow: Vec<AffineIndex> = (0..extents.len())
        .map(|a| used.iter().position(|&u| u == a).map_or_else(|| AffineIndex::constant(0), AffineIndex::axis))
        .collect();
    let expr = nests.exprs.substitute(moved, &narrow, &shape, &mut FxHashMap::default());
    let offset = AffineIndex::row_major(0..shape.len(), &shape);
    let mut made = Nest {
        parallel: shape.len(),
        extents: shape.clone(),
        reduce: None,
        outputs: vec![Output { source, offset, expr, check: None }],
    };
    made.normalize(&mut nests.exprs);
    // And the read: each used axis is itself, or the combination that it replaces.
    let index: Vec<AffineIndex> = used
        .iter()
        .map(|&a| match a.checked_sub(axes) {
            Some(i) => combined[i].0.clone().plus_constant(-combined[i].2),
            None => AffineIndex::axis(a),
        })
        .collect();
    let offset = AffineIndex::flatten(&index, &shape);
    let read = nests.exprs.add(ExprKind::Read { source, dtype, offset });
    Some((made, read))
}

/// The combinations of several axes that predicates in a factor test, or those that are kept beside it, each with an axis (the
/// pivot) that occurs in no other, the sign of its coefficient, and its range.
fn combinations(
    factor: ExprId,
    nest: &Nest,
    kept: &[Predicate],
    exprs: &ExprArena,
) -> Vec<(AffineIndex, usize, i64, i64)> {
    // Combinations with the values for which a kept predicate holds.
    let mut tested: Vec<(AffineIndex, Option<(i64, i64)>)> = vec![];
    let mut add = |predicate: &Predicate, is_kept: bool| {
        let mut index = predicate.index().clone();
        let constant = std::mem::take(&mut index.constant);
        let known = match predicate {
            Predicate::InRange { low, high, .. } if is_kept => {
                low.checked_sub(constant).zip(high.checked_sub(constant).and_then(|high| high.checked_sub(1)))
            }
            _ => None,
        };
        if index.terms.len() > 1 && !index.reads_data() && tested.iter().all(|(other, _)| *other != index) {
            tested.push((index, known));
        }
    };
    let depends = |p: &&Predicate| p.index().axes().into_iter().all(|a| depends(exprs, factor, a));
    kept.iter().filter(depends).for_each(|predicate| add(predicate, true));
    exprs.visit([factor], &mut |_, form| {
        if let ExprKind::If { predicates, .. } = form {
            predicates.iter().for_each(|predicate| add(predicate, false));
        }
    });
    let mut combined: Vec<(AffineIndex, usize, i64, i64)> = vec![];
    for (i, (index, known)) in tested.iter().enumerate() {
        let lonely = |axis: usize| tested.iter().enumerate().all(|(j, (other, _))| i == j || !other.mentions(axis));
        let pivot = index.terms.iter().find_map(|(atom, c)| match atom {
            AffineTerm::Axis(axis) if c.abs() == 1 && lonely(*axis) && index.is_affine_in(*axis) => Some(*axis),
            _ => None,
        });
        if let Some(pivot) = pivot {
            let (mut low, mut high) = index.range(&nest.extents);
            if let Some((first, last)) = known {
                (low, high) = (low.max(*first), high.min(*last));
            }
            // a combination with more values than any buffer has elements cannot be an axis
            let fits = |n: i64| n.unsigned_abs() < Type::MAX_BYTES as u64;
            if fits(low) && fits(high) && low <= high {
                combined.push((index.clone(), pivot, low, high));
            }
        }
    }
    combined
}

/// Whether an expression depends on an axis.
pub(crate) fn depends(exprs: &ExprArena, root: ExprId, axis: usize) -> bool {
    exprs.indices([root]).iter().any(|index| index.mentions(axis))
}
