//! Contractions: `C[m, n] = Σ_k A(m, k) · B(k, n)`, with whatever produces the elements of A and B and whatever consumes
//! those of C fused into one kernel.
//!
//! The method is that of Goto and van de Geijn. A chunk computes a block of C. It packs a block of A and a
//! block of B into scratch memory, in panels as wide as the register tile, calling back for every element: this is where
//! strides, convolution windows and fused prologues live. The elements of A are stored as often as a register has lanes, so
//! that the tile loads what it would otherwise have to broadcast; A's panel stays in the first-level cache while the panels
//! of B pass by. Then the register tile runs over the panels, adding into a
//! block of accumulators, and at the end the accumulators are handed, in vectors along n, to the epilogue. Panels are
//! padded with zeros, so that neither the tile nor the packing of whole panels knows about borders.
//!
//! Every element of C is a sum of chains of `fma` over ascending k, each starting at 0 and as long as a block is deep: that keeps
//! the error of long sums small. Its bits depend on A, B and the sizes, not on how rows and columns are blocked or the work is split.

use dlc_ir::DType;

use super::build::Builder;
use super::ir::{Binary, Buf, Compare, Elem, Ty, Val};

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

/// How a contraction is blocked; a function of the sizes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The sizes.
    pub sizes: Sizes,
    /// Rows and columns of the register tile.
    pub tile: (usize, usize),
    /// Rows, columns and depth of a block.
    pub block: (usize, usize, usize),
}

/// The register tiles that are considered, in rows and vectors of columns. Eight chains of multiplications cover the
/// latency of the instruction, and more of them bring nothing but spilled registers.
const TILES: [(usize, usize); 5] = [(4, 2), (3, 3), (2, 4), (8, 1), (1, 8)];
/// Unrolling of the innermost loop.
const UNROLL: usize = 4;
/// Bounds of the blocks: a panel of A stays in the first-level cache, B's block in the second.
const MAX_ROWS: usize = 192;
const MAX_COLUMNS: usize = 512;
const MAX_DEPTH: usize = 256;
/// Multiplications worth a chunk of their own.
const CHUNK_WORK: usize = 1 << 22;
/// The most chunks that are asked for: small blocks are packed more often.
const MOST_CHUNKS: usize = 24;

impl Plan {
    /// Chooses the blocking.
    pub fn new(sizes: Sizes) -> Plan {
        assert!(matches!(sizes.dtype, DType::F32 | DType::F64), "contractions are of floats");
        let width = 16 / sizes.dtype.size();
        let (m, n) = (sizes.m.max(1), sizes.n.max(1));
        let cost = |&(rows, vectors): &(usize, usize)| {
            let fmas = rows * vectors;
            // In sixths of a cycle: multiplications, latency, loads, and what the decoder hands out.
            let turn = (3 * fmas).max(24).max(3 * (rows + vectors)).max(2 * fmas + vectors);
            m.div_ceil(rows) * n.div_ceil(vectors * width) * turn
        };
        let (rows, vectors) = TILES.into_iter().min_by_key(|tile| cost(tile)).expect("there are tiles");
        Plan::with_tile(sizes, (rows, vectors * width))
    }

    /// Blocks for a given register tile, the columns of which are a multiple of the lanes of a register.
    pub fn with_tile(sizes: Sizes, tile: (usize, usize)) -> Plan {
        let (m, n, k) = (sizes.m.max(1), sizes.n.max(1), sizes.k.max(1));
        let rows = tile.0;
        let even = |size: usize, most: usize, unit: usize| {
            let blocks = size.div_ceil(most);
            size.div_ceil(blocks).next_multiple_of(unit)
        };
        let depth = even(k, MAX_DEPTH, UNROLL);
        // Blocks hold whole tiles and whole vectors of the epilogue.
        let unit = |tile: usize| if tile.is_multiple_of(3) { 3 * 16 } else { tile.max(16) };
        let mut block = (even(m, MAX_ROWS, rows), even(n, MAX_COLUMNS, unit(tile.1)), depth);
        // Enough chunks for the threads of a large machine, if each has enough to do.
        let work = m.saturating_mul(n).saturating_mul(k);
        let wanted = (work / CHUNK_WORK).min(MOST_CHUNKS).div_ceil(sizes.batch.max(1));
        while m.div_ceil(block.0) * n.div_ceil(block.1) < wanted {
            let (by_rows, by_columns) = (block.0 > 8 * rows, block.1 > 4 * unit(tile.1));
            // To pack an element of A costs several times as much as one of B.
            if by_rows && (4 * block.0 >= block.1 || !by_columns) {
                block.0 = (block.0 / 2).next_multiple_of(rows);
            } else if by_columns {
                block.1 = (block.1 / 2).next_multiple_of(unit(tile.1));
            } else {
                break;
            }
        }
        Plan { sizes, tile, block }
    }

    /// The number of chunks that the kernel must be made with.
    pub fn chunks(&self) -> usize {
        (self.sizes.batch * self.row_blocks() * self.column_blocks()).max(1)
    }

    /// How often an element of A is stored: the lanes of a register.
    fn copies(&self) -> usize {
        16 / self.sizes.dtype.size()
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
pub struct Element {
    /// Which product.
    pub batch: Val,
    /// The row of A, or the column of B.
    pub row: Val,
    /// The place in the sum.
    pub k: Val,
}

/// The axis along which an operand lies in memory; decides the order of packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// Neighbours in `row` are neighbours in memory, and vectors of them can be read.
    Row,
    /// Neighbours in `k` are neighbours in memory, and vectors of them can be read.
    K,
    /// Elements are read one by one.
    Nothing,
}

/// Emits the reading of `lanes` elements, as a value of the contraction's type: with consecutive `row`s for [`Along::Row`],
/// with consecutive `k`s for [`Along::K`]. For [`Along::Nothing`], `lanes` is 1.
pub type Load<'a> = dyn FnMut(&mut Builder, Element, u8) -> Val + 'a;

/// Where the elements of A or B come from.
pub struct Side<'a> {
    /// How they lie in memory.
    pub along: Along,
    /// Reads them.
    pub load: &'a mut Load<'a>,
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

/// Emits the consumption of a scalar or of a vector of C.
pub type Store<'a> = dyn FnMut(&mut Builder, Cell, Val) + 'a;

/// Emits a contraction: the whole body of a kernel with [`Plan::chunks`] chunks.
pub fn contract(b: &mut Builder, plan: &Plan, mut left: Side<'_>, mut right: Side<'_>, store: &mut Store<'_>) {
    let Sizes { dtype, m, n, k, batch } = plan.sizes;
    if m == 0 || n == 0 || batch == 0 {
        return;
    }
    let (rows, columns, depth) = plan.block;
    let a = b.scratch(dtype, rows * depth * plan.copies());
    let bb = b.scratch(dtype, columns * depth);
    let acc = b.scratch(dtype, rows * columns);
    b.chunk_loop(|b, chunk| {
        let column_block = b.modulo(chunk, plan.column_blocks() as i64);
        let rest = b.div_floor(chunk, plan.column_blocks() as i64);
        let row_block = b.modulo(rest, plan.row_blocks() as i64);
        let batch = b.div_floor(rest, plan.row_blocks() as i64);
        let row = b.mul_const(row_block, rows as i64);
        let column = b.mul_const(column_block, columns as i64);
        let height = extent(b, row, m, rows);
        let width = extent(b, column, n, columns);
        let (zero, end) = (b.index(0), b.index(k as i64));
        if k > depth {
            clear(b, plan, acc, height);
        }
        b.repeat(zero, end, depth as i64, |b, start| {
            let length = extent(b, start, k, depth);
            let packing = Packing { dtype, depth, batch, start, length, total: k };
            let (tile_rows, tile_columns) = plan.tile;
            packing.pack(b, Panels { buf: a, tile: tile_rows, size: m, copies: plan.copies() }, row, height, &mut left);
            packing.pack(b, Panels { buf: bb, tile: tile_columns, size: n, copies: 1 }, column, width, &mut right);
            tiles(b, plan, (a, bb, acc), (height, width, length));
        });
        epilogue(b, plan, acc, Cell { batch, row, column }, (height, width), store);
    });
}

/// Sets the accumulators of the rows in use to zero.
fn clear(b: &mut Builder, plan: &Plan, acc: Buf, height: Val) {
    let lanes = super::ir::lanes(plan.sizes.dtype);
    let zero = b.index(0);
    let rows = round_up(b, height, plan.tile.0);
    let end = b.mul_const(rows, plan.block.1 as i64);
    b.repeat(zero, end, i64::from(lanes), |b, i| {
        let nothing = b.float(Ty::vector(Elem::of(plan.sizes.dtype), lanes), 0.0);
        b.store(acc, i, nothing);
    });
}

/// How much of a block that begins at `start` there is.
fn extent(b: &mut Builder, start: Val, size: usize, block: usize) -> Val {
    if size.is_multiple_of(block) {
        return b.index(block as i64);
    }
    let size = b.index(size as i64);
    let left = b.sub(size, start);
    let block = b.index(block as i64);
    b.binary(Binary::Min, left, block)
}

/// `x`, a known number or not, rounded up to a multiple of `unit`.
fn round_up(b: &mut Builder, x: Val, unit: usize) -> Val {
    let raised = b.add_const(x, unit as i64 - 1);
    let units = b.div_floor(raised, unit as i64);
    b.mul_const(units, unit as i64)
}

struct Packing {
    dtype: DType,
    depth: usize,
    batch: Val,
    start: Val,
    length: Val,
    /// The length of the whole sum.
    total: usize,
}

/// Where panels go: `[panel][k][tile][copies]`.
#[derive(Clone, Copy)]
struct Panels {
    buf: Buf,
    tile: usize,
    /// Rows that the whole operand has.
    size: usize,
    /// How often each element is stored.
    copies: usize,
}

impl Packing {
    /// Packs `height` rows from `row` on.
    fn pack(&self, b: &mut Builder, to: Panels, row: Val, height: Val, side: &mut Side<'_>) {
        let zero = b.index(0);
        b.repeat(zero, height, to.tile as i64, |b, first| {
            // Panels lie `tile * depth` elements apart, and `first` is a multiple of `tile`.
            let panel = b.mul_const(first, self.depth as i64);
            let begin = b.add(row, first);
            let left = b.sub(height, first);
            let whole = b.index(to.tile as i64);
            let count = b.binary(Binary::Min, left, whole);
            if side.along == Along::Nothing {
                self.rows(b, to, panel, begin, count, side);
            } else if to.size.is_multiple_of(to.tile) {
                self.whole_panel(b, to, panel, begin, side);
            } else {
                let full = b.compare(Compare::Ge, left, whole);
                b.when(full, |b| self.whole_panel(b, to, panel, begin, side));
                let partial = b.compare(Compare::Lt, left, whole);
                b.when(partial, |b| self.rows(b, to, panel, begin, count, side));
            }
            self.pad_depth(b, to, panel);
        });
    }

    /// Stores a vector of elements, or every one as often as there are copies.
    fn put(&self, b: &mut Builder, to: Panels, place: Val, value: Val) {
        let place = b.mul_const(place, to.copies as i64);
        let value = if to.copies > 1 { b.splat(value, to.copies as u8) } else { value };
        b.store(to.buf, place, value);
    }

    /// All rows of a panel.
    fn whole_panel(&self, b: &mut Builder, to: Panels, panel: Val, begin: Val, side: &mut Side<'_>) {
        if side.along == Along::Row {
            return self.by_rows(b, to, panel, begin, side);
        }
        // Squares of as many rows and columns as a register has lanes; what is left of k one by one.
        let lanes = 16 / self.dtype.size();
        let zero = b.index(0);
        let whole = round_down(b, self.length, lanes);
        let group = if to.copies > 1 { 1 } else { lanes };
        debug_assert!(to.tile.is_multiple_of(group), "tiles are whole vectors wide");
        let groups = b.index(to.tile as i64);
        b.repeat(zero, groups, group as i64, |b, r| {
            let first = b.add(begin, r);
            let base = b.add(panel, r);
            b.repeat(zero, whole, lanes as i64, |b, k| {
                let at = b.add(self.start, k);
                let lines: Vec<Val> = (0..group)
                    .map(|i| {
                        let row = b.add_const(first, i as i64);
                        (side.load)(b, Element { batch: self.batch, row, k: at }, lanes as u8)
                    })
                    .collect();
                let place = b.mul_const(k, to.tile as i64);
                let place = b.add(base, place);
                let columns = if group == 1 {
                    (0..lanes).map(|lane| b.lane(lines[0], lane as u8)).collect()
                } else {
                    transpose(b, lines)
                };
                for (i, column) in columns.into_iter().enumerate() {
                    let place = b.add_const(place, (i * to.tile) as i64);
                    self.put(b, to, place, column);
                }
            });
        });
        if !self.depth.is_multiple_of(lanes) || !self.total.is_multiple_of(lanes) {
            let end = b.index(to.tile as i64);
            self.elements(b, to, panel, begin, (end, whole), side);
        }
    }

    /// Vectors of rows, for one k after the other.
    fn by_rows(&self, b: &mut Builder, to: Panels, panel: Val, begin: Val, side: &mut Side<'_>) {
        let zero = b.index(0);
        b.repeat(zero, self.length, 1, |b, k| {
            let place = b.mul_const(k, to.tile as i64);
            let place = b.add(panel, place);
            let at = b.add(self.start, k);
            let mut done = 0;
            while done < to.tile {
                let lanes = largest_power(to.tile - done).min(if to.copies > 1 { to.copies } else { 16 });
                let row = b.add_const(begin, done as i64);
                let value = (side.load)(b, Element { batch: self.batch, row, k: at }, lanes as u8);
                let place = b.add_const(place, done as i64);
                if to.copies > 1 {
                    for lane in 0..lanes {
                        let value = b.lane(value, lane as u8);
                        let place = b.add_const(place, lane as i64);
                        self.put(b, to, place, value);
                    }
                } else {
                    self.put(b, to, place, value);
                }
                done += lanes;
            }
        });
    }

    /// The first `count` rows element by element, from the k `from` on.
    fn elements(
        &self,
        b: &mut Builder,
        to: Panels,
        panel: Val,
        begin: Val,
        (count, from): (Val, Val),
        side: &mut Side<'_>,
    ) {
        let zero = b.index(0);
        b.repeat(zero, count, 1, |b, r| {
            let row = b.add(begin, r);
            let base = b.add(panel, r);
            b.repeat(from, self.length, 1, |b, k| {
                let at = b.add(self.start, k);
                let value = (side.load)(b, Element { batch: self.batch, row, k: at }, 1);
                let place = b.mul_const(k, to.tile as i64);
                let place = b.add(base, place);
                self.put(b, to, place, value);
            });
        });
    }

    /// The first `count` rows element by element, the others zero.
    fn rows(&self, b: &mut Builder, to: Panels, panel: Val, begin: Val, count: Val, side: &mut Side<'_>) {
        let zero = b.index(0);
        self.elements(b, to, panel, begin, (count, zero), side);
        if to.size.is_multiple_of(to.tile) {
            return;
        }
        let end = b.index(to.tile as i64);
        b.repeat(count, end, 1, |b, r| {
            let base = b.add(panel, r);
            b.repeat(zero, self.length, 1, |b, k| {
                let place = b.mul_const(k, to.tile as i64);
                let place = b.add(base, place);
                let nothing = b.float(Ty::scalar(Elem::of(self.dtype)), 0.0);
                self.put(b, to, place, nothing);
            });
        });
    }

    /// Zeros behind the last k, up to a multiple of the unrolling.
    fn pad_depth(&self, b: &mut Builder, to: Panels, panel: Val) {
        let begin = b.mul_const(self.length, to.tile as i64);
        let end = round_up(b, self.length, UNROLL);
        let end = b.mul_const(end, to.tile as i64);
        b.repeat(begin, end, 1, |b, i| {
            let place = b.add(panel, i);
            let nothing = b.float(Ty::scalar(Elem::of(self.dtype)), 0.0);
            self.put(b, to, place, nothing);
        });
    }
}

/// The columns of a square.
fn transpose(b: &mut Builder, rows: Vec<Val>) -> Vec<Val> {
    if rows.len() == 1 {
        return rows;
    }
    // Interleaving row i with row i + n/2, for all i, shuffles the rows like cards; after log n times they are columns.
    let mut rows = rows;
    for _ in 0..rows.len().ilog2() {
        let half = rows.len() / 2;
        rows = (0..half)
            .flat_map(|i| [(i, false), (i, true)])
            .map(|(i, upper)| b.interleave(rows[i], rows[i + half], upper))
            .collect();
    }
    rows
}

/// The register tiles of a block: `acc += A · B`.
fn tiles(b: &mut Builder, plan: &Plan, (a, bb, acc): (Buf, Buf, Buf), (height, width, length): (Val, Val, Val)) {
    let (_, pitch, depth) = plan.block;
    let (rows, columns) = plan.tile;
    let lanes = plan.copies();
    let vectors = columns / lanes;
    let ty = Ty::vector(Elem::of(plan.sizes.dtype), lanes as u8);
    let zero = b.index(0);
    let length = round_up(b, length, UNROLL);
    // The operand that takes more bytes a turn stays in the first-level cache, the other one passes by.
    let (outer, inner) = ((height, rows as i64), (width, columns as i64));
    let swap = rows < vectors;
    let (outer, inner) = if swap { (inner, outer) } else { (outer, inner) };
    b.repeat(zero, outer.0, outer.1, |b, p| {
        b.repeat(zero, inner.0, inner.1, |b, q| {
            let (i, j) = if swap { (q, p) } else { (p, q) };
            let left = b.mul_const(i, (depth * lanes) as i64);
            let right = b.mul_const(j, depth as i64);
            let cell = b.mul_const(i, pitch as i64);
            let cell = b.add(cell, j);
            let at = |b: &mut Builder, r: usize, v: usize| b.add_const(cell, (r * pitch + v * lanes) as i64);
            let pairs: Vec<(usize, usize)> = (0..rows).flat_map(|r| (0..vectors).map(move |v| (r, v))).collect();
            let init: Vec<Val> = pairs.iter().map(|_| b.float(ty, 0.0)).collect();
            let sums = b.fold(zero, length, UNROLL as i64, &init, |b, k, sums| {
                let left = {
                    let k = b.mul_const(k, (rows * lanes) as i64);
                    b.add(left, k)
                };
                let right = {
                    let k = b.mul_const(k, columns as i64);
                    b.add(right, k)
                };
                b.unrolled(UNROLL, sums, |b, u, sums| {
                    let (left, right) = {
                        let (p, q) = (b.mul_const(u, (rows * lanes) as i64), b.mul_const(u, columns as i64));
                        (b.add(left, p), b.add(right, q))
                    };
                    let vector = |b: &mut Builder, buf: Buf, base: Val, nth: usize| {
                        let place = b.add_const(base, (nth * lanes) as i64);
                        b.load_lanes(buf, place, lanes as u8)
                    };
                    let mut next = sums.to_vec();
                    // The first factor's register becomes the sum's: the one of which there are more is loaded last, so
                    // that copies are few.
                    if rows >= vectors {
                        let ys: Vec<Val> = (0..vectors).map(|v| vector(b, bb, right, v)).collect();
                        for r in 0..rows {
                            let x = vector(b, a, left, r);
                            for (v, &y) in ys.iter().enumerate() {
                                let sum = &mut next[r * vectors + v];
                                *sum = b.fma(x, y, *sum);
                            }
                        }
                    } else {
                        let xs: Vec<Val> = (0..rows).map(|r| vector(b, a, left, r)).collect();
                        for v in 0..vectors {
                            let y = vector(b, bb, right, v);
                            for (r, &x) in xs.iter().enumerate() {
                                let sum = &mut next[r * vectors + v];
                                *sum = b.fma(y, x, *sum);
                            }
                        }
                    }
                    next
                })
            });
            for (&(r, v), mut sum) in pairs.iter().zip(sums) {
                let place = at(b, r, v);
                if plan.sizes.k > depth {
                    let so_far = b.load_lanes(acc, place, lanes as u8);
                    sum = b.add(so_far, sum);
                }
                b.store(acc, place, sum);
            }
        });
    });
}

/// Hands the accumulators to the consumer, row by row.
fn epilogue(b: &mut Builder, plan: &Plan, acc: Buf, origin: Cell, (height, width): (Val, Val), store: &mut Store<'_>) {
    let pitch = plan.block.1;
    let most = usize::from(super::ir::lanes(plan.sizes.dtype));
    let zero = b.index(0);
    b.repeat(zero, height, 1, |b, r| {
        let row = b.add(origin.row, r);
        let base = b.mul_const(r, pitch as i64);
        let mut run = |b: &mut Builder, begin: Val, end: Val, lanes: usize| {
            b.repeat(begin, end, lanes as i64, |b, c| {
                let place = b.add(base, c);
                let value = b.load_lanes(acc, place, lanes as u8);
                let column = b.add(origin.column, c);
                store(b, Cell { batch: origin.batch, row, column }, value);
            });
        };
        // Only the last block has a rest, and it is known now how large it is.
        let rest = plan.sizes.n % most;
        let mut begin = zero;
        for (lanes, needed, exact) in [
            (most, plan.sizes.n >= most, rest == 0),
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

fn round_down(b: &mut Builder, x: Val, unit: usize) -> Val {
    let units = b.div_floor(x, unit as i64);
    b.mul_const(units, unit as i64)
}

/// The largest power of two up to `x`.
fn largest_power(x: usize) -> usize {
    1 << x.ilog2()
}
