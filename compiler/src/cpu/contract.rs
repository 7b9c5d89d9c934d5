//! Contractions: `C[m, n] = Σ_k A(m, k) · B(k, n)`, fused with the producers of A and B and the consumers of C into one kernel.
//!
//! The method is that of Goto and van de Geijn. A chunk computes a block of C. It packs a block of B into scratch memory, in
//! panels as wide as the register tile, and then panels of A one by one, with a callback per element, which handles strides and
//! windows; or tiles read an operand where it is, if its elements are at regular distances. Where loads do not broadcast, elements
//! of A are replicated to a full register; A's panel stays in the first-level cache while the panels of B stream past. The register
//! tile runs over the panels, and its sums, after the last block of k, are passed to the epilogue, in vectors along n. Packed panels
//! have room for whole tiles, so that a tile has no remainders.
//!
//! Every element of C is a sum of `fma` chains over ascending k, each starting at 0 and as long as the depth of a block: that
//! limits the error of long sums. Its bits depend on A, B and the sizes, not on how rows and columns are blocked or the work is
//! divided.

mod blocking;
mod pack;
mod tile;

pub(crate) use blocking::work;
pub use blocking::{Blocking, Sizes};
use dlc_ir::DType;

use crate::kernel::build::KernelBuilder;
use crate::kernel::ir::{Binary, Buf, Compare, Elem, Ty, Val};
use pack::{Packing, Panels};
use tile::{StridedView, Sums};

/// An element of A or B.
#[derive(Clone, Copy, Debug)]
pub struct OperandElement {
    /// Which product.
    pub batch: Val,
    /// The row of A, or the column of B.
    pub row: Val,
    /// The position in the sum.
    pub k: Val,
}

/// Contiguous which axis an operand is contiguous; decides the order of packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contiguous {
    /// Neighbours in `row` are contiguous, and are loaded as vectors.
    Row,
    /// Neighbours in `k` are contiguous, and are loaded as vectors.
    K,
    /// Elements are loaded one by one.
    None,
}

/// Emits the load of `lanes` elements, in the contraction's type: with consecutive `row`s if contiguous along the row, with
/// consecutive `k`s if along k. If neither, `lanes` is 1. Of the lanes only the first may be there: the last argument is their
/// number.
pub type LoadFn<'a> = dyn FnMut(&mut KernelBuilder, OperandElement, u8, Option<Val>) -> Val + 'a;

/// Produces the elements of an operand that is packed.
pub struct PackedOperand<'a> {
    pub contiguous: Contiguous,
    pub load: &'a mut LoadFn<'a>,
}

/// Emits the index of an element.
pub type IndexFn<'a> = dyn FnMut(&mut KernelBuilder, OperandElement) -> Val + 'a;

/// An operand that tiles read where it is: for all rows, or columns, of a tile, and all positions of a sum, elements are at the same
/// distances.
pub struct StridedOperand<'a> {
    pub buf: Buf,
    /// Elements from one row of A, or column of B, to the next; 1 for B.
    pub row_stride: usize,
    /// Elements from one position in the sum to the next.
    pub k_stride: usize,
    pub index: &'a mut IndexFn<'a>,
}

impl StridedOperand<'_> {
    fn view(&mut self, b: &mut KernelBuilder, first: OperandElement) -> StridedView {
        StridedView {
            buf: self.buf,
            base: (self.index)(b, first),
            row_stride: self.row_stride,
            k_stride: self.k_stride,
        }
    }
}

/// Where tiles find the elements of A or B.
pub enum OperandSource<'a> {
    /// In panels, into which each block is packed first.
    Packed(PackedOperand<'a>),
    /// In the operand itself. All tiles must be whole, and loads must broadcast if it is A.
    InPlace(StridedOperand<'a>),
}

impl OperandSource<'_> {
    fn is_packed(&self) -> bool {
        matches!(self, OperandSource::Packed(_))
    }
}

/// An element of C, or the first one of a vector along n.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Which product.
    pub batch: Val,
    /// The row.
    pub row: Val,
    /// The column.
    pub column: Val,
}

/// Emits the consumer of a vector of C, of whose lanes only the first may be there: the last argument is their number.
pub type StoreFn<'a> = dyn FnMut(&mut KernelBuilder, Cell, Val, Option<Val>) + 'a;

/// Panels of A that are packed together if their rows are contiguous.
const PANELS_TOGETHER: usize = 4;

/// Emits a contraction: the whole body of a kernel with [`Blocking::chunks`] chunks.
pub fn contract(
    b: &mut KernelBuilder,
    blocking: &Blocking,
    mut left: OperandSource<'_>,
    mut right: OperandSource<'_>,
    store: &mut StoreFn<'_>,
) {
    let Sizes { dtype, m, n, run, k, batch } = blocking.sizes;
    if m == 0 || n == 0 || batch == 0 {
        return;
    }
    let (rows, columns, depth) = blocking.block;
    let (tile_rows, tile_columns) = blocking.tile;
    let (pitch, copies) = (blocking.pitch(), blocking.copies);
    let group = panels_together(blocking, &left);
    let of_left = left.is_packed().then(|| {
        let buf = b.scratch(dtype, group * pitch * depth * copies);
        Panels { buf, tile: tile_rows, pitch, size: m, run: m, copies }
    });
    let of_right = right.is_packed().then(|| {
        let buf = b.scratch(dtype, columns * depth);
        Panels { buf, tile: tile_columns, pitch: tile_columns, size: n, run, copies: 1 }
    });
    // Sums of one block of k are passed on tile by tile, those of several when the last one was added.
    let is_deep = k > depth;
    let (sum_rows, sum_pitch) = if is_deep { (rows, columns) } else { blocking.tile };
    let acc = b.scratch(dtype, sum_rows * sum_pitch);
    b.chunk_loop(|b, chunk| {
        let column_block = b.modulo(chunk, blocking.column_blocks() as i64);
        let rest = b.div_floor(chunk, blocking.column_blocks() as i64);
        let row_block = b.modulo(rest, blocking.row_blocks() as i64);
        let batch = b.div_floor(rest, blocking.row_blocks() as i64);
        let row = b.mul_const(row_block, rows as i64);
        let column = b.mul_const(column_block, columns as i64);
        let row_tiles = tiles(b, row_block, m, rows, tile_rows);
        let column_tiles = tiles(b, column_block, n, columns, tile_columns);
        let (zero, end) = (b.index(0), b.index(k as i64));
        if is_deep {
            clear(b, dtype, acc, row_tiles, tile_rows * columns);
        }
        b.repeat(zero, end, depth as i64, |b, start| {
            let length = extent(b, start, k, depth);
            let packing = Packing { dtype, lanes: blocking.lanes, depth, batch, start, length, total: k };
            if let (Some(panels), OperandSource::Packed(side)) = (of_right, &mut right) {
                let width = extent(b, column, n, columns);
                packing.block(b, panels, column, width, side);
            }
            b.repeat(zero, row_tiles, 1, |b, i| {
                let above = b.mul_const(i, tile_rows as i64);
                let row = b.add(row, above);
                let rows_left = left_over(b, row, m);
                let a = match &mut left {
                    OperandSource::InPlace(operand) => operand.view(b, OperandElement { batch, row, k: start }),
                    OperandSource::Packed(side) => {
                        let panels = of_left.expect("A is packed");
                        let within = b.modulo(i, group as i64);
                        let is_first = b.compare(Compare::Eq, within, zero);
                        b.when(is_first, |b| packing.panels(b, panels, (zero, group), (row, rows_left), side));
                        let k_stride = panels.pitch * panels.copies;
                        let base = b.mul_const(within, (panels.pitch * depth) as i64);
                        StridedView { buf: panels.buf, base, row_stride: panels.copies, k_stride }
                    }
                };
                b.repeat(zero, column_tiles, 1, |b, j| {
                    let before = b.mul_const(j, tile_columns as i64);
                    let column = b.add(column, before);
                    let bb = match &mut right {
                        OperandSource::InPlace(operand) => {
                            operand.view(b, OperandElement { batch, row: column, k: start })
                        }
                        OperandSource::Packed(_) => {
                            let base = b.mul_const(before, depth as i64);
                            let buf = of_right.expect("B is packed").buf;
                            StridedView { buf, base, row_stride: 1, k_stride: tile_columns }
                        }
                    };
                    let mut sums = Sums { buf: acc, base: zero, pitch: sum_pitch };
                    if is_deep {
                        let line = b.mul_const(above, sum_pitch as i64);
                        sums.base = b.add(line, before);
                    }
                    tile::multiply(b, blocking, a, bb, length, (sums, is_deep));
                    let last = b.index((k.div_ceil(depth) as i64 - 1) * depth as i64);
                    let is_done = b.compare(Compare::Ge, start, last);
                    b.when(is_done, |b| {
                        let columns_left = left_over(b, column, n);
                        let origin = Cell { batch, row, column };
                        tile::consume(b, blocking, sums, origin, [rows_left, columns_left], store);
                    });
                });
            });
        });
    });
}

/// How many panels of A are packed at a time.
fn panels_together(blocking: &Blocking, left: &OperandSource<'_>) -> usize {
    match left {
        OperandSource::Packed(side) if side.contiguous == Contiguous::Row && blocking.copies == 1 => {
            let panels = blocking.block.0 / blocking.tile.0;
            panels.div_ceil(panels.div_ceil(PANELS_TOGETHER))
        }
        _ => 1,
    }
}

/// The number of tiles in a block.
fn tiles(b: &mut KernelBuilder, nth: Val, size: usize, block: usize, tile: usize) -> Val {
    let (all, most) = (size.div_ceil(tile), block / tile);
    let before = b.mul_const(nth, most as i64);
    extent(b, before, all, most)
}

/// Zeroes the sums of the tiles in use, which have `elements` in each row of tiles.
fn clear(b: &mut KernelBuilder, dtype: DType, acc: Buf, row_tiles: Val, elements: usize) {
    let lanes = crate::kernel::lanes(dtype).min(1 << elements.trailing_zeros().min(4));
    let zero = b.index(0);
    let end = b.mul_const(row_tiles, elements as i64);
    b.repeat(zero, end, i64::from(lanes), |b, i| {
        let nothing = b.float(Ty::vector(Elem::of(dtype), lanes), 0.0);
        b.store(acc, i, nothing);
    });
}

/// What is left of a size from `start` on.
fn left_over(b: &mut KernelBuilder, start: Val, size: usize) -> Val {
    let size = b.index(size as i64);
    b.sub(size, start)
}

/// The extent of a block that begins at `start`, cut off at the border.
fn extent(b: &mut KernelBuilder, start: Val, size: usize, block: usize) -> Val {
    if size.is_multiple_of(block) {
        return b.index(block as i64);
    }
    let left = left_over(b, start, size);
    let block = b.index(block as i64);
    b.binary(Binary::Min, left, block)
}

/// `x`, which may be a constant, rounded down to a multiple of `unit`.
fn round_down(b: &mut KernelBuilder, x: Val, unit: usize) -> Val {
    let units = b.div_floor(x, unit as i64);
    b.mul_const(units, unit as i64)
}
