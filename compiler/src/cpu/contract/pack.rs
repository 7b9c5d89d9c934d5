//! Packs operands into panels: `[panel][k][pitch][copies]`. What is packed for rows that do not exist is not used.

use dlc_ir::DType;

use super::blocking::COLUMNS_UNIT;
use super::{Contiguous, OperandElement, PackedOperand, round_down};
use crate::kernel::build::KernelBuilder;
use crate::kernel::ir::{Binary, Buf, Compare, Elem, Ty, Val};

/// The part of an operand that is packed: a range of k of one of the products.
pub(super) struct Packing {
    pub dtype: DType,
    /// Elements in a vector register.
    pub lanes: usize,
    /// The depth of a block, hence the stride of panels.
    pub depth: usize,
    pub batch: Val,
    pub start: Val,
    pub length: Val,
    /// The length of the whole sum.
    pub total: usize,
}

/// The destination.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    pub buf: Buf,
    /// Rows of a panel.
    pub tile: usize,
    /// Rows that are stored for each k, of which those beyond the tile are not used: so many that whole vectors are packed.
    pub pitch: usize,
    /// Rows that the whole operand has, and how many of them are contiguous in it, if they are at all.
    pub size: usize,
    pub run: usize,
    /// The replication of each element.
    pub copies: usize,
}

impl Packing {
    /// Packs `height` rows from `row` on, panel by panel.
    pub fn block(&self, b: &mut KernelBuilder, to: Panels, row: Val, height: Val, side: &mut PackedOperand<'_>) {
        let zero = b.index(0);
        // Contiguous neighbouring panels are packed together: their parts of a cache line are loaded at once.
        let strip = side.contiguous == Contiguous::Row && to.tile < COLUMNS_UNIT && to.run.is_multiple_of(COLUMNS_UNIT);
        let step = if strip { COLUMNS_UNIT } else { to.tile };
        b.repeat(zero, height, step as i64, |b, first| {
            let panel = b.mul_const(first, self.depth as i64);
            let begin = b.add(row, first);
            if strip {
                self.by_rows(b, to, (panel, 1), (begin, None), step, side);
            } else {
                let left = b.sub(height, first);
                self.panels(b, to, (panel, 1), (begin, left), side);
            }
        });
    }

    /// Packs `count` panels, of which several have contiguous rows, into position `panel`: the rows from `begin` on, of which `left` exist.
    pub fn panels(
        &self,
        b: &mut KernelBuilder,
        to: Panels,
        (panel, count): (Val, usize),
        (begin, left): (Val, Val),
        side: &mut PackedOperand<'_>,
    ) {
        // The last panel is read as wide as it is stored.
        let whole = b.index(((count - 1) * to.tile + to.pitch) as i64);
        if side.contiguous == Contiguous::None {
            let rows = b.binary(Binary::Min, left, whole);
            self.rows(b, to, panel, begin, rows, side);
        } else if count == 1 && to.pitch == to.tile && to.size.is_multiple_of(to.tile) {
            // Not of several: the last ones may be behind a block, hence behind the operand.
            self.whole(b, to, (panel, count), begin, None, side);
        } else {
            let full = b.compare(Compare::Ge, left, whole);
            b.when(full, |b| self.whole(b, to, (panel, count), begin, None, side));
            let partial = b.compare(Compare::Lt, left, whole);
            b.when(partial, |b| self.whole(b, to, (panel, count), begin, Some(left), side));
        }
    }

    /// Stores a vector of elements, or replicates one.
    fn put(&self, b: &mut KernelBuilder, to: Panels, offset: Val, value: Val) {
        let offset = b.mul_const(offset, to.copies as i64);
        let value = if to.copies > 1 { b.splat(value, to.copies as u8) } else { value };
        b.store(to.buf, offset, value);
    }

    /// All rows of panels, of which only some may exist: what is packed for the others is a number or another, since their results
    /// are not used.
    fn whole(
        &self,
        b: &mut KernelBuilder,
        to: Panels,
        (panel, count): (Val, usize),
        begin: Val,
        left: Option<Val>,
        side: &mut PackedOperand<'_>,
    ) {
        if side.contiguous == Contiguous::Row {
            return self.by_rows(b, to, (panel, count), (begin, left), to.pitch, side);
        }
        let last = b.index(to.size as i64 - 1);
        // Squares with as many rows and columns as a register has lanes, or as the panel has; the remainder of k one by one.
        let lanes = self.lanes.min(to.pitch * to.copies);
        let zero = b.index(0);
        let whole = round_down(b, self.length, lanes);
        let group = if to.copies > 1 { 1 } else { lanes };
        debug_assert!(to.pitch.is_multiple_of(group), "panels are whole vectors wide");
        let end = b.index(to.pitch as i64);
        b.repeat(zero, end, group as i64, |b, r| {
            let first = b.add(begin, r);
            let base = b.add(panel, r);
            b.repeat(zero, whole, lanes as i64, |b, k| {
                let at = b.add(self.start, k);
                let lines: Vec<Val> = (0..group)
                    .map(|i| {
                        let mut row = b.add_const(first, i as i64);
                        if left.is_some() {
                            row = b.binary(Binary::Min, row, last);
                        }
                        (side.load)(b, OperandElement { batch: self.batch, row, k: at }, lanes as u8, None)
                    })
                    .collect();
                let offset = b.mul_const(k, to.pitch as i64);
                let offset = b.add(base, offset);
                let columns = match lines[..] {
                    [line] => (0..lanes).map(|lane| b.lane(line, lane as u8)).collect(),
                    _ => b.transpose(lines),
                };
                for (i, column) in columns.into_iter().enumerate() {
                    let offset = b.add_const(offset, (i * to.pitch) as i64);
                    self.put(b, to, offset, column);
                }
            });
        });
        if !self.depth.is_multiple_of(lanes) || !self.total.is_multiple_of(lanes) {
            let count = left.unwrap_or(end);
            self.elements(b, to, panel, begin, (count, whole), side);
        }
    }

    /// Vectors of `width` rows of each of `count` panels, one k after the other: each cache line is loaded once, though it has rows of
    /// several panels. The rows of one may also span those behind it.
    fn by_rows(
        &self,
        b: &mut KernelBuilder,
        to: Panels,
        (panel, count): (Val, usize),
        (begin, left): (Val, Option<Val>),
        width: usize,
        side: &mut PackedOperand<'_>,
    ) {
        let zero = b.index(0);
        let reach = (count - 1) * to.tile + width;
        let actives: Vec<Option<Val>> =
            (0..reach).map(|done| left.map(|left| b.add_const(left, -(done as i64)))).collect();
        b.repeat(zero, self.length, 1, |b, k| {
            let line = b.mul_const(k, to.pitch as i64);
            let line = b.add(panel, line);
            let at = b.add(self.start, k);
            for nth in 0..count {
                let line = b.add_const(line, (nth * to.pitch * self.depth) as i64);
                let first = nth * to.tile;
                let mut done = 0;
                while done < width {
                    let lanes = 1 << (width - done).ilog2().min(4);
                    let row = b.add_const(begin, (first + done) as i64);
                    let element = OperandElement { batch: self.batch, row, k: at };
                    let vector = (side.load)(b, element, lanes as u8, actives[first + done]);
                    for part in stored_parts(b, to, vector) {
                        let (behind, within) = (done / to.pitch, done % to.pitch);
                        let offset = b.add_const(line, (behind * to.pitch * self.depth + within) as i64);
                        self.put(b, to, offset, part);
                        done += usize::from(b.ty(part).lanes);
                    }
                }
            }
        });
    }

    /// The first `count` rows element by element, from the k `from` on.
    fn elements(
        &self,
        b: &mut KernelBuilder,
        to: Panels,
        panel: Val,
        begin: Val,
        (count, from): (Val, Val),
        side: &mut PackedOperand<'_>,
    ) {
        let zero = b.index(0);
        b.repeat(zero, count, 1, |b, r| {
            let row = b.add(begin, r);
            let base = b.add(panel, r);
            b.repeat(from, self.length, 1, |b, k| {
                let at = b.add(self.start, k);
                let value = (side.load)(b, OperandElement { batch: self.batch, row, k: at }, 1, None);
                let offset = b.mul_const(k, to.pitch as i64);
                let offset = b.add(base, offset);
                self.put(b, to, offset, value);
            });
        });
    }

    /// The first `count` rows element by element, the others zero.
    fn rows(
        &self,
        b: &mut KernelBuilder,
        to: Panels,
        panel: Val,
        begin: Val,
        count: Val,
        side: &mut PackedOperand<'_>,
    ) {
        let zero = b.index(0);
        self.elements(b, to, panel, begin, (count, zero), side);
        if to.pitch == to.tile && to.size.is_multiple_of(to.tile) {
            return;
        }
        let end = b.index(to.pitch as i64);
        b.repeat(count, end, 1, |b, r| {
            let base = b.add(panel, r);
            b.repeat(zero, self.length, 1, |b, k| {
                let offset = b.mul_const(k, to.pitch as i64);
                let offset = b.add(base, offset);
                let nothing = b.float(Ty::scalar(Elem::of(self.dtype)), 0.0);
                self.put(b, to, offset, nothing);
            });
        });
    }
}

/// A vector of rows in the parts that are stored: no wider than a panel, or single elements if these are replicated.
fn stored_parts(b: &mut KernelBuilder, to: Panels, vector: Val) -> Vec<Val> {
    let mut parts = vec![vector];
    while usize::from(b.ty(parts[0]).lanes) > to.pitch {
        parts = parts.into_iter().flat_map(|x| [b.half(x, false), b.half(x, true)]).collect();
    }
    if to.copies == 1 {
        return parts;
    }
    let mut elements = vec![];
    for x in parts {
        elements.extend((0..b.ty(x).lanes).map(|lane| b.lane(x, lane)));
    }
    elements
}
