//! `scatter` and `scatter_argmax`: the result is initialised with a copy; then every chunk owns a part of it and applies all
//! updates that fall into that part, in ascending order of their index.

use dlc_ir::DType;
use dlc_ir::op::ScatterKind;

use super::loops::Launch;
use super::scalar;
use super::vectorize::Elements;
use crate::kernel::{Access, AccessMode, Binary, Compare, KernelBuilder, Val, lanes};
use crate::machine::Machine;
use crate::nest::expr::{ExprArena, ExprId, Source};
use crate::nest::nests::{ScatterNest, SourceInfo};

/// Makes the kernels.
pub(crate) fn lower(nest: &ScatterNest, exprs: &ExprArena, sources: &[SourceInfo], machine: &Machine) -> Launch {
    let outer = nest.batches * nest.middle;
    // Chunks divide the outer axes; a single one is divided by the elements after the indexed axis.
    let width = inner_lanes(nest);
    let work = machine.costs.scatter_update.saturating_mul((outer * nest.count * nest.inner) as u64);
    // Fewer chunks than other kernels have, since each scans all indices.
    let target = machine.costs.chunks(work).clamp(1, machine.threads);
    let blocks = if outer >= target || width == 1 { 1 } else { (nest.inner / width as usize).min(target) };
    let per_block = nest.inner.div_ceil(blocks).next_multiple_of(width as usize);
    let blocks = nest.inner.div_ceil(per_block.max(1)).max(1);
    let per_chunk = (outer * blocks).div_ceil(target.min(outer * blocks).max(1)).max(1);
    let units = outer * blocks;
    let mut b = KernelBuilder::new(units.div_ceil(per_chunk).max(1));
    let mut elements = Elements::new(exprs, &[nest.index, nest.update], sources.len(), 3, machine);
    let mut operands = vec![];
    let mut read: Vec<Source> = exprs.reads([nest.index, nest.update]).into_iter().map(|(s, _)| s).collect();
    read.sort_unstable();
    read.dedup();
    read.retain(|&s| sources[s].ty.shape.elements() > 0);
    for source in read {
        let ty = &sources[source].ty;
        elements.buffers[source] = Some(b.operand(ty.dtype, ty.shape.elements(), AccessMode::Read));
        operands.push(source);
    }
    let ty = &sources[nest.output].ty;
    elements.buffers[nest.output] = Some(b.operand(ty.dtype, ty.shape.elements(), AccessMode::ReadWrite));
    operands.push(nest.output);
    if let Some(best) = nest.best {
        let ty = &sources[best].ty;
        elements.buffers[best] = Some(b.operand(ty.dtype, ty.shape.elements(), AccessMode::ReadWrite));
        operands.push(best);
    }
    let emitter = ScatterEmitter { nest, width, per_block, blocks };
    b.chunk_loop(|b, chunk| {
        let begin = b.mul_const(chunk, per_chunk as i64);
        let end = b.add_const(begin, per_chunk as i64);
        let total = b.index(units as i64);
        let end = b.binary(Binary::Min, end, total);
        b.repeat(begin, end, 1, |b, unit| {
            let row = b.div_floor(unit, blocks as i64);
            let block = b.modulo(unit, blocks as i64);
            emitter.unit(b, &mut elements, row, block);
        });
    });
    Launch { kernel: b.finish(), operands }
}

/// Lanes of vectors along the elements after the indexed axis.
fn inner_lanes(nest: &ScatterNest) -> u8 {
    let numbers = if nest.best.is_some() { lanes(DType::I64) } else { 8 };
    let full = lanes(nest.dtype).min(numbers).min(8);
    if nest.inner.is_multiple_of(full as usize) && nest.inner > 0 { full } else { 1 }
}

struct ScatterEmitter<'a> {
    nest: &'a ScatterNest,
    width: u8,
    per_block: usize,
    blocks: usize,
}

impl ScatterEmitter<'_> {
    fn unit(&self, b: &mut KernelBuilder, elements: &mut Elements<'_>, row: Val, block: Val) {
        let nest = self.nest;
        let (axis, inner) = (nest.axis as i64, nest.inner as i64);
        let begin = b.mul_const(block, self.per_block as i64);
        let end = b.add_const(begin, self.per_block as i64);
        let limit = b.index(inner);
        let end = if self.blocks == 1 { limit } else { b.binary(Binary::Min, end, limit) };
        let base = b.mul_const(row, axis * inner);
        let batch = b.div_floor(row, nest.middle.max(1) as i64);
        b.count(nest.count, |b, i| {
            let at = self.target(b, elements, batch, i);
            let line = b.mul_const(at, inner);
            let line = b.add(base, line);
            self.along(b, elements, row, i, (begin, end), |this, b, elements, s| {
                let value = elements.eval(b, nest.update);
                let value = b.splat(value, this.width);
                let to = b.add(line, s);
                if let Some(best) = nest.best {
                    return this.better(b, elements, best, to, value, i);
                }
                let buf = elements.buffers[nest.output].expect("the result has a buffer");
                let value = match nest.kind {
                    ScatterKind::Set => value,
                    ScatterKind::Add => {
                        let old = b.load_lanes(buf, to, this.width);
                        let sum = b.add(old, value);
                        scalar::wrap(b, nest.dtype, sum)
                    }
                    ScatterKind::Max => {
                        let old = b.load_lanes(buf, to, this.width);
                        b.binary(Binary::Max, old, value)
                    }
                };
                this.put(b, elements, nest.output, to, value);
            });
        });
    }

    /// Keeps the larger of the current element and an update, and its number.
    fn better(&self, b: &mut KernelBuilder, elements: &Elements<'_>, best: Source, at: Val, value: Val, number: Val) {
        let buffer = |source: Source| elements.buffers[source].expect("both results have a buffer");
        let (old, holder) =
            (b.load_lanes(buffer(best), at, self.width), b.load_lanes(buffer(self.nest.output), at, self.width));
        let beaten = scalar::beats(b, Compare::Gt, value, old);
        let number = b.splat(number, self.width);
        let (value, number) = (b.select(beaten, value, old), b.select(beaten, number, holder));
        self.put(b, elements, best, at, value);
        self.put(b, elements, self.nest.output, at, number);
    }

    /// The target of an update, clamped to the axis.
    fn target(&self, b: &mut KernelBuilder, elements: &mut Elements<'_>, batch: Val, i: Val) -> Val {
        let index: ExprId = self.nest.index;
        elements.at(0, batch, |elements| {
            elements.at(1, i, |elements| {
                let x = elements.eval(b, index);
                let (zero, last) = (b.index(0), b.index((self.nest.axis as i64 - 1).max(0)));
                let x = b.binary(Binary::Max, x, zero);
                b.binary(Binary::Min, x, last)
            })
        })
    }

    /// Loops over the elements after the indexed axis, vectorised.
    fn along(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        row: Val,
        middle: Val,
        (begin, end): (Val, Val),
        body: impl Fn(&Self, &mut KernelBuilder, &mut Elements<'_>, Val),
    ) {
        elements.at(0, row, |elements| {
            elements.at(1, middle, |elements| {
                b.repeat(begin, end, i64::from(self.width), |b, s| {
                    elements.along(2, s, self.width, None, |elements| body(self, b, elements, s));
                });
            });
        });
    }

    fn put(&self, b: &mut KernelBuilder, elements: &Elements<'_>, output: Source, index: Val, value: Val) {
        let value = b.splat(value, self.width);
        let buf = elements.buffers[output].expect("the result has a buffer");
        b.store_access(Access { buf, index, offset: 0, stride: 1, active: None }, value);
    }
}
