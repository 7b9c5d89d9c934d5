//! How a nest becomes loops: the axis that is vectorised, how many points are computed at the same time, and the chunks of a
//! kernel. A function of shapes, accesses and the target, never of the host.

use dlc_ir::DType;
use dlc_ir::compute::Combine;

use super::loops::Squares;
use crate::kernel;
use crate::machine::{Cost, Machine, operations};
use crate::nest::affine::{AffineIndex, volume};
use crate::nest::expr::{ExprArena, ExprKind};
use crate::nest::materialize::depends;
use crate::nest::nests::Nest;
use crate::nest::ranges::WHOLE;

/// The axis along which a nest is vectorised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VectorAxis {
    /// Scalar code.
    None,
    /// A parallel axis.
    Parallel(usize),
    /// A reduction axis.
    Reduction(usize),
}

/// The most chunks of a kernel: a few per thread, for load balance.
pub(crate) const fn most_chunks(machine: &Machine) -> usize {
    4 * machine.threads
}

/// Vector registers of a tile: accumulators, vectors of B, one broadcast of A, and one for the destructive FMA operand. With more
/// than the machine has, the accumulators spill.
fn registers(r: usize, v: usize) -> usize {
    match (r, v) {
        (_, 1) => r + 2,
        (1, _) => v + 3,
        _ => r * v + v + 2,
    }
}

/// A plan of the loops of a nest.
#[derive(Clone, Debug)]
pub(crate) struct Tiling {
    pub lane: VectorAxis,
    pub lanes: u8,
    /// Vectors along the lane axis that are computed at the same time (unroll and jam).
    pub vectors: usize,
    /// Other jammed parallel axes with their factors, ascending.
    pub jam: Vec<(usize, usize)>,
    pub chunks: usize,
    /// The points, or rows, of a chunk.
    pub per: usize,
    /// How many leading parallel axes the chunks divide; 0 if they divide the only one, the lane axis.
    pub prefix: usize,
    /// Whether the last vector of a row may overlap the one before it: recomputing is possible, since nothing that is still read
    /// is overwritten.
    pub overlap: bool,
    /// What is read across the vectors.
    pub squares: Option<Squares>,
    /// Whether to optimise for size: the code is unlikely to run.
    pub is_rare: bool,
}

impl Tiling {
    /// Plans a nest; without `overlap`, no element may be computed twice.
    pub fn new(nest: &Nest, exprs: &ExprArena, overlap: bool, machine: &Machine) -> Tiling {
        let mut plan = Tiling {
            lane: choose_lane(nest, exprs, machine),
            lanes: 1,
            vectors: 1,
            jam: vec![],
            chunks: 1,
            per: 1,
            prefix: 0,
            overlap,
            squares: None,
            is_rare: false,
        };
        let tiled = plan.tile(nest, exprs, machine);
        if !tiled {
            plan.vectorize(nest, exprs);
            plan.read_squares(nest, exprs, machine);
        }
        if plan.lanes == 1 {
            plan.lane = VectorAxis::None;
        }
        plan.divide(nest, exprs, tiled, machine);
        plan
    }

    /// A plan for unlikely code: one vector of points, or one point, at a time.
    pub fn rare(lane: VectorAxis, lanes: u8) -> Tiling {
        Tiling {
            lane,
            lanes,
            vectors: 1,
            jam: vec![],
            chunks: 1,
            per: 1,
            prefix: 0,
            overlap: true,
            squares: None,
            is_rare: true,
        }
    }

    fn vectorize(&mut self, nest: &Nest, exprs: &ExprArena) {
        let full = vector_lanes(nest, exprs);
        let fit = |n: usize| full.min(1 << n.max(1).ilog2().min(4));
        self.lanes = match self.lane {
            VectorAxis::None => 1,
            VectorAxis::Parallel(axis) if self.overlap => fit(nest.extents[axis]),
            VectorAxis::Parallel(axis) => fit(nest.extents[axis].next_power_of_two()),
            VectorAxis::Reduction(axis) => fit(nest.extents[axis]),
        };
    }

    /// Plans the squares of a nest that reads across its vectors.
    fn read_squares(&mut self, nest: &Nest, exprs: &ExprArena, machine: &Machine) {
        let VectorAxis::Parallel(lane) = self.lane else { return };
        self.squares = Squares::new(nest, exprs, lane, self.overlap, machine);
        if let Some(squares) = &self.squares {
            self.lanes = squares.side as u8;
            self.jam = vec![(squares.axis, squares.side)];
        }
    }

    /// Plans a register tile for a reduction with operand reuse.
    fn tile(&mut self, nest: &Nest, exprs: &ExprArena, machine: &Machine) -> bool {
        let Some(tile) = Tile::new(nest, exprs, self.lane, self.overlap, machine) else { return false };
        (self.lanes, self.vectors, self.jam) = (tile.lanes, tile.vectors, tile.jam);
        true
    }

    /// Divides the parallel axes into chunks.
    fn divide(&mut self, nest: &Nest, exprs: &ExprArena, tiled: bool, machine: &Machine) {
        let costs = &machine.costs;
        let operations = volume(&nest.extents).saturating_mul(weight(nest, exprs)) as Cost;
        let work = operations.saturating_mul(if tiled { costs.tiled_operation } else { costs.operation });
        let target = costs.chunks(work).clamp(1, most_chunks(machine));
        if self.lane == VectorAxis::Parallel(0) && nest.parallel == 1 {
            let n = nest.extents[0];
            let len = n.div_ceil(target).next_multiple_of(4 * self.lanes as usize * self.vectors);
            // All chunks have this length, except the last, which is up to twice as long.
            (self.chunks, self.per) = ((n / len).max(1), len);
            return;
        }
        let outer = nest.parallel - usize::from(matches!(self.lane, VectorAxis::Parallel(_)));
        let mut rows = 1;
        while self.prefix < outer && rows < target {
            rows *= self.steps(nest, self.prefix);
            self.prefix += 1;
        }
        self.per = rows.div_ceil(target.min(rows).max(1)).max(1);
        self.chunks = rows.div_ceil(self.per).max(1);
    }

    /// How many points of an axis are computed at the same time.
    pub fn jammed(&self, axis: usize) -> usize {
        self.jam.iter().find(|(a, _)| *a == axis).map_or(1, |(_, count)| *count)
    }

    /// The iterations of the loop over a parallel axis other than the lane axis.
    pub fn steps(&self, nest: &Nest, axis: usize) -> usize {
        nest.extents[axis].div_ceil(self.jammed(axis))
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
                    let whole = rows.is_multiple_of(r) && n.is_multiple_of(v * width);
                    r <= rows && v <= n.div_ceil(width) && (overlap || whole)
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
                let memory = |r: usize, v: usize| (bounded, lines.along_sum(r + v));
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
        let Machine { line_bytes, l1_bytes, l2_bytes, ways, .. } = *self.machine;
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

/// The number of lanes for the dtypes of a nest.
pub(crate) fn vector_lanes(nest: &Nest, exprs: &ExprArena) -> u8 {
    let mut fewest = 16;
    exprs.visit(nest.roots(), &mut |id, _| fewest = fewest.min(kernel::lanes(exprs.dtype(id))));
    fewest
}

/// A rough number of operations per element.
pub(crate) fn weight(nest: &Nest, exprs: &ExprArena) -> usize {
    let roots = match &nest.reduce {
        Some(reduce) => vec![reduce.body],
        None => nest.roots(),
    };
    let mut weight = 0;
    exprs.visit(roots, &mut |_, form| {
        weight += match form {
            ExprKind::Apply(function, ..) => operations::scalar(*function),
            ExprKind::Read { .. } => operations::READ,
            ExprKind::If { .. } => operations::BRANCH,
            ExprKind::Random { .. } => operations::RANDOM,
            ExprKind::Const(_) | ExprKind::Position(..) => 0,
        }
    });
    weight.max(1)
}

/// The axis along which vectors cost least.
pub(crate) fn choose_lane(nest: &Nest, exprs: &ExprArena, machine: &Machine) -> VectorAxis {
    let parallel = nest.parallel.checked_sub(1);
    let fallback = parallel.map_or(VectorAxis::None, VectorAxis::Parallel);
    let Some(reduce) = &nest.reduce else { return fallback };
    let is_arg = matches!(reduce.combine, Combine::ArgMin | Combine::ArgMax);
    let last = nest.extents.len().saturating_sub(1);
    if nest.extents.len() <= nest.parallel || is_arg {
        return fallback;
    }
    let reads = exprs.reads([reduce.body]);
    // Shapes alone choose the axis, whatever the dtype: elements are assumed to have four bytes.
    let lanes = machine.lanes(DType::F32);
    // Vector instructions per element, in fractions of `UNIT`.
    const UNIT: usize = 256;
    let cost = |axis: usize| -> usize {
        let n = nest.extents[axis];
        let per_read = |offset: &AffineIndex| match offset.coefficient(axis) {
            _ if !offset.is_affine_in(axis) => lanes,
            0 | 1 => 1,
            _ => lanes,
        };
        let walk: usize = reads.iter().map(|(_, offset)| per_read(offset)).sum();
        // The last vector of a row of the result overlaps the one before; that of a sum is a scalar remainder.
        let iterations = if axis < nest.parallel {
            n.div_ceil(lanes)
        } else {
            n / lanes + lanes * usize::from(!n.is_multiple_of(lanes))
        };
        walk * UNIT * iterations / n.max(1)
    };
    let reduced = volume(&nest.extents[nest.parallel..]);
    // The horizontal reduction after the loops.
    let tree = UNIT * 3 / 2 / reduced.max(1);
    match parallel {
        Some(axis) if nest.extents[last] < lanes || cost(axis) <= cost(last) + tree => {
            let varies = depends(exprs, reduce.body, axis);
            if varies || nest.extents[last] < lanes { VectorAxis::Parallel(axis) } else { VectorAxis::Reduction(last) }
        }
        _ if nest.extents[last] >= lanes => VectorAxis::Reduction(last),
        _ => fallback,
    }
}
