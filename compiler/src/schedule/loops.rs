//! Loop nests of maps and reductions: one kernel a nest.

use dlc_ir::compute::Combine;
use dlc_ir::{DType, ScalarOp};

use super::compose::{Nest, NestReduce, Output, SourceInfo};
use super::element::{Elements, constant};
use super::form::{Form, Forms, Source, identity};
use super::linear::Linear;
use super::scalar;
use crate::kernel::{Access, Binary, Builder, Compare, Kernel, Mode, Val, lanes};

/// A kernel and the sources that are its operands, in order.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub kernel: Kernel,
    pub operands: Vec<Source>,
}

/// Which axis the lanes of vectors run along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// None: scalars.
    None,
    /// An axis of the result.
    Kept(usize),
    /// An axis of the reduction.
    Reduced(usize),
}

/// Element operations of a chunk, about ten microseconds of work.
const CHUNK_WORK: usize = 16_384;
/// The most chunks of a kernel.
const MAX_CHUNKS: usize = 256;
/// The largest reduction, in positions, that is written out rather than looped over.
const WRITTEN_OUT: usize = 9;

/// Makes the kernel of a normalised nest. `shared` are pairs of a source that is read and one that is written, which lie in the same memory.
pub(crate) fn lower(nest: &Nest, forms: &Forms, sources: &[SourceInfo], shared: &[(Source, Source)]) -> Launch {
    let plan = Plan::new(nest, forms, shared);
    let mut b = Builder::new(plan.chunks);
    let mut elements = Elements::new(forms, sources.len(), nest.extents.len());
    let mut operands = vec![];
    let own = nest.reduce.as_ref().map(|r| r.source);
    let mut read: Vec<Source> = forms.reads(nest.roots()).into_iter().map(|(s, _)| s).collect();
    read.retain(|s| Some(*s) != own);
    read.sort_unstable();
    read.dedup();
    read.retain(|&s| sources[s].ty.shape.elements() > 0);
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
    let emitter = Emitter { nest, forms, plan };
    emitter.chunks(&mut b, &mut elements);
    Launch { kernel: b.finish(), operands }
}

/// How a nest becomes loops.
#[derive(Clone, Debug)]
struct Plan {
    lane: Lane,
    lanes: u8,
    chunks: usize,
    /// Positions, or rows, of a chunk.
    per: usize,
    /// How many leading kept axes the chunks divide between them; 0 if they divide the one lane axis.
    prefix: usize,
    /// Whether the last vector of a row may overlap the one before it.
    overlap: bool,
}

impl Plan {
    fn new(nest: &Nest, forms: &Forms, shared: &[(Source, Source)]) -> Plan {
        let lane = choose_lane(nest, forms);
        let full = vector_lanes(nest, forms);
        let fit = |n: usize| full.min(1 << n.max(1).ilog2().min(4));
        let overlap = shared.is_empty();
        let lanes = match lane {
            Lane::None => 1,
            Lane::Kept(axis) if overlap => fit(nest.extents[axis]),
            Lane::Kept(axis) => fit(nest.extents[axis].next_power_of_two()),
            Lane::Reduced(axis) => fit(nest.extents[axis]),
        };
        let lane = if lanes == 1 { Lane::None } else { lane };
        let work = nest.extents.iter().product::<usize>().saturating_mul(weight(nest, forms));
        let wanted = (work / CHUNK_WORK).clamp(1, MAX_CHUNKS);
        if lane == Lane::Kept(0) && nest.kept == 1 {
            let n = nest.extents[0];
            let len = n.div_ceil(wanted).next_multiple_of(4 * lanes as usize);
            // All chunks but the last, which is up to twice as long, have this length.
            return Plan { lane, lanes, chunks: (n / len).max(1), per: len, prefix: 0, overlap };
        }
        let outer = nest.kept - usize::from(matches!(lane, Lane::Kept(_)));
        let mut prefix = 0;
        let mut rows = 1;
        while prefix < outer && rows < wanted {
            rows *= nest.extents[prefix];
            prefix += 1;
        }
        let per = rows.div_ceil(wanted.min(rows).max(1)).max(1);
        Plan { lane, lanes, chunks: rows.div_ceil(per).max(1), per, prefix, overlap }
    }
}

/// The number of lanes for the dtypes of a nest.
fn vector_lanes(nest: &Nest, forms: &Forms) -> u8 {
    let mut fewest = 16;
    forms.visit(nest.roots(), &mut |id, _| fewest = fewest.min(lanes(forms.dtype(id))));
    fewest
}

/// A rough number of operations an element.
fn weight(nest: &Nest, forms: &Forms) -> usize {
    let mut weight = 0;
    forms.visit(nest.roots(), &mut |_, form| {
        weight += match form {
            Form::Apply(f, ..) => match f {
                ScalarOp::Exp
                | ScalarOp::Log
                | ScalarOp::Tanh
                | ScalarOp::Sigmoid
                | ScalarOp::Erf
                | ScalarOp::Sin
                | ScalarOp::Cos
                | ScalarOp::Pow
                | ScalarOp::Expm1
                | ScalarOp::Log1p => 12,
                ScalarOp::Div | ScalarOp::Sqrt | ScalarOp::Rsqrt | ScalarOp::Rem => 4,
                _ => 1,
            },
            Form::Random { .. } => 100,
            Form::If { .. } => 2,
            Form::Read { .. } => 1,
            Form::Const(_) | Form::Position(..) => 0,
        }
    });
    weight.max(1)
}

/// The axis along which most reads are contiguous.
fn choose_lane(nest: &Nest, forms: &Forms) -> Lane {
    let last_kept = nest.kept.checked_sub(1);
    let Some(reduce) = &nest.reduce else {
        return last_kept.map_or(Lane::None, Lane::Kept);
    };
    let kept = last_kept.map_or(Lane::None, Lane::Kept);
    let is_arg = matches!(reduce.combine, Combine::ArgMin | Combine::ArgMax);
    let last = nest.extents.len() - 1;
    if last < nest.kept || is_arg {
        return kept;
    }
    let reads = forms.reads([reduce.body]);
    let score = |axis: usize| -> i64 {
        let n = nest.extents[axis];
        let per_read = |offset: &Linear| match offset.coefficient(axis) {
            _ if !offset.is_affine() => -1,
            1 => 4,
            0 => 1,
            _ => -4,
        };
        let walk: i64 = reads.iter().map(|(_, offset)| per_read(offset)).sum();
        walk * 4
            - if n < 4 {
                12
            } else if n < 16 {
                4
            } else {
                0
            }
    };
    // Lanes along the reduction cost a tree at its end.
    match last_kept {
        Some(axis) if score(axis) >= score(last) => Lane::Kept(axis),
        _ if nest.extents[last] >= 4 => Lane::Reduced(last),
        _ => kept,
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
        if plan.prefix == 0 && matches!(plan.lane, Lane::Kept(0)) && self.nest.kept == 1 {
            let n = self.nest.extents[0];
            let per = plan.per;
            return b.chunk_loop(|b, chunk| {
                let begin = b.mul_const(chunk, per as i64);
                let end = b.add_const(begin, per as i64);
                let (last, total) = (b.index(plan.chunks as i64 - 1), b.index(n as i64));
                let is_last = b.compare(Compare::Ge, chunk, last);
                let end = b.select(is_last, total, end);
                self.row(b, elements, 0, begin, end);
            });
        }
        let prefix: Vec<usize> = self.nest.extents[..plan.prefix].to_vec();
        let rows: usize = prefix.iter().product();
        let per = plan.per;
        b.chunk_loop(|b, chunk| {
            let begin = b.mul_const(chunk, per as i64);
            let end = b.add_const(begin, per as i64);
            let total = b.index(rows as i64);
            let end = if rows.is_multiple_of(per) { end } else { b.binary(Binary::Min, end, total) };
            if plan.prefix == 0 {
                return self.outer(b, elements, 0);
            }
            b.repeat(begin, end, 1, |b, row| self.prefix(b, elements, row, plan.prefix));
        });
    }

    /// Sets the axes of the prefix from the number of a row, last axis first.
    fn prefix(&self, b: &mut Builder, elements: &mut Elements<'_>, row: Val, axis: usize) {
        if axis == 0 {
            return self.outer(b, elements, self.plan.prefix);
        }
        let n = self.nest.extents[axis - 1] as i64;
        let (position, rest) = if axis == 1 { (row, row) } else { (b.modulo(row, n), b.div_floor(row, n)) };
        elements.at(axis - 1, position, |elements| self.prefix(b, elements, rest, axis - 1));
    }

    /// Loops over the kept axes from `axis` on.
    fn outer(&self, b: &mut Builder, elements: &mut Elements<'_>, axis: usize) {
        if axis == self.nest.kept {
            return self.element(b, elements);
        }
        let n = self.nest.extents[axis];
        if self.plan.lane == Lane::Kept(axis) {
            let (begin, end) = (b.index(0), b.index(n as i64));
            return self.row(b, elements, axis, begin, end);
        }
        b.count(n, |b, position| elements.at(axis, position, |elements| self.outer(b, elements, axis + 1)));
    }

    /// The lane axis, which is the last kept one, from `begin` to `end`.
    fn row(&self, b: &mut Builder, elements: &mut Elements<'_>, axis: usize, begin: Val, end: Val) {
        let (n, lanes) = (self.nest.extents[axis], self.plan.lanes);
        let step = i64::from(lanes);
        if n.is_multiple_of(lanes as usize) || self.plan.overlap {
            let last = b.index(n as i64 - step);
            return b.repeat(begin, end, step, |b, at| {
                let at = if n.is_multiple_of(lanes as usize) { at } else { b.binary(Binary::Min, at, last) };
                elements.along(axis, at, lanes, None, |elements| self.element(b, elements));
            });
        }
        let rest = b.index((n % lanes as usize) as i64);
        let full = b.index((n - n % lanes as usize) as i64);
        let main = b.binary(Binary::Min, end, full);
        b.repeat(begin, main, step, |b, at| {
            elements.along(axis, at, lanes, None, |elements| self.element(b, elements));
        });
        let has_tail = b.compare(Compare::Gt, end, full);
        b.when(has_tail, |b| {
            elements.along(axis, full, lanes, Some(rest), |elements| self.element(b, elements));
        });
    }

    /// Everything at one position, or one vector of positions, of the kept axes.
    fn element(&self, b: &mut Builder, elements: &mut Elements<'_>) {
        match &self.nest.reduce {
            None => self.outputs(b, elements),
            Some(reduce) => {
                let value = self.reduce(b, elements, reduce);
                elements.with(reduce.source, value, |elements| self.outputs(b, elements));
            }
        }
    }

    fn outputs(&self, b: &mut Builder, elements: &mut Elements<'_>) {
        // All values first: what is written may lie where another one reads.
        let values: Vec<Val> = self.nest.outputs.iter().map(|o| elements.eval(b, o.expr)).collect();
        for (output, value) in self.nest.outputs.iter().zip(values) {
            self.store(b, elements, output, value);
        }
    }

    fn store(&self, b: &mut Builder, elements: &mut Elements<'_>, output: &Output, value: Val) {
        let lanes = elements.lanes();
        let value = b.splat(value, lanes);
        let buf = elements.buffers[output.source].expect("every output has a buffer");
        let stride = match self.plan.lane {
            Lane::Kept(axis) => output.offset.coefficient(axis),
            _ => 1,
        };
        let index = elements.first(b, &output.offset);
        let active = elements.active();
        b.store_access(Access { buf, index, offset: 0, stride, active }, value);
    }

    fn reduce(&self, b: &mut Builder, elements: &mut Elements<'_>, reduce: &NestReduce) -> Val {
        let dtype = self.forms.dtype(reduce.body);
        let start = constant(dtype, identity(reduce.combine, dtype));
        let lanes = match self.plan.lane {
            Lane::Reduced(_) => self.plan.lanes,
            _ => elements.lanes(),
        };
        let mut carried = vec![b.constant(start, lanes)];
        let is_arg = matches!(reduce.combine, Combine::ArgMin | Combine::ArgMax);
        if is_arg {
            let none = b.index(-1);
            carried.push(b.splat(none, lanes));
        }
        let result = self.turns(b, elements, reduce, self.nest.kept, carried);
        if is_arg {
            let ty = b.ty(result[1]);
            let zero = b.int(ty, 0);
            return b.binary(Binary::Max, result[1], zero);
        }
        let mut value = result[0];
        if matches!(self.plan.lane, Lane::Reduced(_)) {
            value = b.reduce_lanes(value, |b, x, y| combine(b, reduce.combine, dtype, x, y));
        }
        scalar::wrap(b, dtype, value)
    }

    /// Loops over the axes of the reduction from `axis` on.
    fn turns(
        &self,
        b: &mut Builder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        axis: usize,
        carried: Vec<Val>,
    ) -> Vec<Val> {
        let Some(&n) = self.nest.extents.get(axis) else {
            return self.turn(b, elements, reduce, carried);
        };
        let zero = b.index(0);
        if self.plan.lane == Lane::Reduced(axis) {
            let lanes = self.plan.lanes;
            let rest = n % lanes as usize;
            let full = b.index((n - rest) as i64);
            let after = b.fold(zero, full, i64::from(lanes), &carried, |b, at, carried| {
                elements.along(axis, at, lanes, None, |elements| self.turn(b, elements, reduce, carried.to_vec()))
            });
            if rest == 0 {
                return after;
            }
            let active = b.index(rest as i64);
            return elements.along(axis, full, lanes, Some(active), |elements| self.turn(b, elements, reduce, after));
        }
        let inner: usize = self.nest.extents[axis..].iter().product();
        if inner <= WRITTEN_OUT {
            let mut carried = carried;
            for i in 0..n {
                let at = b.index(i as i64);
                carried = elements.at(axis, at, |elements| self.turns(b, elements, reduce, axis + 1, carried));
            }
            return carried;
        }
        let end = b.index(n as i64);
        b.fold(zero, end, 1, &carried, |b, at, carried| {
            elements.at(axis, at, |elements| self.turns(b, elements, reduce, axis + 1, carried.to_vec()))
        })
    }

    /// Combines what stands at one position, or one vector of positions.
    fn turn(&self, b: &mut Builder, elements: &mut Elements<'_>, reduce: &NestReduce, carried: Vec<Val>) -> Vec<Val> {
        let dtype = self.forms.dtype(reduce.body);
        let lanes = b.ty(carried[0]).lanes;
        let tests: Vec<_> = reduce.tests.iter().collect();
        let tests = elements.all(b, &tests);
        let inner = |b: &mut Builder, elements: &mut Elements<'_>, valid: Option<Val>| -> Vec<Val> {
            let is_sum = reduce.combine == Combine::Sum && dtype.is_float() && valid.is_none();
            if is_sum && let Form::Apply(ScalarOp::Mul, _, args) = self.forms.get(reduce.body) {
                let (x, y) = (elements.eval(b, args[0]), elements.eval(b, args[1]));
                let (x, y) = (b.splat(x, lanes), b.splat(y, lanes));
                return vec![b.fma(x, y, carried[0])];
            }
            let value = elements.eval(b, reduce.body);
            let value = b.splat(value, lanes);
            if let [best, position] = carried[..] {
                return self.better(b, elements, reduce, value, best, position, valid);
            }
            let value = match valid {
                Some(valid) => {
                    let neutral = b.constant(constant(dtype, identity(reduce.combine, dtype)), lanes);
                    b.select(valid, value, neutral)
                }
                None => value,
            };
            vec![combine(b, reduce.combine, dtype, carried[0], value)]
        };
        let active = match self.plan.lane {
            Lane::Reduced(_) => elements.active_mask(b),
            _ => None,
        };
        match tests {
            Some(cond) if b.ty(cond).lanes == 1 && b.known_bool(cond) != Some(true) => {
                let elements = std::cell::RefCell::new(elements);
                b.branch(
                    cond,
                    |b| elements.borrow_mut().inside(|elements| inner(b, elements, active)),
                    |_| carried.clone(),
                )
            }
            Some(mask) if b.ty(mask).lanes > 1 => {
                let valid = match active {
                    Some(active) => b.binary(Binary::And, mask, active),
                    None => mask,
                };
                elements.masked(b, valid, |b, elements| inner(b, elements, Some(valid)))
            }
            _ => inner(b, elements, active),
        }
    }

    /// The better of two candidates for the smallest or largest element, and its position.
    #[allow(clippy::too_many_arguments, reason = "two candidates of two parts each")]
    fn better(
        &self,
        b: &mut Builder,
        elements: &mut Elements<'_>,
        reduce: &NestReduce,
        value: Val,
        best: Val,
        position: Val,
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
