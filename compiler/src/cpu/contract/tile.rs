//! The register tile, and what becomes of its sums.

use super::blocking::UNROLL;
use super::{Blocking, Cell, StoreFn, round_down};
use crate::kernel::build::KernelBuilder;
use crate::kernel::ir::{Binary, Buf, Compare, Elem, Ty, Val};

/// Rows or columns of an operand from one tile on: the element at `(row, k)` is at `base + row * pitch + k * step`.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    pub buf: Buf,
    pub base: Val,
    pub pitch: usize,
    pub step: usize,
}

/// Where the sums of a tile are while they are not in registers, row by row.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    pub buf: Buf,
    pub base: Val,
    /// Elements from row to row.
    pub pitch: usize,
}

impl Sums {
    fn at(self, b: &mut KernelBuilder, row: usize, column: usize) -> Val {
        b.add_const(self.base, (row * self.pitch + column) as i64)
    }
}

/// Computes `Σ A · B` over `length` positions in registers, and stores it, added to what is there if `adds`.
pub(super) fn multiply(
    b: &mut KernelBuilder,
    blocking: &Blocking,
    left: Strip,
    right: Strip,
    length: Val,
    (sums, adds): (Sums, bool),
) {
    let (rows, columns) = blocking.tile;
    let vectors = columns / blocking.lanes;
    let ty = Ty::vector(Elem::of(blocking.sizes.dtype), blocking.lanes as u8);
    let zero = b.index(0);
    let mut tile: Vec<Val> = (0..rows * vectors).map(|_| b.float(ty, 0.0)).collect();
    let unrolled = round_down(b, length, UNROLL);
    tile = b.fold(zero, unrolled, UNROLL as i64, &tile, |b, k, tile| {
        b.unrolled(UNROLL, tile, |b, u, tile| {
            let k = b.add(k, u);
            multiply_add(b, blocking, left, right, k, tile)
        })
    });
    if !blocking.sizes.k.is_multiple_of(UNROLL) {
        tile = b.fold(unrolled, length, 1, &tile, |b, k, tile| multiply_add(b, blocking, left, right, k, tile));
    }
    for (i, mut sum) in tile.into_iter().enumerate() {
        let offset = sums.at(b, i / vectors, i % vectors * blocking.lanes);
        if adds {
            let before = b.load_lanes(sums.buf, offset, blocking.lanes as u8);
            sum = b.add(before, sum);
        }
        b.store(sums.buf, offset, sum);
    }
}

/// The tile with the products at one position of the sum.
fn multiply_add(
    b: &mut KernelBuilder,
    blocking: &Blocking,
    left: Strip,
    right: Strip,
    k: Val,
    tile: &[Val],
) -> Vec<Val> {
    let (rows, columns) = blocking.tile;
    let lanes = blocking.lanes;
    let vectors = columns / lanes;
    let [x, y] = [left, right].map(|side| {
        let offset = b.mul_const(k, side.step as i64);
        b.add(side.base, offset)
    });
    let vector = |b: &mut KernelBuilder, nth: usize| {
        let offset = b.add_const(y, (nth * lanes * right.pitch) as i64);
        b.load_lanes(right.buf, offset, lanes as u8)
    };
    // An element of A in all lanes.
    let element = |b: &mut KernelBuilder, nth: usize| {
        let offset = b.add_const(x, (nth * left.pitch) as i64);
        if blocking.copies > 1 {
            return b.load_lanes(left.buf, offset, lanes as u8);
        }
        let x = b.load(left.buf, offset);
        b.splat(x, lanes as u8)
    };
    let mut next = tile.to_vec();
    // FMA overwrites the register of its first factor: the operand with more vectors is loaded last, so that few copies are needed.
    if rows >= vectors {
        let ys: Vec<Val> = (0..vectors).map(|v| vector(b, v)).collect();
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
            let y = vector(b, v);
            for (r, &x) in xs.iter().enumerate() {
                let sum = &mut next[r * vectors + v];
                *sum = b.fma(y, x, *sum);
            }
        }
    }
    next
}

/// Passes the sums of a tile, of which `rows` and `columns` are left in C, to their consumer, row by row, in vectors along n.
pub(super) fn consume(
    b: &mut KernelBuilder,
    blocking: &Blocking,
    sums: Sums,
    origin: Cell,
    [rows, columns]: [Val; 2],
    store: &mut StoreFn<'_>,
) {
    let whole = b.index(blocking.tile.1 as i64);
    if blocking.sizes.n.is_multiple_of(blocking.tile.1) {
        return consume_rows(b, blocking, sums, origin, [rows, whole], false, store);
    }
    let is_whole = b.compare(Compare::Ge, columns, whole);
    b.when(is_whole, |b| consume_rows(b, blocking, sums, origin, [rows, whole], false, store));
    let is_partial = b.compare(Compare::Lt, columns, whole);
    b.when(is_partial, |b| consume_rows(b, blocking, sums, origin, [rows, columns], true, store));
}

fn consume_rows(
    b: &mut KernelBuilder,
    blocking: &Blocking,
    sums: Sums,
    origin: Cell,
    [rows, columns]: [Val; 2],
    is_partial: bool,
    store: &mut StoreFn<'_>,
) {
    let (tile_rows, tile_columns) = blocking.tile;
    let most = usize::from(crate::kernel::lanes(blocking.sizes.dtype));
    let lanes = most.min(1 << tile_columns.trailing_zeros());
    let all = b.index(tile_rows as i64);
    let height = if blocking.sizes.m.is_multiple_of(tile_rows) { all } else { b.binary(Binary::Min, rows, all) };
    let zero = b.index(0);
    b.repeat(zero, height, 1, |b, r| {
        let row = b.add(origin.row, r);
        let base = b.mul_const(r, sums.pitch as i64);
        let base = b.add(sums.base, base);
        for done in (0..tile_columns).step_by(lanes) {
            let offset = b.add_const(base, done as i64);
            let value = b.load_lanes(sums.buf, offset, lanes as u8);
            let column = b.add_const(origin.column, done as i64);
            let active = is_partial.then(|| {
                let (left, all) = (b.add_const(columns, -(done as i64)), b.index(lanes as i64));
                b.binary(Binary::Min, left, all)
            });
            store(b, Cell { batch: origin.batch, row, column }, value, active);
        }
    });
}
