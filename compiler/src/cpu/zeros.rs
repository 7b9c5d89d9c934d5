//! Padding of a sum of products: bounds of its loops, or zeros in its operands.
//!
//! A loop of a reduction can visit exactly what a predicate leaves, for as many points as agree on that: then no zero is multiplied,
//! but no register tile extends along the axes that the predicate depends on. Or the predicate is written into an operand as zeros
//! (`nest/materialize.rs`), and tiles extend as they like. Which is better follows from the tiles that remain.

use super::operand_order;
use super::product;
use crate::machine::{Cost, Machine};
use crate::nest::affine::volume;
use crate::nest::expr::Predicate;
use crate::nest::materialize::{Temporaries, materialize};
use crate::nest::nests::{Nest, Nests};

/// When the traffic of a temporary is small compared with what plain operands save.
const TEMPORARIES: Temporaries = Temporaries { uses: 4, positions: 4096 };

/// Of more predicates not all combinations are compared.
const PREDICATES: usize = 4;

/// Materialises computed operands of a nest, and such padding as is cheaper as zeros; returns the nests that compute them.
pub(super) fn materialize_operands(nest: &mut Nest, nests: &mut Nests, machine: &Machine) -> Vec<Nest> {
    let predicates = nest.reduce.as_ref().map_or_else(Vec::new, |r| r.predicates.clone());
    let movable: Vec<usize> = (0..predicates.len()).filter(|&i| predicates[i].range(nest.parallel).is_some()).collect();
    let all = 1usize << movable.len().min(PREDICATES);
    // Bits of the predicates that are kept; those beyond the limit are kept with the first.
    let is_kept = |kept: usize, predicate: &Predicate| {
        let at = movable.iter().position(|&i| predicates[i] == *predicate);
        at.is_some_and(|at| kept >> (at % PREDICATES) & 1 == 1)
    };
    let mut best: Option<(Cost, usize)> = None;
    if !movable.is_empty() {
        for kept in (0..all).rev() {
            let cost = cost(nest, nests, machine, |predicate| is_kept(kept, predicate));
            if let Some(cost) = cost
                && best.is_none_or(|(least, _)| cost < least)
            {
                best = Some((cost, kept));
            }
        }
    }
    let kept = best.map_or(0, |(_, kept)| kept);
    materialize(nest, nests, &TEMPORARIES, |predicate| is_kept(kept, predicate))
}

/// The estimated cost of a nest if some predicates stay with it and the others become zeros; none if that cannot be.
fn cost(nest: &Nest, nests: &Nests, machine: &Machine, is_kept: impl Fn(&Predicate) -> bool) -> Option<Cost> {
    let (mut nest, mut nests) = (nest.clone(), nests.clone());
    let count = |nest: &Nest| nest.reduce.as_ref().map_or(0, |r| r.predicates.len());
    let expected = nest.reduce.as_ref()?.predicates.iter().filter(|p| is_kept(p)).count();
    let made = materialize(&mut nest, &mut nests, &TEMPORARIES, is_kept);
    if count(&nest) != expected {
        return None;
    }
    let written = made.iter().map(|made| volume(&made.extents)).fold(0, usize::saturating_add);
    let best = operand_order::best(&nest, &nests, machine)?;
    // Without a tile nothing is gained by bounds.
    if expected > 0 && !best.is_tiled {
        return None;
    }
    // Packed products take no predicates, and are better than other tiles wherever they are made.
    let packed = if product::applies(&nest, &nests.exprs, machine) { best.cost / 2 } else { best.cost };
    Some(packed.saturating_add(machine.costs.moved.saturating_mul(written as Cost)))
}
