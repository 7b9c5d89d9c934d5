//! Register tiles of sums of products, and what they cost.

use dlc_ir::compute::Combine;

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

impl Tile {
    /// The tile of a nest with lanes along an axis, if it is a reduction with operand reuse.
    pub fn new(nest: &Nest, exprs: &ExprArena, lane: VectorAxis, overlap: bool, machine: &Machine) -> Option<Tile> {
        Tile::of_columns(nest, exprs, lane, overlap, false, machine)
    }

    /// The same; with `divides`, its columns divide the lane axis.
    pub fn of_columns(
        nest: &Nest,
        exprs: &ExprArena,
        lane: VectorAxis,
        overlap: bool,
        divides: bool,
        machine: &Machine,
    ) -> Option<Tile> {
        let reduce = nest.reduce.as_ref()?;
        let reads: Vec<AffineIndex> = exprs.reads([reduce.body]).into_iter().map(|(_, offset)| offset).collect();
        let reduced = volume(&nest.extents[nest.parallel..]);
        let is_arg = matches!(reduce.combine, Combine::ArgMin | Combine::ArgMax);
        let ranges: Option<Vec<_>> = reduce.predicates.iter().map(|p| p.range(nest.parallel)).collect();
        let ranges = ranges?;
        // All points of a tile visit the same elements: it extends along axes only of which no predicate and no quotient depends.
        let is_free = |axis: usize| {
            reads.iter().all(|o| o.is_affine_in(axis)) && !reduce.predicates.iter().any(|p| p.index().mentions(axis))
        };
        let is_affine = |axis: usize| reads.iter().all(|o| o.is_affine_in(axis));
        let plain = (nest.parallel..nest.extents.len()).all(is_affine) && !is_arg;
        let bounded = bounded(nest, machine);
        let visited = |cost: Cost| (u128::from(cost) * u128::from(nest.executed())).div_ceil(u128::from(WHOLE)) as Cost;
        let dtype = exprs.dtype(reduce.body);
        if !plain || !dtype.is_float() || reads.len() < 2 || reduced < 8 || weight(nest, exprs) > 12 {
            return None;
        }
        let width = machine.lanes(dtype);
        let mentions = |offset: &AffineIndex, axis: usize| offset.coefficient(axis) != 0;
        // The innermost parallel axis on which some operands depend, but none of those that depend on another axis.
        let neighbour = |axis: usize| {
            let moving = || reads.iter().filter(|o| mentions(o, axis));
            let fits = |&a: &usize| a != axis && is_free(a) && !moving().any(|o| mentions(o, a));
            (0..nest.parallel).rev().filter(fits).find(|&a| reads.iter().any(|o| mentions(o, a)))
        };
        let parallel = volume(&nest.extents[..nest.parallel]);
        match lane {
            VectorAxis::None => None,
            VectorAxis::Parallel(lane) => {
                let n = nest.extents[lane];
                if n < width || !is_free(lane) {
                    return None;
                }
                let row = neighbour(lane);
                let rows = row.map_or(1, |a| nest.extents[a]);
                let lines = Lines { nest, reads: &reads, machine, bytes: dtype.size() };
                let memory =
                    |r: usize, v: usize| (bounded + row.map_or(0, |row| lines.rows(row, r)), lines.vectors(lane, v));
                let (cost, (r, v)) = best_tile(rows, n.div_ceil(width), 2, memory, machine, |r, v| {
                    let is_whole = n.is_multiple_of(v * width);
                    let fits = (overlap || is_whole && rows.is_multiple_of(r)) && (is_whole || !divides);
                    r <= rows && v <= n.div_ceil(width) && fits
                })?;
                // Several registers form one vector if no two of these overlap.
                let wide = if n.is_multiple_of(v * width) { v & v.wrapping_neg() } else { 1 };
                let lanes = (wide * width).min(16) as u8;
                Some(Tile {
                    lanes,
                    vectors: v * width / lanes as usize,
                    jam: row.filter(|_| r > 1).map(|a| (a, r)).into_iter().collect(),
                    cost: visited(((parallel / (n * rows)).saturating_mul(reduced) as Cost).saturating_mul(cost)),
                })
            }
            VectorAxis::Reduction(lane) => {
                let length = nest.extents[lane];
                if length < width || ranges.iter().any(|range| range.axis() == Some(lane)) {
                    return None;
                }
                let some = |a: usize| reads.iter().any(|o| !mentions(o, a)) && reads.iter().any(|o| mentions(o, a));
                let column = (0..nest.parallel).rev().find(|&a| some(a) && is_free(a))?;
                let row = neighbour(column);
                let rows = row.map_or(1, |a| nest.extents[a]);
                let n = nest.extents[column];
                let lines = Lines { nest, reads: &reads, machine, bytes: dtype.size() };
                // Lanes that are not neighbours are gathered.
                let gathered = |r: usize, v: usize| -> usize {
                    let of = |o: &AffineIndex| if mentions(o, column) { v } else { r };
                    reads.iter().filter(|o| !matches!(o.coefficient(lane), 0 | 1)).map(of).sum()
                };
                let gather = machine.costs.gathered_lane * width as Cost;
                let memory = |r: usize, v: usize| (bounded + gather * gathered(r, v) as Cost, lines.along_sum(r + v));
                let (cost, (r, v)) = best_tile(rows, n, 1, memory, machine, |r, v| {
                    let whole = rows.is_multiple_of(r) && n.is_multiple_of(v);
                    r <= rows && v <= n && (overlap || whole)
                })?;
                let mut jam: Vec<(usize, usize)> = row.filter(|_| r > 1).map(|a| (a, r)).into_iter().collect();
                jam.extend((v > 1).then_some((column, v)));
                jam.sort_unstable();
                // The vectors of an iteration, and the horizontal reduction at the end.
                let iterations = (reduced / length).saturating_mul(length.div_ceil(width));
                let cost = visited(((parallel / (n * rows)).saturating_mul(iterations) as Cost).saturating_mul(cost));
                let combined = machine.costs.combined_lanes.saturating_mul(parallel as Cost);
                Some(Tile { lanes: width as u8, vectors: 1, jam, cost: cost.saturating_add(combined) })
            }
        }
    }
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

/// The cache lines that the iterations of a tile bring in.
struct Lines<'a> {
    nest: &'a Nest,
    reads: &'a [AffineIndex],
    machine: &'a Machine,
    bytes: usize,
}

impl Lines<'_> {
    /// How many consecutive iterations use one line of a factor, if it is contiguous along the innermost axis.
    fn shared(&self, offset: &AffineIndex) -> usize {
        let last = self.nest.extents.len() - 1;
        match offset.coefficient(last).unsigned_abs() as usize {
            0 => self.nest.extents[last],
            step => self.nest.extents[last].min((self.machine.line_bytes / self.bytes).div_ceil(step)),
        }
    }

    /// The cost of an iteration's elements of so many rows. Rows that are far apart are in a line each; if their distance is a multiple
    /// of what a way of a cache holds, they displace each other.
    fn rows(&self, row: usize, r: usize) -> Cost {
        let Machine { line_bytes, l1_bytes, l2_bytes, .. } = *self.machine;
        let ways = Machine::WAYS;
        let of = |offset: &AffineIndex| {
            let apart = (offset.coefficient(row).unsigned_abs() as usize).saturating_mul(self.bytes);
            let lines = r.saturating_mul(apart).div_ceil(line_bytes).min(r);
            let sets = |way: usize| way / gcd(apart, way).max(line_bytes);
            let cost = self.machine.costs.line * lines as Cost;
            if lines > sets(l1_bytes / ways) * ways {
                cost
            } else if lines > sets(l2_bytes / ways) {
                cost / self.shared(offset) as Cost
            } else {
                cost / (4 * self.shared(offset)) as Cost
            }
        };
        self.reads.iter().filter(|o| o.coefficient(row) != 0).map(of).sum()
    }

    /// The cost of streaming so many vectors along the lanes, if they are more than the first-level cache holds.
    fn vectors(&self, lane: usize, v: usize) -> Cost {
        let of = |offset: &AffineIndex| {
            let reduced = (self.nest.parallel..self.nest.extents.len()).filter(|&a| offset.mentions(a));
            let lines = reduced.map(|a| self.nest.extents[a]).fold(v, usize::saturating_mul) / self.shared(offset);
            let fits = lines.saturating_mul(self.machine.line_bytes) <= self.machine.l1_bytes;
            if fits { 0 } else { self.machine.costs.line * v as Cost / self.shared(offset) as Cost }
        };
        self.reads.iter().filter(|o| o.coefficient(lane) != 0).map(of).sum()
    }

    /// The cost of streaming a vector for each row and column, with lanes along the sum, if they are more than the first-level cache
    /// holds.
    fn along_sum(&self, vectors: usize) -> Cost {
        let Machine { line_bytes, l1_bytes, vector_bytes, .. } = *self.machine;
        let reduced = volume(&self.nest.extents[self.nest.parallel..]);
        let fits = vectors.saturating_mul(reduced).saturating_mul(self.bytes) <= l1_bytes;
        if fits { 0 } else { self.machine.costs.line * (vectors * vector_bytes) as Cost / line_bytes as Cost }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
