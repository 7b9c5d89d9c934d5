//! Padding of a sum of products: bounds of its loops, or zeros in its operands.
//!
//! A loop of a reduction can visit exactly what a predicate leaves, for as many points as agree on that: then no zero is multiplied,
//! but no register tile extends along the axes that the predicate depends on. Or the predicate is written into an operand as zeros
//! (`nest/materialize.rs`), and tiles extend as they like. Which is better follows from the tiles that remain.

use dlc_ir::DType;

use super::operand_order;
use super::product;
use crate::machine::{Cost, Machine};
use crate::nest::affine::volume;
use crate::nest::expr::Predicate;
use crate::nest::materialize::{Temporaries, materialize};
use crate::nest::nests::{Nest, Nests};
use crate::nest::ranges::ReducedRange;

/// When the traffic of a temporary is small compared with what plain operands save.
const TEMPORARIES: Temporaries = Temporaries { uses: 4, positions: 4096 };

/// Of more predicates not all combinations are compared.
const PREDICATES: usize = 4;

/// Materialises computed operands of a nest, and such padding as is cheaper as zeros; returns the nests that compute them.
pub(super) fn materialize_operands(nest: &mut Nest, nests: &mut Nests, machine: &Machine) -> Vec<Nest> {
    let predicates = nest.reduce.as_ref().map_or_else(Vec::new, |r| r.predicates.clone());
    let is_movable = |&i: &usize| match predicates[i].range(nest.parallel) {
        Some(ReducedRange::Axis { factor, .. }) => !is_phase(nest, &predicates[i], factor),
        Some(ReducedRange::Whole) => true,
        None => false,
    };
    let movable: Vec<usize> = (0..predicates.len()).filter(is_movable).collect();
    let all = 1usize << movable.len().min(PREDICATES);
    let parallel = nest.parallel;
    // Bits of the predicates that are kept; those beyond the limit are kept with the first.
    let is_kept = |kept: usize, predicate: &Predicate| match movable.iter().position(|&i| predicates[i] == *predicate) {
        Some(at) => kept >> (at % PREDICATES) & 1 == 1,
        None => predicate.range(parallel).is_some(),
    };
    let mut best: Option<(Plan, usize)> = None;
    if !movable.is_empty() {
        for kept in (0..all).rev() {
            let plan = plan(nest, nests, machine, |predicate| is_kept(kept, predicate));
            if let Some(plan) = plan
                && best.as_ref().is_none_or(|(least, _)| plan.cost < least.cost)
            {
                best = Some((plan, kept));
            }
        }
    }
    let kept = match best {
        Some((plan, kept)) if plan.is_tiled => kept,
        // Without a tile there is nothing but the traffic of the zeros, and masks of the vectors at a border.
        _ if predicates.iter().all(|p| p.range(nest.parallel).is_some()) && is_mostly_interior(nest, machine) => {
            all - 1
        }
        _ => 0,
    };
    materialize(nest, nests, &TEMPORARIES, |predicate| is_kept(kept, predicate))
}

/// Whether a predicate is about the elements of a phase: no tile extends along so few positions.
fn is_phase(nest: &Nest, predicate: &Predicate, factor: i64) -> bool {
    let axes = predicate.index().axes();
    let mut positions = axes.into_iter().filter(|&a| a < nest.parallel).map(|a| nest.extents[a]);
    factor.abs() > 1 && positions.all(|n| n as i64 <= factor.abs())
}

/// Whether most vectors of a row need no mask, and the others take few instructions more.
fn is_mostly_interior(nest: &Nest, machine: &Machine) -> bool {
    let Some(lane) = nest.parallel.checked_sub(1) else { return false };
    let lanes = machine.lanes(DType::F32);
    let (begin, end) = nest.interior(lane).unwrap_or((0, nest.extents[lane] as i64));
    machine.masked_loads && 2 * (end - begin) >= (nest.extents[lane] + 2 * lanes) as i64
}

/// What a choice of predicates costs.
struct Plan {
    cost: Cost,
    is_tiled: bool,
}

/// The estimate for a nest if some predicates stay with it and the others become zeros; none if that cannot be, or has no estimate.
fn plan(nest: &Nest, nests: &Nests, machine: &Machine, is_kept: impl Fn(&Predicate) -> bool) -> Option<Plan> {
    let (mut nest, mut nests) = (nest.clone(), nests.clone());
    let count = |nest: &Nest| nest.reduce.as_ref().map_or(0, |r| r.predicates.len());
    let expected = nest.reduce.as_ref()?.predicates.iter().filter(|p| is_kept(p)).count();
    let made = materialize(&mut nest, &mut nests, &TEMPORARIES, is_kept);
    if count(&nest) != expected {
        return None;
    }
    let written = made.iter().map(|made| volume(&made.extents)).fold(0, usize::saturating_add);
    let best = operand_order::best(&nest, &nests, machine)?;
    // Packed products take no predicates, and are better than other tiles wherever they are made.
    let packed = product::applies(&nest, &nests.exprs, machine);
    let cost = if packed { best.cost / 2 } else { best.cost };
    let cost = cost.saturating_add(machine.costs.moved.saturating_mul(written as Cost));
    Some(Plan { cost, is_tiled: best.is_tiled || packed })
}
