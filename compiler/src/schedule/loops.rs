//! Loop nests of maps and reductions: one kernel a nest.

use dlc_ir::compute::Combine;
use dlc_ir::{DType, ScalarOp};

use super::compose::{Nest, NestReduce, Output, SourceInfo};
use super::element::{Elements, constant};
use super::form::{Form, Forms, Source, identity};
use super::scalar;
use super::tiling::{CHUNK_WORK, Lane, Plan};
use crate::kernel::{Access, Binary, Builder, Compare, Kernel, Mode, Val};

/// A kernel and the sources that are its operands, in order.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub kernel: Kernel,
    pub operands: Vec<Source>,
}

/// The largest reduction, in positions, that is written out rather than looped over.
const WRITTEN_OUT: usize = 9;

/// The most registers that the unrolled turns of an innermost loop of a register tile fill.
const UNROLLED: usize = 50;

/// The shortest sum that is made of several chains of additions. The error of a sum grows with the longest chain, and one of ten
/// thousand loses digits that the derivatives of normalisations need; additions between so long chains cost nothing.
const CHAIN: usize = 64;

/// Makes the kernel of a normalised nest. `shared` are pairs of a source that is read and one that is written, which lie in
/// the same memory.
pub(crate) fn lower(nest: &Nest, forms: &Forms, sources: &[SourceInfo], shared: &[(Source, Source)]) -> Launch {
    let plan = Plan::new(nest, forms, shared.is_empty());
    let mut b = Builder::new(plan.chunks);
    let mut elements = Elements::new(forms, sources.len(), nest.extents.len());
    let operands = operands(nest, forms, sources, shared, &mut b, &mut elements);
    let emitter = Emitter { nest, forms, plan };
    emitter.chunks(&mut b, &mut elements);
    Launch { kernel: b.finish(), operands }
}

/// Declares the operands of a nest's kernel: what it reads, then what it writes.
pub(crate) fn operands(
    nest: &Nest,
    forms: &Forms,
    sources: &[SourceInfo],
    shared: &[(Source, Source)],
    b: &mut Builder,
    elements: &mut Elements<'_>,
) -> Vec<Source> {
    let mut operands = vec![];
    let own = nest.reduce.as_ref().map(|r| r.source);
    let mut read: Vec<Source> = forms.reads(nest.roots()).into_iter().map(|(s, _)| s).collect();
    read.retain(|&s| Some(s) != own && sources[s].ty.shape.elements() > 0);
    read.sort_unstable();
    read.dedup();
    let is_shared = |s: Source| shared.iter().any(|&(r, w)| r == s || w == s);
    for source in read {
        let mode = if is_shared(source) { Mode::ReadWrite } else { Mode::Read };
        let ty = &sources[source].ty;
        elements.buffers[source] = Some(b.operand(ty.dtype, ty.shape.elements(), mode));
        operands.push(source);
    }
    for output in &nest.outputs {
        let mode = if is_shared(output.source) { Mode::ReadWrite } else { Mode::Write };
        let ty = &sources[output.source].ty;
        elements.buffers[output.source] = Some(b.operand(ty.dtype, ty.shape.elements(), mode));
        operands.push(output.source);
    }
    operands
}

/// Writes an output at the current position, or vector of positions along an axis.
pub(crate) fn store(b: &mut Builder, elements: &mut Elements<'_>, output: &Output, along: Option<usize>, value: Val) {
    let lanes = elements.lanes();
    let value = b.splat(value, lanes);
    let buf = elements.buffers[output.source].expect("every output has a buffer");
    let stride = along.map_or(1, |axis| output.offset.coefficient(axis));
    let index = elements.first(b, &output.offset);
    let active = elements.active();
    b.store_access(Access { buf, index, offset: 0, stride, active }, value);
}

/// One of the positions that are computed at the same time: on jammed axes, and the first of a vector.
#[derive(Clone, Debug, Default)]
struct Point {
    axes: Vec<(usize, Val)>,
    lane: Option<(usize, Val, Option<Val>)>,
}

impl Point {
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

struct Emitter<'a> {
    nest: &'a Nest,
    forms: &'a Forms,
    plan: Plan,
}

impl Emitter<'_> {
    fn chunks(&self, b: &mut Builder, elements: &mut Elements<'_>) {
        if self.nest.extents[..self.nest.kept].contains(&0) {
            return;
        }
        let plan = &self.plan;
        let per = plan.per;
        if plan.prefix == 0 && matches!(plan.lane, Lane::Kept(0)) && self.nest.kept == 1 {
            let n = self.nest.extents[0];
            return b.chunk_loop(|b, chunk| {
                let begin = b.mul_const(chunk, per as i64);
                let end = b.add_const(begin, per as i64);
                let (last, total) = (b.index(plan.chunks as i64 - 1), b.index(n as i64));
                let is_last = b.compare(Compare::Ge, chunk, last);
                let end = b.select(is_last, total, end);
                self.row(b, elements, 0, begin, end, vec![Point::default()]);
            });
        }
        let rows: usize = (0..plan.prefix).map(|axis| plan.steps(self.nest, axis)).product();
        b.chunk_loop(|b, chunk| {
            let begin = b.mul_const(chunk, per as i64);
            let end = b.add_const(begin, per as i64);
            let total = b.index(rows as i64);
            let end = if rows.is_multiple_of(per) { end } else { b.binary(Binary::Min, end, total) };
            if plan.prefix == 0 {
                return self.outer(b, elements, 0, vec![Point::default()]);
            }
            b.repeat(begin, end, 1, |b, row| self.prefix(b, elements, row, plan.prefix, vec![Point::default()]));
        });
    }

    /// Sets the axes of the prefix from the number of a row, last axis first.
    fn prefix(&self, b: &mut Builder, elements: &mut Elements<'_>, row: Val, axis: usize, points: Vec<Point>) {
        if axis == 0 {
            return self.outer(b, elements, self.plan.prefix, points);
        }
        let steps = self.plan.steps(self.nest, axis - 1) as i64;
        let (step, rest) = if axis == 1 { (row, row) } else { (b.modulo(row, steps), b.div_floor(row, steps)) };
        self.position(b, elements, axis - 1, step, points, |b, elements, points| {
            self.prefix(b, elements, rest, axis - 1, points);
        });
    }

    /// Puts an axis at the positions of a step.
    fn position(
        &self,
        b: &mut Builder,
        elements: &mut Elements<'_>,
        axis: usize,
        step: Val,
        points: Vec<Point>,
        body: impl FnOnce(&mut Builder, &mut Elements<'_>, Vec<Point>),
    ) {
        let count = self.plan.jammed(axis);
        if count == 1 {
            return elements.at(axis, step, |elements| body(b, elements, points));
        }
        let n = self.nest.extents[axis];
        let mut first = b.mul_const(step, count as i64);
        if !n.is_multiple_of(count) {
            let last = b.index((n - count) as i64);
            first = b.binary(Binary::Min, first, last);
        }
        let mut more = vec![];
        for point in &points {
            for i in 0..count {
                let mut point = point.clone();
                point.axes.push((axis, b.add_const(first, i as i64)));
                more.push(point);
            }
        }
        body(b, elements, more);
    }

    /// Loops over the kept axes from `axis` on.
    fn outer(&self, b: &mut Builder, elements: &mut Elements<'_>, axis: usize, points: Vec<Point>) {
        if axis == self.nest.kept {
            return self.element(b, elements, &points);
        }
        if self.plan.lane == Lane::Kept(axis) {
            let (begin, end) = (b.index(0), b.index(self.nest.extents[axis] as i64));
            return self.row(b, elements, axis, begin, end, points);
        }
        b.count(self.plan.steps(self.nest, axis), |b, step| {
            self.position(b, elements, axis, step, points, |b, elements, points| {
                self.outer(b, elements, axis + 1, points);
            });
        });
    }

    /// The lane axis, which is the last kept one, from `begin` to `end`.
    fn row(&self, b: &mut Builder, elements: &mut Elements<'_>, axis: usize, begin: Val, end: Val, points: Vec<Point>) {
        let (n, lanes) = (self.nest.extents[axis], self.plan.lanes as usize);
        let wide = lanes * self.plan.vectors;
        let even = n.is_multiple_of(wide);
        let last = b.index(n as i64 - lanes as i64);
        let vectors = |b: &mut Builder, first: Val, active: Option<Val>| -> Vec<Point> {
            let mut more = vec![];
            for point in &points {
                for v in 0..self.plan.vectors {
                    let mut at = b.add_const(first, (v * lanes) as i64);
                    if !even && active.is_none() {
                        at = b.binary(Binary::Min, at, last);
                    }
                    more.push(Point { lane: Some((axis, at, active)), ..point.clone() });
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
        // A plan without overlap has more than one vector only where they divide the axis.
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

    /// Everything at some positions, or vectors of positions, of the kept axes.
    fn element(&self, b: &mut Builder, elements: &mut Elements<'_>, points: &[Point]) {
        match &self.nest.reduce {
            None => {
                for point in points {
                    point.enter(elements, self.plan.lanes, |elements| self.outputs(b, elements));
                }
            }
            Some(reduce) => {
                let values = self.reduce(b, elements, reduce, points);
                for (point, value) in points.iter().zip(values) {
                    point.enter(elements, self.plan.lanes, |elements| {
                        elements.with(reduce.source, value, |elements| self.outputs(b, elements));
                    });
                }
            }
        }
    }

    fn outputs(&self, b: &mut Builder, elements: &mut Elements<'_>) {
        // All values first: what is written may lie where another one reads.
        let values: Vec<Val> = self.nest.outputs.iter().map(|o| elements.eval(b, o.expr)).collect();
        let along = match self.plan.lane {
            Lane::Kept(axis) => Some(axis),
            _ => None,
        };
        for (output, value) in self.nest.outputs.iter().zip(values) {
            store(b, elements, output, along, value);
        }
    }

    /// The results of the reduction at some positions.
    fn reduce(&self, b: &mut Builder, elements: &mut Elements<'_>, reduce: &NestReduce, points: &[Point]) -> Vec<Val> {
        let dtype = self.forms.dtype(reduce.body);
        let start = constant(dtype, identity(reduce.combine, dtype));
        let lanes = self.plan.lanes;
        let is_arg = matches!(reduce.combine, Combine::ArgMin | Combine::ArgMax);
        let mut carried = vec![];
        for _ in points {
            carried.push(b.constant(start, lanes));
            if is_arg {
                let none = b.index(-1);
                carried.push(b.splat(none, lanes));
            }
        }
        let result = self.turns(b, elements, reduce, self.nest.kept, carried, points);
        if is_arg {
            let mut positions = vec![];
            for pair in result.chunks(2) {
                let ty = b.ty(pair[1]);
                let zero = b.int(ty, 0);
                positions.push(b.binary(Binary::Max, pair[1], zero));
            }
            return positions;
        }
        let mut values = vec![];
        for mut value in result {
            if matches!(self.plan.lane, Lane::Reduced(_)) {
                value = b.reduce_lanes(value, |b, x, y| combine(b, reduce.combine, dtype, x, y));
            }
            values.push(scalar::wrap(b, dtype, value));
        }
        values
    }

    /// Loops over the axes of the reduction from `axis` on.
    fn turns(
        &self,
        b: &mut Builder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        axis: usize,
        carried: Vec<Val>,
        points: &[Point],
    ) -> Vec<Val> {
        let Some(&n) = self.nest.extents.get(axis) else {
            return self.point_turns(b, elements, reduce, &carried, points);
        };
        if self.plan.lane == Lane::Reduced(axis) {
            let lanes = self.plan.lanes;
            let rest = n % lanes as usize;
            let full = b.index((n - rest) as i64);
            let after = self.chains(b, reduce, (full, lanes), 1, &carried, |b, at, carried| {
                elements.along(axis, at, lanes, None, |elements| self.point_turns(b, elements, reduce, carried, points))
            });
            if rest == 0 {
                return after;
            }
            let active = b.index(rest as i64);
            return elements.along(axis, full, lanes, Some(active), |elements| {
                self.point_turns(b, elements, reduce, &after, points)
            });
        }
        let inner: usize = self.nest.extents[axis..].iter().product();
        if inner <= WRITTEN_OUT && points.len() == 1 {
            let mut carried = carried;
            for i in 0..n {
                let at = b.index(i as i64);
                carried = elements.at(axis, at, |elements| self.turns(b, elements, reduce, axis + 1, carried, points));
            }
            return carried;
        }
        let end = b.index(n as i64);
        if axis + 1 == self.nest.extents.len() && points.len() > 1 {
            let registers =
                points.len() * (usize::from(self.plan.lanes) * self.forms.dtype(reduce.body).size()).div_ceil(16);
            let fits = |u: &usize| n.is_multiple_of(*u) && u * registers <= UNROLLED;
            let turns = (1..=8.min(n)).rev().find(fits).unwrap_or(1);
            return self.chains(b, reduce, (end, turns as u8), turns, &carried, |b, first, carried| {
                b.unrolled(turns, carried, |b, turn, carried| {
                    let at = b.add(first, turn);
                    elements.at(axis, at, |elements| self.point_turns(b, elements, reduce, carried, points))
                })
            });
        }
        self.chains(b, reduce, (end, 1), self.chain(axis + 1), &carried, |b, at, carried| {
            elements.at(axis, at, |elements| self.turns(b, elements, reduce, axis + 1, carried.to_vec(), points))
        })
    }

    /// The turns of the loops over the axes of the reduction from `axis` on.
    fn chain(&self, axis: usize) -> usize {
        let turns = |a: usize| match self.plan.lane == Lane::Reduced(a) {
            true => self.nest.extents[a].div_ceil(self.plan.lanes as usize),
            false => self.nest.extents[a],
        };
        (axis..self.nest.extents.len()).map(turns).product()
    }

    /// A loop over one axis of the reduction, of which each turn combines `inner` values one after another. A long sum of floats
    /// is made of chains that start at zero, about as many as each is long.
    fn chains(
        &self,
        b: &mut Builder,
        reduce: &NestReduce,
        (end, step): (Val, u8),
        inner: usize,
        carried: &[Val],
        body: impl FnOnce(&mut Builder, Val, &[Val]) -> Vec<Val>,
    ) -> Vec<Val> {
        let (zero, step) = (b.index(0), i64::from(step));
        let turns = b.known_index(end).expect("axes have a known size") / step;
        let total = (turns as usize).saturating_mul(inner);
        let is_rounded = reduce.combine == Combine::Sum && self.forms.dtype(reduce.body).is_float();
        if !is_rounded || total < 2 * CHAIN {
            return b.fold(zero, end, step, carried, body);
        }
        let long = (CHAIN.max(total.isqrt()) / inner.max(1)).max(1) as i64 * step;
        b.fold(zero, end, long, carried, |b, first, carried| {
            let last = b.add_const(first, long);
            let last = b.binary(Binary::Min, last, end);
            let start: Vec<Val> = carried
                .iter()
                .map(|&sum| {
                    let ty = b.ty(sum);
                    b.float(ty, 0.0)
                })
                .collect();
            let sums = b.fold(first, last, step, &start, body);
            carried.iter().zip(sums).map(|(&so_far, sum)| b.add(so_far, sum)).collect()
        })
    }

    /// One turn of the reduction for all positions.
    fn point_turns(
        &self,
        b: &mut Builder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        carried: &[Val],
        points: &[Point],
    ) -> Vec<Val> {
        let each = carried.len() / points.len();
        let mut next = vec![];
        for (point, carried) in points.iter().zip(carried.chunks(each)) {
            next.extend(point.enter(elements, self.plan.lanes, |elements| self.turn(b, elements, reduce, carried)));
        }
        next
    }

    /// Combines what stands at one position, or one vector of positions.
    fn turn(&self, b: &mut Builder, elements: &mut Elements<'_>, reduce: &NestReduce, carried: &[Val]) -> Vec<Val> {
        let tests: Vec<_> = reduce.tests.iter().collect();
        let tests = elements.all(b, &tests);
        let active = match self.plan.lane {
            Lane::Reduced(_) => elements.active_mask(b),
            _ => None,
        };
        match tests {
            Some(cond) if b.ty(cond).lanes == 1 && b.known_bool(cond) != Some(true) => {
                let elements = std::cell::RefCell::new(elements);
                b.branch(
                    cond,
                    |b| elements.borrow_mut().inside(|elements| self.inner(b, elements, reduce, carried, active)),
                    |_| carried.to_vec(),
                )
            }
            Some(mask) if b.ty(mask).lanes > 1 => {
                let valid = match active {
                    Some(active) => b.binary(Binary::And, mask, active),
                    None => mask,
                };
                elements.masked(b, valid, |b, elements| self.inner(b, elements, reduce, carried, Some(valid)))
            }
            _ => self.inner(b, elements, reduce, carried, active),
        }
    }

    /// The same where the conditions are known to hold, or to hold in the `valid` lanes.
    fn inner(
        &self,
        b: &mut Builder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        carried: &[Val],
        valid: Option<Val>,
    ) -> Vec<Val> {
        let dtype = self.forms.dtype(reduce.body);
        let lanes = b.ty(carried[0]).lanes;
        if reduce.combine == Combine::Sum
            && dtype.is_float()
            && let Form::Apply(ScalarOp::Mul, _, args) = self.forms.get(reduce.body)
        {
            // Lanes that do not count are read as zeros; if that holds for both factors, so is their product.
            let zeros = args.iter().all(|&x| matches!(self.forms.get(x), Form::Read { .. }) && elements.is_moving(x));
            if valid.is_none() || (zeros && reduce.tests.is_empty()) {
                let (x, y) = (elements.eval(b, args[0]), elements.eval(b, args[1]));
                // What is repeated in all lanes stands first: no other instruction needs it, and its register can be
                // overwritten.
                let (x, y) = if b.ty(x).lanes == lanes { (y, x) } else { (x, y) };
                let (x, y) = (b.splat(x, lanes), b.splat(y, lanes));
                return vec![b.fma(x, y, carried[0])];
            }
        }
        let value = elements.eval(b, reduce.body);
        let value = b.splat(value, lanes);
        if let [best, position] = *carried {
            return self.better(b, elements, reduce, value, (best, position), valid);
        }
        let value = match valid {
            Some(valid) => {
                let neutral = b.constant(constant(dtype, identity(reduce.combine, dtype)), lanes);
                b.select(valid, value, neutral)
            }
            None => value,
        };
        vec![combine(b, reduce.combine, dtype, carried[0], value)]
    }

    /// The better of two candidates for the smallest or largest element, and its position.
    fn better(
        &self,
        b: &mut Builder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        value: Val,
        (best, position): (Val, Val),
        valid: Option<Val>,
    ) -> Vec<Val> {
        let op = if reduce.combine == Combine::ArgMin { Compare::Lt } else { Compare::Gt };
        let lanes = b.ty(best).lanes;
        let index_ty = b.ty(position);
        let zero = b.int(index_ty, 0);
        let first = b.compare(Compare::Lt, position, zero);
        let beats = b.compare(op, value, best);
        let mut better = b.binary(Binary::Or, first, beats);
        if b.ty(value).elem.is_float() {
            let nan = b.compare(Compare::Ne, value, value);
            let sane = b.compare(Compare::Eq, best, best);
            let first_nan = b.binary(Binary::And, nan, sane);
            better = b.binary(Binary::Or, better, first_nan);
        }
        if let Some(valid) = valid {
            better = b.binary(Binary::And, better, valid);
        }
        let index = reduce.position.as_ref().expect("argmin and argmax say what they return");
        let here = elements.index(b, index);
        let here = b.splat(here, lanes);
        vec![b.select(better, value, best), b.select(better, here, position)]
    }
}

/// Combines two partial results.
fn combine(b: &mut Builder, combine: Combine, dtype: DType, x: Val, y: Val) -> Val {
    match combine {
        Combine::Sum => b.add(x, y),
        Combine::Product => b.mul(x, y),
        Combine::Min if dtype == DType::Bool => b.binary(Binary::And, x, y),
        Combine::Max if dtype == DType::Bool => b.binary(Binary::Or, x, y),
        Combine::Min | Combine::ArgMin => b.binary(Binary::Min, x, y),
        Combine::Max | Combine::ArgMax => b.binary(Binary::Max, x, y),
    }
}

/// Whether a reduction takes so many elements to so few that it is worth two passes, and how many parts the first one makes
/// along the first axis of the reduction.
pub(crate) fn parts(nest: &Nest) -> Option<usize> {
    let reduce = nest.reduce.as_ref()?;
    if matches!(reduce.combine, Combine::ArgMin | Combine::ArgMax) {
        return None;
    }
    let kept: usize = nest.extents[..nest.kept].iter().product();
    let reduced: usize = nest.extents[nest.kept..].iter().product();
    let first = *nest.extents.get(nest.kept)?;
    let work = kept.saturating_mul(reduced);
    if work < 8 * CHUNK_WORK || kept >= 256 || reduced < 512 || first < 8 {
        return None;
    }
    let wanted = (work / (2 * CHUNK_WORK)).clamp(2, 64).min(first);
    // An even split, or none: a divisor of the axis near the wanted number.
    let even = (wanted / 2..=wanted.min(first)).rev().find(|&p| p > 1 && first.is_multiple_of(p));
    even.or_else(|| (wanted..=2 * wanted).find(|&p| p < first && first.is_multiple_of(p)))
}
