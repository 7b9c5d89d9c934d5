//! Loop nests of elementwise operators and reductions: one kernel per nest.

mod padding;
mod ranges;
mod reduce;
mod transpose;

use dlc_ir::compute::Combine;
pub(crate) use padding::leave_out_padding;
pub(crate) use transpose::TransposedReads;

use super::tiling::{Tiling, VectorAxis, most_chunks};
use super::vectorize::Elements;
use crate::kernel::{Access, AccessMode, Binary, Compare, Kernel, KernelBuilder, Unary, Val};
use crate::machine::Machine;
use crate::nest::affine::volume;
use crate::nest::expr::{ExprArena, Source};
use crate::nest::nests::{Nest, Output, SourceInfo};

/// A kernel and the sources that are its operands, in order.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub kernel: Kernel,
    pub operands: Vec<Source>,
}

/// Makes the kernel of a normalised nest. `shared` are pairs of a source that is read and one that is written which alias.
pub(crate) fn lower(
    nest: &Nest,
    exprs: &ExprArena,
    sources: &[SourceInfo],
    shared: &[(Source, Source)],
    machine: &Machine,
) -> Launch {
    let plan = Tiling::new(nest, exprs, shared.is_empty(), machine);
    let mut b = KernelBuilder::new(plan.chunks);
    let mut elements = Elements::new(exprs, &nest.roots(), sources.len(), nest.extents.len(), machine);
    let operands = operands(nest, exprs, sources, shared, machine, &mut b, &mut elements);
    let emitter = LoopEmitter { nest, exprs, machine, plan };
    emitter.chunks(&mut b, &mut elements);
    Launch { kernel: b.finish(), operands }
}

/// Declares the operands of a nest's kernel: what it reads, then what it writes.
pub(crate) fn operands(
    nest: &Nest,
    exprs: &ExprArena,
    sources: &[SourceInfo],
    shared: &[(Source, Source)],
    machine: &Machine,
    b: &mut KernelBuilder,
    elements: &mut Elements<'_>,
) -> Vec<Source> {
    let mut operands = vec![];
    let own = nest.reduce.as_ref().map(|r| r.source);
    let mut read: Vec<Source> = exprs.reads(nest.roots()).into_iter().map(|(s, _)| s).collect();
    read.retain(|&s| Some(s) != own && sources[s].ty.shape.elements() > 0);
    read.sort_unstable();
    read.dedup();
    let is_shared = |s: Source| shared.iter().any(|&(r, w)| r == s || w == s);
    for source in read {
        let mode = if is_shared(source) { AccessMode::ReadWrite } else { AccessMode::Read };
        let ty = &sources[source].ty;
        elements.buffers[source] = Some(b.operand(ty.dtype, ty.shape.elements(), mode));
        operands.push(source);
    }
    for output in &nest.outputs {
        let ty = &sources[output.source].ty;
        let mode = match ty.bytes() > machine.llc_bytes {
            _ if is_shared(output.source) => AccessMode::ReadWrite,
            true => AccessMode::Stream,
            false => AccessMode::Write,
        };
        elements.buffers[output.source] = Some(b.operand(ty.dtype, ty.shape.elements(), mode));
        operands.push(output.source);
    }
    operands
}

/// Stores an output at the current position, or vector of positions along an axis.
pub(crate) fn store(
    b: &mut KernelBuilder,
    elements: &mut Elements<'_>,
    output: &Output,
    along: Option<usize>,
    value: Val,
) {
    let lanes = elements.lanes();
    let value = b.splat(value, lanes);
    let buf = elements.buffers[output.source].expect("every output has a buffer");
    let stride = along.map_or(1, |axis| output.offset.coefficient(axis));
    let index = elements.first(b, &output.offset);
    let active = elements.active();
    b.store_access(Access { buf, index, offset: 0, stride, active }, value);
}

/// One of the points that are computed at the same time: on jammed axes, and the first of a vector.
#[derive(Clone, Debug, Default)]
struct TilePoint {
    axes: Vec<(usize, Val)>,
    lane: Option<(usize, Val, Option<Val>)>,
    /// Whether this chunk writes the results. Where the last step of an axis overlaps the one before, another chunk does.
    is_own: Option<Val>,
}

impl TilePoint {
    fn enter<T>(&self, elements: &mut Elements<'_>, lanes: u8, body: impl FnOnce(&mut Elements<'_>) -> T) -> T {
        let mut before = vec![];
        for &(axis, at) in &self.axes {
            before.push((axis, elements.axes[axis].replace(at)));
        }
        let result = match self.lane {
            Some((axis, first, active)) => elements.along(axis, first, lanes, active, body),
            None => elements.fresh(body),
        };
        for (axis, at) in before {
            elements.axes[axis] = at;
        }
        result
    }
}

struct LoopEmitter<'a> {
    nest: &'a Nest,
    exprs: &'a ExprArena,
    machine: &'a Machine,
    plan: Tiling,
}

impl LoopEmitter<'_> {
    fn chunks(&self, b: &mut KernelBuilder, elements: &mut Elements<'_>) {
        if self.nest.extents[..self.nest.parallel].contains(&0) {
            return;
        }
        let plan = &self.plan;
        let per = plan.per;
        if plan.prefix == 0 && matches!(plan.lane, VectorAxis::Parallel(0)) && self.nest.parallel == 1 {
            let n = self.nest.extents[0];
            return b.chunk_loop(|b, chunk| {
                let begin = b.mul_const(chunk, per as i64);
                let end = b.add_const(begin, per as i64);
                let (last, total) = (b.index(plan.chunks as i64 - 1), b.index(n as i64));
                let is_last = b.compare(Compare::Ge, chunk, last);
                let end = b.select(is_last, total, end);
                self.row(b, elements, 0, begin, end, vec![TilePoint::default()]);
            });
        }
        let rows = (0..plan.prefix).map(|axis| plan.steps(self.nest, axis)).fold(1, usize::saturating_mul);
        b.chunk_loop(|b, chunk| {
            let begin = b.mul_const(chunk, per as i64);
            let end = b.add_const(begin, per as i64);
            let total = b.index(rows as i64);
            let end = if rows.is_multiple_of(per) { end } else { b.binary(Binary::Min, end, total) };
            if plan.prefix == 0 {
                return self.outer(b, elements, 0, vec![TilePoint::default()]);
            }
            b.repeat(begin, end, 1, |b, row| self.prefix(b, elements, row, plan.prefix, vec![TilePoint::default()]));
        });
    }

    /// Sets the prefix axes from the number of a row, last axis first.
    fn prefix(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        row: Val,
        axis: usize,
        points: Vec<TilePoint>,
    ) {
        if axis == 0 {
            return self.outer(b, elements, self.plan.prefix, points);
        }
        let steps = self.plan.steps(self.nest, axis - 1) as i64;
        let (step, rest) = if axis == 1 { (row, row) } else { (b.modulo(row, steps), b.div_floor(row, steps)) };
        self.position(b, elements, axis - 1, step, points, |b, elements, points| {
            self.prefix(b, elements, rest, axis - 1, points);
        });
    }

    /// Sets the position of a step on an axis.
    fn position(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        axis: usize,
        step: Val,
        points: Vec<TilePoint>,
        body: impl FnOnce(&mut KernelBuilder, &mut Elements<'_>, Vec<TilePoint>),
    ) {
        let count = self.plan.jammed(axis);
        if count == 1 {
            return elements.at(axis, step, |elements| body(b, elements, points));
        }
        let n = self.nest.extents[axis];
        let steps = self.plan.steps(self.nest, axis);
        let mut first = b.mul_const(step, count as i64);
        if !n.is_multiple_of(count) {
            let last = b.index((n - count) as i64);
            first = b.binary(Binary::Min, first, last);
        }
        // The steps of these axes are divided among the chunks.
        let is_divided = axis < self.plan.prefix && self.plan.chunks > 1;
        let overlap = if is_divided { steps * count - n } else { 0 };
        let mut more = vec![];
        for point in &points {
            for i in 0..count {
                let mut point = point.clone();
                point.axes.push((axis, b.add_const(first, i as i64)));
                if i < overlap {
                    let last = b.index(steps as i64 - 1);
                    let is_own = b.compare(Compare::Lt, step, last);
                    point.is_own = Some(point.is_own.map_or(is_own, |other| b.and(other, is_own)));
                }
                more.push(point);
            }
        }
        body(b, elements, more);
    }

    /// Loops over the parallel axes from `axis` on.
    fn outer(&self, b: &mut KernelBuilder, elements: &mut Elements<'_>, axis: usize, points: Vec<TilePoint>) {
        if axis == self.nest.parallel {
            return self.element(b, elements, &points);
        }
        if self.plan.lane == VectorAxis::Parallel(axis) {
            let (begin, end) = (b.index(0), b.index(self.nest.extents[axis] as i64));
            return self.row(b, elements, axis, begin, end, points);
        }
        b.count(self.plan.steps(self.nest, axis), |b, step| {
            self.position(b, elements, axis, step, points, |b, elements, points| {
                self.outer(b, elements, axis + 1, points);
            });
        });
    }

    /// Loops over the lane axis, the last parallel one, from `begin` to `end`.
    fn row(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        axis: usize,
        begin: Val,
        end: Val,
        points: Vec<TilePoint>,
    ) {
        let (n, lanes) = (self.nest.extents[axis], self.plan.lanes as usize);
        let wide = lanes * self.plan.vectors;
        let even = n.is_multiple_of(wide);
        let last = b.index(n as i64 - lanes as i64);
        let vectors = |b: &mut KernelBuilder, first: Val, active: Option<Val>| -> Vec<TilePoint> {
            let mut more = vec![];
            for point in &points {
                for v in 0..self.plan.vectors {
                    let mut at = b.add_const(first, (v * lanes) as i64);
                    if !even && active.is_none() {
                        at = b.binary(Binary::Min, at, last);
                    }
                    more.push(TilePoint { lane: Some((axis, at, active)), ..point.clone() });
                }
            }
            more
        };
        if even || self.plan.overlap {
            return b.repeat(begin, end, wide as i64, |b, at| {
                let points = vectors(b, at, None);
                self.element(b, elements, &points);
            });
        }
        // A plan without overlap has more than one vector only if they divide the axis.
        let rest = b.index((n % lanes) as i64);
        let full = b.index((n - n % lanes) as i64);
        let main = b.binary(Binary::Min, end, full);
        b.repeat(begin, main, lanes as i64, |b, at| {
            let points = vectors(b, at, None);
            self.element(b, elements, &points);
        });
        let has_tail = b.compare(Compare::Gt, end, full);
        b.when(has_tail, |b| {
            let points = vectors(b, full, Some(rest));
            self.element(b, elements, &points);
        });
    }

    /// Emits the computation at some points, or vectors of points, of the parallel axes.
    fn element(&self, b: &mut KernelBuilder, elements: &mut Elements<'_>, points: &[TilePoint]) {
        match &self.nest.reduce {
            None => {
                // The remainder of a row is read lane by lane.
                let is_whole = points.iter().all(|point| matches!(point.lane, Some((_, _, None))));
                let reads = self.plan.transposed.as_ref().filter(|_| is_whole);
                let known = reads.map_or_else(Vec::new, |reads| self.transposed(b, elements, reads, points));
                for (i, point) in points.iter().enumerate() {
                    point.enter(elements, self.plan.lanes, |elements| {
                        known.iter().for_each(|(read, vectors)| elements.set(*read, vectors[i]));
                        self.own_outputs(b, elements, point);
                    });
                }
            }
            Some(_) => self.at_border(b, elements, points),
        }
    }

    /// Emits a reduction at some points.
    fn reduced(&self, b: &mut KernelBuilder, elements: &mut Elements<'_>, points: &[TilePoint]) {
        let reduce = self.nest.reduce.as_ref().expect("the caller has seen it");
        let sums = self.reduce(b, elements, reduce, points);
        let values = self.without_padding(b, elements, reduce, points, sums);
        for (point, value) in points.iter().zip(values) {
            point.enter(elements, self.plan.lanes, |elements| {
                elements.with(reduce.source, value, |elements| self.own_outputs(b, elements, point));
            });
        }
    }

    /// Writes the outputs at a point, unless another chunk does.
    fn own_outputs(&self, b: &mut KernelBuilder, elements: &mut Elements<'_>, point: &TilePoint) {
        match point.is_own {
            Some(is_own) => b.when(is_own, |b| self.outputs(b, elements)),
            None => self.outputs(b, elements),
        }
    }

    fn outputs(&self, b: &mut KernelBuilder, elements: &mut Elements<'_>) {
        // Evaluate all outputs before storing any: an output may alias an input (in-place update).
        let values: Vec<Val> = self.nest.outputs.iter().map(|o| elements.eval(b, o.expr)).collect();
        let along = match self.plan.lane {
            VectorAxis::Parallel(axis) => Some(axis),
            _ => None,
        };
        for (output, value) in self.nest.outputs.iter().zip(values) {
            if let Some(status) = output.check {
                let failed = b.unary(Unary::Not, value);
                let any = b.any(failed);
                let holds = b.unary(Unary::Not, any);
                b.check(holds, status);
            }
            store(b, elements, output, along, value);
        }
    }
}

/// The least work for two passes, in parts: the cost of a second launch is then small.
const TWO_PASSES: u64 = 4;
/// The least work of one part, in chunks: the traffic of its results is then small.
const PART: u64 = 2;
/// Shorter reductions are not divided: the parts would be too short for their lanes and chains.
const LONG: usize = 512;
/// Shorter axes are not divided, since the parts would be uneven.
const MIN_AXIS: usize = 8;

/// Whether a reduction of many elements to few results is worth two passes, and the number of parts that the first one makes
/// along the first reduction axis.
pub(crate) fn parts(nest: &Nest, machine: &Machine) -> Option<usize> {
    let reduce = nest.reduce.as_ref()?;
    if matches!(reduce.combine, Combine::ArgMin | Combine::ArgMax) {
        return None;
    }
    let parallel = volume(&nest.extents[..nest.parallel]);
    let reduced = volume(&nest.extents[nest.parallel..]);
    let first = *nest.extents.get(nest.parallel)?;
    let work = machine.costs.operations(parallel.saturating_mul(reduced));
    let part = PART * machine.costs.chunk;
    // with as many results as chunks, one pass keeps every thread busy
    if work < TWO_PASSES * part || parallel >= most_chunks(machine) || reduced < LONG || first < MIN_AXIS {
        return None;
    }
    // One per thread, and still few to combine.
    let target = ((work / part) as usize).clamp(2, machine.threads).min(first);
    // Even parts or none: a divisor of the axis near the target.
    let even = (target / 2..=target.min(first)).rev().find(|&p| p > 1 && first.is_multiple_of(p));
    even.or_else(|| (target..=2 * target).find(|&p| p < first && first.is_multiple_of(p)))
}
