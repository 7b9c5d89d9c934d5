//! Contractions: `C[m, n] = Σ_k A(m, k) · B(k, n)`, fused with the producers of A and B and the consumers of C into one kernel.
//!
//! The method is that of Goto and van de Geijn. A chunk computes a block of C. It packs a block of B into scratch memory, in
//! panels as wide as the register tile, and then panels of A one by one, with a callback per element: this is where strides,
//! convolution windows and fused prologues are handled. Where loads do not broadcast, elements of A are replicated to a full
//! register; A's panel stays in the first-level cache while the panels of B stream past. The register tile runs over the panels,
//! adding to a block of accumulators, which are finally passed, in vectors along n, to the epilogue. Panels are padded, so that
//! neither the tile nor the packing of whole panels has remainders.
//!
//! Every element of C is a sum of `fma` chains over ascending k, each starting at 0 and as long as the depth of a block: that
//! limits the error of long sums. Its bits depend on A, B and the sizes, not on how rows and columns are blocked or the work is
//! divided.

mod pack;

use std::cmp::Reverse;

use dlc_ir::DType;

use crate::kernel::build::KernelBuilder;
use crate::kernel::ir::{Binary, Buf, Elem, Ty, Val};
use crate::machine::{Cost, Machine};
use pack::{Packing, Panels};

/// The sizes of a contraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// `f32` or `f64`.
    pub dtype: DType,
    /// Number of independent products.
    pub batch: usize,
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// The length of the sums; at least 1.
    pub k: usize,
}

/// The blocking of a contraction; a function of the sizes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocking {
    pub sizes: Sizes,
    /// Rows and columns of the register tile.
    pub tile: (usize, usize),
    /// Rows, columns and depth of a block.
    pub block: (usize, usize, usize),
    /// Elements in a vector register.
    pub lanes: usize,
    /// How often each element of A is repeated in its panel: once where loads broadcast, else in all lanes of a register.
    pub copies: usize,
}

/// The unrolling of the innermost loop.
const UNROLL: usize = 4;
/// Blocks consist of whole vectors of the epilogue.
const COLUMNS_UNIT: usize = 16;
/// The largest rows or columns and depth of a block: a panel of A stays in the first-level cache, and B's block in the second-level
/// one, also for elements of eight bytes.
const fn largest_block(machine: &Machine) -> (usize, usize) {
    let depth = machine.panel_depth();
    (machine.l2_bytes / (depth * 8), depth)
}

/// The register tiles to choose from, in rows and vectors of columns.
fn tiles(machine: &Machine) -> Vec<(usize, usize)> {
    let chains = machine.fma_chains;
    if !machine.broadcasts {
        // More accumulators than hide the latency only cause spills.
        return vec![(4, chains / 4), (2, chains / 2), (chains, 1)];
    }
    // One register has the broadcast element of A; another one is left, since the instruction may need it.
    let rows = |vectors: usize| (machine.vector_registers - 2 - vectors) / vectors;
    let all = (1..=4).flat_map(|vectors| (1..=rows(vectors)).map(move |rows| (rows, vectors)));
    // Panels of A are packed in powers of two, of which little is to be lost.
    all.filter(|&(rows, vectors)| rows * vectors >= chains && 4 * rows >= 3 * rows.next_power_of_two()).collect()
}

/// The cost of the multiply-adds of a product.
pub(crate) fn work(m: usize, n: usize, k: usize, machine: &Machine) -> Cost {
    machine.costs.mac.saturating_mul(m.saturating_mul(n).saturating_mul(k) as Cost)
}

impl Blocking {
    /// Chooses the blocking.
    pub fn new(sizes: Sizes, machine: &Machine) -> Blocking {
        let width = machine.lanes(sizes.dtype);
        let costs = &machine.costs;
        let (m, n) = (sizes.m.max(1), sizes.n.max(1));
        let cost = |&(rows, vectors): &(usize, usize)| {
            let tiles = m.div_ceil(rows) * n.div_ceil(vectors * width);
            let (loads, fmas) = ((rows + vectors) as Cost, (rows * vectors) as Cost);
            // Of equally fast ones the largest, which loads least.
            (tiles as Cost * (costs.load * loads).max(costs.fma * fmas), Reverse(fmas))
        };
        let (rows, vectors) = tiles(machine).into_iter().min_by_key(cost).expect("there are tiles");
        Blocking::with_tile(sizes, (rows, vectors * width), machine)
    }

    /// The blocking for a given register tile, whose columns are a power of two times the lanes of a register.
    pub fn with_tile(sizes: Sizes, tile: (usize, usize), machine: &Machine) -> Blocking {
        assert!(matches!(sizes.dtype, DType::F32 | DType::F64), "contractions are of floats");
        let (m, n, k) = (sizes.m.max(1), sizes.n.max(1), sizes.k.max(1));
        let rows = tile.0;
        let even = |size: usize, most: usize, unit: usize| {
            let blocks = size.div_ceil(most);
            size.div_ceil(blocks).next_multiple_of(unit)
        };
        let (side, most_depth) = largest_block(machine);
        let unit = tile.1.max(COLUMNS_UNIT);
        let mut block = (even(m, side, rows), even(n, side, unit), even(k, most_depth, UNROLL));
        // Enough chunks for the threads of a large machine, if each has enough work, but not more: small blocks are packed more
        // often.
        let worth = (work(m, n, k, machine) / machine.costs.block) as usize;
        let target = worth.min(machine.threads / 4).div_ceil(sizes.batch.max(1));
        while m.div_ceil(block.0) * n.div_ceil(block.1) < target {
            let (by_rows, by_columns) = (block.0 > 4 * rows, block.1 > 2 * unit);
            if by_rows && (block.0 >= block.1 || !by_columns) {
                block.0 = (block.0 / 2).next_multiple_of(rows);
            } else if by_columns {
                block.1 = (block.1 / 2).next_multiple_of(unit);
            } else {
                break;
            }
        }
        let lanes = machine.lanes(sizes.dtype);
        Blocking { sizes, tile, block, lanes, copies: if machine.broadcasts { 1 } else { lanes } }
    }

    /// The number of chunks that the kernel must be made with.
    pub fn chunks(&self) -> usize {
        (self.sizes.batch * self.row_blocks() * self.column_blocks()).max(1)
    }

    /// The rows that a panel of A has for each k.
    fn pitch(&self) -> usize {
        if self.copies > 1 { self.tile.0 } else { self.tile.0.next_power_of_two() }
    }

    fn row_blocks(&self) -> usize {
        self.sizes.m.div_ceil(self.block.0)
    }

    fn column_blocks(&self) -> usize {
        self.sizes.n.div_ceil(self.block.1)
    }
}

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

/// Produces the elements of A or B.
pub struct OperandSource<'a> {
    pub contiguous: Contiguous,
    pub load: &'a mut LoadFn<'a>,
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

/// Emits the consumer of a scalar or of a vector of C.
pub type StoreFn<'a> = dyn FnMut(&mut KernelBuilder, Cell, Val) + 'a;

/// Emits a contraction: the whole body of a kernel with [`Blocking::chunks`] chunks.
pub fn contract(
    b: &mut KernelBuilder,
    blocking: &Blocking,
    mut left: OperandSource<'_>,
    mut right: OperandSource<'_>,
    store: &mut StoreFn<'_>,
) {
    let Sizes { dtype, m, n, k, batch } = blocking.sizes;
    if m == 0 || n == 0 || batch == 0 {
        return;
    }
    let (rows, columns, depth) = blocking.block;
    let (tile_rows, tile_columns) = blocking.tile;
    let pitch = blocking.pitch();
    let a = b.scratch(dtype, pitch * depth * blocking.copies);
    let bb = b.scratch(dtype, columns * depth);
    let acc = b.scratch(dtype, rows * columns);
    b.chunk_loop(|b, chunk| {
        let column_block = b.modulo(chunk, blocking.column_blocks() as i64);
        let rest = b.div_floor(chunk, blocking.column_blocks() as i64);
        let row_block = b.modulo(rest, blocking.row_blocks() as i64);
        let batch = b.div_floor(rest, blocking.row_blocks() as i64);
        let row = b.mul_const(row_block, rows as i64);
        let column = b.mul_const(column_block, columns as i64);
        let height = extent(b, row, m, rows);
        let width = extent(b, column, n, columns);
        let (zero, end) = (b.index(0), b.index(k as i64));
        if k > depth {
            clear(b, blocking, acc, height);
        }
        b.repeat(zero, end, depth as i64, |b, start| {
            let length = extent(b, start, k, depth);
            let packing = Packing { dtype, lanes: blocking.lanes, depth, batch, start, length, total: k };
            packing.block(
                b,
                Panels { buf: bb, tile: tile_columns, pitch: tile_columns, size: n, copies: 1 },
                column,
                width,
                &mut right,
            );
            let to = Panels { buf: a, tile: tile_rows, pitch, size: m, copies: blocking.copies };
            b.repeat(zero, height, tile_rows as i64, |b, i| {
                let (first, left_over) = (b.add(row, i), b.sub(height, i));
                packing.panel(b, to, zero, (first, left_over), &mut left);
                b.repeat(zero, width, tile_columns as i64, |b, j| tile(b, blocking, (a, bb, acc), (i, j), length));
            });
        });
        epilogue(b, blocking, acc, Cell { batch, row, column }, (height, width), store);
    });
}

/// Zeroes the accumulators of the rows in use.
fn clear(b: &mut KernelBuilder, blocking: &Blocking, acc: Buf, height: Val) {
    let lanes = crate::kernel::lanes(blocking.sizes.dtype);
    let zero = b.index(0);
    let rows = round_up(b, height, blocking.tile.0);
    let end = b.mul_const(rows, blocking.block.1 as i64);
    b.repeat(zero, end, i64::from(lanes), |b, i| {
        let nothing = b.float(Ty::vector(Elem::of(blocking.sizes.dtype), lanes), 0.0);
        b.store(acc, i, nothing);
    });
}

/// The extent of a block that begins at `start`, cut off at the border.
fn extent(b: &mut KernelBuilder, start: Val, size: usize, block: usize) -> Val {
    if size.is_multiple_of(block) {
        return b.index(block as i64);
    }
    let size = b.index(size as i64);
    let left = b.sub(size, start);
    let block = b.index(block as i64);
    b.binary(Binary::Min, left, block)
}

/// `x`, which may be a constant, rounded up to a multiple of `unit`.
fn round_up(b: &mut KernelBuilder, x: Val, unit: usize) -> Val {
    let raised = b.add_const(x, unit as i64 - 1);
    let units = b.div_floor(raised, unit as i64);
    b.mul_const(units, unit as i64)
}

/// A register tile: `acc += A · B` for the panel of A and one of B.
fn tile(b: &mut KernelBuilder, blocking: &Blocking, (a, bb, acc): (Buf, Buf, Buf), (i, j): (Val, Val), length: Val) {
    let (_, pitch, depth) = blocking.block;
    let (rows, columns) = blocking.tile;
    let (lanes, copies) = (blocking.lanes, blocking.copies);
    let vectors = columns / lanes;
    let ty = Ty::vector(Elem::of(blocking.sizes.dtype), lanes as u8);
    let zero = b.index(0);
    let length = round_up(b, length, UNROLL);
    let right = b.mul_const(j, depth as i64);
    let cell = b.mul_const(i, pitch as i64);
    let cell = b.add(cell, j);
    let offsets = (0..rows).flat_map(|r| (0..vectors).map(move |v| (r * pitch + v * lanes) as i64));
    let offsets: Vec<Val> = offsets.map(|offset| b.add_const(cell, offset)).collect();
    let init: Vec<Val> = offsets.iter().map(|_| b.float(ty, 0.0)).collect();
    let sums = b.fold(zero, length, UNROLL as i64, &init, |b, k, sums| {
        b.unrolled(UNROLL, sums, |b, u, sums| {
            let k = b.add(k, u);
            let left = b.mul_const(k, (blocking.pitch() * copies) as i64);
            let line = b.mul_const(k, columns as i64);
            let line = b.add(right, line);
            let vector = |b: &mut KernelBuilder, buf: Buf, base: Val, nth: usize| {
                let offset = b.add_const(base, (nth * lanes) as i64);
                b.load_lanes(buf, offset, lanes as u8)
            };
            // An element of A in all lanes.
            let element = |b: &mut KernelBuilder, nth: usize| {
                if copies > 1 {
                    return vector(b, a, left, nth);
                }
                let offset = b.add_const(left, nth as i64);
                let x = b.load(a, offset);
                b.splat(x, lanes as u8)
            };
            let mut next = sums.to_vec();
            // FMA overwrites the register of its first factor: the operand with more vectors is loaded last, so that few copies
            // are needed.
            if rows >= vectors {
                let ys: Vec<Val> = (0..vectors).map(|v| vector(b, bb, line, v)).collect();
                for r in 0..rows {
                    let x = element(b, r);
                    for (v, &y) in ys.iter().enumerate() {
                        let sum = &mut next[r * vectors + v];
                        *sum = b.fma(x, y, *sum);
                    }
                }
            } else {
                let xs: Vec<Val> = (0..rows).map(|r| element(b, r)).collect();
                for v in 0..vectors {
                    let y = vector(b, bb, line, v);
                    for (r, &x) in xs.iter().enumerate() {
                        let sum = &mut next[r * vectors + v];
                        *sum = b.fma(y, x, *sum);
                    }
                }
            }
            next
        })
    });
    for (offset, mut sum) in offsets.into_iter().zip(sums) {
        if blocking.sizes.k > depth {
            let so_far = b.load_lanes(acc, offset, lanes as u8);
            sum = b.add(so_far, sum);
        }
        b.store(acc, offset, sum);
    }
}

/// Passes the accumulators to the consumer, row by row.
fn epilogue(
    b: &mut KernelBuilder,
    blocking: &Blocking,
    acc: Buf,
    origin: Cell,
    (height, width): (Val, Val),
    store: &mut StoreFn<'_>,
) {
    let pitch = blocking.block.1;
    let most = usize::from(crate::kernel::lanes(blocking.sizes.dtype));
    let zero = b.index(0);
    b.repeat(zero, height, 1, |b, r| {
        let row = b.add(origin.row, r);
        let base = b.mul_const(r, pitch as i64);
        let mut run = |b: &mut KernelBuilder, begin: Val, end: Val, lanes: usize| {
            b.repeat(begin, end, lanes as i64, |b, c| {
                let offset = b.add(base, c);
                let value = b.load_lanes(acc, offset, lanes as u8);
                let column = b.add(origin.column, c);
                store(b, Cell { batch: origin.batch, row, column }, value);
            });
        };
        // Only the last block has a remainder, whose size is a constant.
        let rest = blocking.sizes.n % most;
        let mut begin = zero;
        for (lanes, needed, exact) in [
            (most, blocking.sizes.n >= most, rest == 0),
            (4, rest >= 4, rest.is_multiple_of(4)),
            (1, !rest.is_multiple_of(4), true),
        ] {
            if needed {
                let end = if exact { width } else { round_down(b, width, lanes) };
                run(b, begin, end, lanes);
                begin = end;
            }
        }
    });
}

fn round_down(b: &mut KernelBuilder, x: Val, unit: usize) -> Val {
    let units = b.div_floor(x, unit as i64);
    b.mul_const(units, unit as i64)
}
