//! How a nest becomes loops: the axis that is vectorised, how many points are computed at the same time, and the chunks of a
//! kernel. A function of shapes, accesses and the target, never of the host.

use dlc_ir::DType;
use dlc_ir::compute::Combine;

use super::loops::TransposedReads;
use super::tile::Tile;
use crate::kernel;
use crate::machine::{Cost, Machine, operations};
use crate::nest::affine::{AffineIndex, volume};
use crate::nest::expr::{ExprArena, ExprId, ExprKind};
use crate::nest::materialize::depends;
use crate::nest::nests::Nest;

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
    /// What is read across the vectors, and transposed in registers.
    pub transposed: Option<TransposedReads>,
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
            transposed: None,
            is_rare: false,
        };
        let tiled = plan.tile(nest, exprs, machine);
        if !tiled {
            plan.vectorize(nest, exprs);
            plan.transpose_reads(nest, exprs, machine);
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
            transposed: None,
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

    /// Plans transposing what a nest reads across its vectors.
    fn transpose_reads(&mut self, nest: &Nest, exprs: &ExprArena, machine: &Machine) {
        let VectorAxis::Parallel(lane) = self.lane else { return };
        self.transposed = TransposedReads::new(nest, exprs, lane, self.overlap, machine);
        if let Some(reads) = &self.transposed {
            self.lanes = reads.side as u8;
            self.jam = vec![(reads.axis, reads.side)];
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
    expr_weight(exprs, roots).max(1)
}

/// A rough number of operations of some expressions.
pub(crate) fn expr_weight(exprs: &ExprArena, roots: impl IntoIterator<Item = ExprId>) -> usize {
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
    weight
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
