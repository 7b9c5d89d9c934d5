//! Register tiles of sums of products, and what they cost.

use dlc_ir::DType;
use dlc_ir::compute::Combine;
use smallvec::SmallVec;

use super::tiling::{VectorAxis, weight};
use crate::machine::{Cost, Machine};
use crate::nest::affine::{AffineIndex, volume};
use crate::nest::expr::ExprArena;
use crate::nest::nests::Nest;
use crate::nest::ranges::WHOLE;

/// Vector registers of a tile: accumulators, vectors of B, one broadcast of A, and one for the destructive FMA operand. With more
/// than the machine has, the accumulators spill.
fn registers(r: usize, v: usize) -> usize {
    match (r, v) {
        (_, 1) => r + 2,
        (1, _) => v + 3,
        _ => r * v + v + 2,
    }
}

/// A register tile: a number of points of some parallel axes at the same time.
pub(crate) struct Tile {
    pub lanes: u8,
    pub vectors: usize,
    pub jam: Vec<(usize, usize)>,
    /// The estimated cost of the whole nest.
    pub cost: Cost,
}

/// What all tiles of a nest have in common.
pub(super) struct Tiles<'a> {
    nest: &'a Nest,
    machine: &'a Machine,
    reads: Vec<AffineIndex>,
    dtype: DType,
    /// Points of the reduction.
    reduced: usize,
    /// What bounds of loops add to an iteration.
    bounded: Cost,
    /// See [`Nest::executed`].
    executed: u64,
}

impl Tile {
    /// The tile of a nest with lanes along an axis, if it is a reduction with operand reuse.
    pub fn new(nest: &Nest, exprs: &ExprArena, lane: VectorAxis, overlap: bool, machine: &Machine) -> Option<Tile> {
        Tiles::new(nest, exprs, machine)?.along(lane, overlap, false)
    }
}

impl<'a> Tiles<'a> {
    /// None if a nest is no reduction with operand reuse.
    pub fn new(nest: &'a Nest, exprs: &ExprArena, machine: &'a Machine) -> Option<Self> {
        let reduce = nest.reduce.as_ref()?;
        let reads: Vec<AffineIndex> = exprs.reads([reduce.body]).into_iter().map(|(_, offset)| offset).collect();
        let reduced = volume(&nest.extents[nest.parallel..]);
        let dtype = exprs.dtype(reduce.body);
        let is_arg = matches!(reduce.combine, Combine::ArgMin | Combine::ArgMax);
        let is_affine = |axis: usize| reads.iter().all(|o| o.is_affine_in(axis));
        let is_plain = !is_arg
            && dtype.is_float()
            && reads.len() >= 2
            && reduced >= 8
            && (nest.parallel..nest.extents.len()).all(is_affine)
            && reduce.predicates.iter().all(|p| p.range(nest.parallel).is_some())
            && weight(nest, exprs) <= 12;
        let new = || Tiles {
            nest,
            machine,
            dtype,
            reduced,
            bounded: bounded(nest, machine),
            executed: nest.executed(),
            reads,
        };
        is_plain.then(new)
    }

    /// The tile with lanes along an axis; with `divides`, its columns divide that axis. Without `overlap`, no element may be computed
    /// twice.
    pub fn along(&self, lane: VectorAxis, overlap: bool, divides: bool) -> Option<Tile> {
        match lane {
            VectorAxis::None => None,
            VectorAxis::Parallel(lane) => self.along_parallel(lane, overlap, divides),
            VectorAxis::Reduction(lane) => self.along_reduction(lane, overlap),
        }
    }

    /// Whether all points of a tile visit the same elements: it extends along axes only of which no predicate and no quotient
    /// depends.
    fn is_free(&self, axis: usize) -> bool {
        let mut predicates = self.nest.reduce.iter().flat_map(|r| &r.predicates);
        self.reads.iter().all(|o| o.is_affine_in(axis)) && !predicates.any(|p| p.index().mentions(axis))
    }

    /// The innermost parallel axis on which some operands depend, but none of those that depend on another axis.
    fn neighbour(&self, axis: usize) -> Option<usize> {
        let moving = || self.reads.iter().filter(|o| depends(o, axis));
        let fits = |&a: &usize| a != axis && self.is_free(a) && !moving().any(|o| depends(o, a));
        (0..self.nest.parallel).rev().filter(fits).find(|&a| self.reads.iter().any(|o| depends(o, a)))
    }

    fn visited(&self, cost: Cost) -> Cost {
        (u128::from(cost) * u128::from(self.executed)).div_ceil(u128::from(WHOLE)) as Cost
    }

    fn along_parallel(&self, lane: usize, overlap: bool, divides: bool) -> Option<Tile> {
        let Tiles { nest, machine, reduced, bounded, .. } = *self;
        let width = machine.lanes(self.dtype);
        let n = nest.extents[lane];
        if n < width || !self.is_free(lane) {
            return None;
        }
        let row = self.neighbour(lane);
        let rows = row.map_or(1, |a| nest.extents[a]);
        let waited = row.map(|row| self.rows(row));
        let waited = per_size(rows, machine, |r| bounded + waited.as_ref().map_or(0, |waited| waited(r)));
        let streamed = per_size(n.div_ceil(width), machine, self.vectors(lane));
        let memory = |r: usize, v: usize| (waited[r], streamed[v]);
        let (cost, (r, v)) = best_tile(rows, n.div_ceil(width), 2, memory, machine, |r, v| {
            let is_whole = n.is_multiple_of(v * width);
            let fits = (overlap || is_whole && rows.is_multiple_of(r)) && (is_whole || !divides);
            r <= rows && v <= n.div_ceil(width) && fits
        })?;
        // Several registers form one vector if no two of these overlap.
        let wide = if n.is_multiple_of(v * width) { v & v.wrapping_neg() } else { 1 };
        let lanes = (wide * width).min(16) as u8;
        let parallel = volume(&nest.extents[..nest.parallel]);
        Some(Tile {
            lanes,
            vectors: v * width / lanes as usize,
            jam: row.filter(|_| r > 1).map(|a| (a, r)).into_iter().collect(),
            cost: self.visited(((parallel / (n * rows)).saturating_mul(reduced) as Cost).saturating_mul(cost)),
        })
    }

    fn along_reduction(&self, lane: usize, overlap: bool) -> Option<Tile> {
        let Tiles { nest, machine, reduced, bounded, .. } = *self;
        let width = machine.lanes(self.dtype);
        let length = nest.extents[lane];
        let mut ranges = nest.reduce.iter().flat_map(|r| &r.predicates).filter_map(|p| p.range(nest.parallel));
        if length < width || ranges.any(|range| range.axis() == Some(lane)) {
            return None;
        }
        let reads = &self.reads;
        let some = |a: usize| reads.iter().any(|o| !depends(o, a)) && reads.iter().any(|o| depends(o, a));
        let column = (0..nest.parallel).rev().find(|&a| some(a) && self.is_free(a))?;
        let row = self.neighbour(column);
        let rows = row.map_or(1, |a| nest.extents[a]);
        let n = nest.extents[column];
        // Lanes that are not neighbours are gathered.
        let gathered = reads.iter().filter(|o| !matches!(o.coefficient(lane), 0 | 1));
        let (by_column, by_row): (Vec<_>, Vec<_>) = gathered.partition(|o| depends(o, column));
        let gathered = |r: usize, v: usize| by_column.len() * v + by_row.len() * r;
        let gather = machine.costs.gathered_lane * width as Cost;
        let memory = |r: usize, v: usize| (bounded + gather * gathered(r, v) as Cost, self.along_sum(r + v));
        let (cost, (r, v)) = best_tile(rows, n, 1, memory, machine, |r, v| {
            let whole = rows.is_multiple_of(r) && n.is_multiple_of(v);
            r <= rows && v <= n && (overlap || whole)
        })?;
        let mut jam: Vec<(usize, usize)> = row.filter(|_| r > 1).map(|a| (a, r)).into_iter().collect();
        jam.extend((v > 1).then_some((column, v)));
        jam.sort_unstable();
        // The vectors of an iteration, and the horizontal reduction at the end.
        let parallel = volume(&nest.extents[..nest.parallel]);
        let iterations = (reduced / length).saturating_mul(length.div_ceil(width));
        let cost = self.visited(((parallel / (n * rows)).saturating_mul(iterations) as Cost).saturating_mul(cost));
        let combined = machine.costs.combined_lanes.saturating_mul(parallel as Cost);
        Some(Tile { lanes: width as u8, vectors: 1, jam, cost: cost.saturating_add(combined) })
    }

    /// How many consecutive iterations use one line of a factor, if it is contiguous along the innermost axis.
    fn shared(&self, offset: &AffineIndex) -> usize {
        let last = self.nest.extents.len() - 1;
        match offset.coefficient(last).unsigned_abs() as usize {
            0 => self.nest.extents[last],
            step => self.nest.extents[last].min((self.machine.line_bytes / self.dtype.size()).div_ceil(step)),
        }
    }

    /// The cost of an iteration's elements of so many rows. Rows that are far apart are in a line each; if their distance is a multiple
    /// of what a way of a cache holds, they displace each other.
    fn rows(&self, row: usize) -> impl Fn(usize) -> Cost {
        let Machine { line_bytes, l1_bytes, l2_bytes, .. } = *self.machine;
        let ways = Machine::WAYS;
        let line = self.machine.costs.line;
        let read = |offset: &AffineIndex| {
            let apart = (offset.coefficient(row).unsigned_abs() as usize).saturating_mul(self.dtype.size());
            let sets = |way: usize| way / gcd(apart, way).max(line_bytes);
            (apart, self.shared(offset) as Cost, sets(l1_bytes / ways) * ways, sets(l2_bytes / ways))
        };
        let reads: SmallVec<[_; 2]> = self.reads.iter().filter(|o| depends(o, row)).map(read).collect();
        move |r| {
            let of = |&(apart, shared, l1_lines, l2_lines): &(usize, Cost, usize, usize)| {
                let lines = r.saturating_mul(apart).div_ceil(line_bytes).min(r);
                let cost = line * lines as Cost;
                if lines > l1_lines {
                    cost
                } else if lines > l2_lines {
                    cost / shared
                } else {
                    cost / (4 * shared)
                }
            };
            reads.iter().map(of).sum()
        }
    }

    /// The cost of streaming so many vectors along the lanes, if they are more than the first-level cache holds.
    fn vectors(&self, lane: usize) -> impl Fn(usize) -> Cost {
        let Machine { line_bytes, l1_bytes, .. } = *self.machine;
        let line = self.machine.costs.line;
        let read = |offset: &AffineIndex| {
            let reduced = (self.nest.parallel..self.nest.extents.len()).filter(|&a| offset.mentions(a));
            (reduced.map(|a| self.nest.extents[a]).fold(1, usize::saturating_mul), self.shared(offset))
        };
        let reads: SmallVec<[_; 2]> = self.reads.iter().filter(|o| depends(o, lane)).map(read).collect();
        move |v| {
            let of = |&(reduced, shared): &(usize, usize)| {
                let lines = v.saturating_mul(reduced) / shared;
                let fits = lines.saturating_mul(line_bytes) <= l1_bytes;
                if fits { 0 } else { line * v as Cost / shared as Cost }
            };
            reads.iter().map(of).sum()
        }
    }

    /// The cost of streaming a vector for each row and column, with lanes along the sum, if they are more than the first-level cache
    /// holds.
    fn along_sum(&self, vectors: usize) -> Cost {
        let Machine { line_bytes, l1_bytes, vector_bytes, .. } = *self.machine;
        let fits = vectors.saturating_mul(self.reduced).saturating_mul(self.dtype.size()) <= l1_bytes;
        if fits { 0 } else { self.machine.costs.line * (vectors * vector_bytes) as Cost / line_bytes as Cost }
    }
}

/// Whether an index depends on an axis in which it is affine.
fn depends(offset: &AffineIndex, axis: usize) -> bool {
    offset.coefficient(axis) != 0
}

/// A cost for each number of rows, or of vectors, that a tile may have: up to `most` of the machine's registers.
fn per_size(most: usize, machine: &Machine, cost: impl Fn(usize) -> Cost) -> SmallVec<[Cost; 32]> {
    (0..=most.min(machine.vector_registers - 1)).map(cost).collect()
}

/// The rows and vectors of the register tile of least cost for a result of this size, and the cost of one iteration of the
/// reduction. A row costs `row` instructions for its operand: two if it has to be broadcast.
fn best_tile(
    rows: usize,
    vectors: usize,
    row: usize,
    memory: impl Fn(usize, usize) -> (Cost, Cost),
    machine: &Machine,
    fits: impl Fn(usize, usize) -> bool,
) -> Option<(Cost, (usize, usize))> {
    let costs = &machine.costs;
    // With all registers, the allocator spills accumulators on the critical path.
    let most = machine.vector_registers - 1;
    let mut best: Option<(Cost, (usize, usize))> = None;
    for r in 1..=most {
        for v in (1..=most).take_while(|&v| registers(r, v) <= most) {
            if !fits(r, v) {
                continue;
            }
            let fmas = r * v;
            // Throughput of multiply-adds, their latency, loads, and throughput of all instructions, copies of factors included.
            let instructions = fmas + row * r + v + r * (v - 1);
            let arithmetic = (costs.fma * fmas as Cost).max(costs.fma_latency);
            let iteration = arithmetic.max(costs.load * (r + v) as Cost).max(costs.issue(instructions));
            // Rows wait for their lines; vectors are streamed ahead.
            let (waited, streamed) = memory(r, v);
            let iteration = iteration.max(streamed) + waited;
            let cost = (rows.div_ceil(r) * vectors.div_ceil(v)) as Cost * iteration;
            if best.is_none_or(|(c, _)| cost < c) {
                best = Some((cost, (r, v)));
            }
        }
    }
    best
}

/// What loops whose bounds depend on the position add to an iteration.
fn bounded(nest: &Nest, machine: &Machine) -> Cost {
    let predicates = nest.reduce.iter().flat_map(|r| &r.predicates);
    let axes = predicates.filter_map(|p| p.range(nest.parallel).and_then(|range| range.axis()));
    let inner = |axis: usize| volume(&nest.extents[axis..]).max(1) as Cost;
    axes.map(|axis| machine.costs.bounded_loop / inner(axis)).sum()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
