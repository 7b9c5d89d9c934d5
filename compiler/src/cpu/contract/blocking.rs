//! The sizes of register tiles and of blocks.

use std::cmp::Reverse;

use dlc_ir::DType;

use crate::machine::{Cost, Machine};

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
    /// Columns are contiguous in runs of this many, which tiles do not cross; it divides `n`.
    pub run: usize,
    /// The length of the sums; at least 1.
    pub k: usize,
}

/// The blocking of a contraction; a function of the sizes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocking {
    pub sizes: Sizes,
    /// Rows and columns of the register tile.
    pub tile: (usize, usize),
    /// Rows, columns and depth of a block; the first two are multiples of those of the tile.
    pub block: (usize, usize, usize),
    /// Elements in a vector register.
    pub lanes: usize,
    /// How often each element of A is repeated in its panel: once where loads broadcast, else in all lanes of a register.
    pub copies: usize,
}

/// The unrolling of the innermost loop.
pub(super) const UNROLL: usize = 4;
/// Columns that are packed together.
pub(super) const COLUMNS_UNIT: usize = 16;

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

impl Sizes {
    /// Whether a tile with this many columns never crosses the end of a run.
    fn has_whole(&self, columns: usize) -> bool {
        self.run == self.n || self.run.is_multiple_of(columns)
    }
}

impl Blocking {
    /// Chooses the blocking; `None` if every tile would cross the end of a run.
    pub fn new(sizes: Sizes, machine: &Machine) -> Option<Blocking> {
        let width = machine.lanes(sizes.dtype);
        let costs = &machine.costs;
        let (m, n) = (sizes.m.max(1), sizes.n.max(1));
        let cost = |&(rows, vectors): &(usize, usize)| {
            let tiles = m.div_ceil(rows) * n.div_ceil(vectors * width);
            let (loads, fmas) = ((rows + vectors) as Cost, (rows * vectors) as Cost);
            // Of equally fast ones the largest, which loads least.
            (tiles as Cost * (costs.load * loads).max(costs.fma * fmas), Reverse(fmas))
        };
        let whole = tiles(machine).into_iter().filter(|(_, vectors)| sizes.has_whole(vectors * width));
        let (rows, vectors) = whole.min_by_key(cost)?;
        Some(Blocking::with_tile(sizes, (rows, vectors * width), machine))
    }

    /// The blocking for a given register tile, whose columns are a multiple of the lanes of a register.
    pub fn with_tile(sizes: Sizes, tile: (usize, usize), machine: &Machine) -> Blocking {
        assert!(matches!(sizes.dtype, DType::F32 | DType::F64), "contractions are of floats");
        let (m, n, k) = (sizes.m.max(1), sizes.n.max(1), sizes.k.max(1));
        let rows = tile.0;
        let even = |size: usize, most: usize, unit: usize| {
            let blocks = size.div_ceil(most);
            size.div_ceil(blocks).next_multiple_of(unit)
        };
        let (side, most_depth) = largest_block(machine);
        // Neighbouring panels are packed together.
        let unit = if COLUMNS_UNIT.is_multiple_of(tile.1) { COLUMNS_UNIT } else { tile.1 };
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
    pub(super) fn pitch(&self) -> usize {
        if self.copies > 1 { self.tile.0 } else { self.tile.0.next_power_of_two() }
    }

    pub(super) fn row_blocks(&self) -> usize {
        self.sizes.m.div_ceil(self.block.0)
    }

    pub(super) fn column_blocks(&self) -> usize {
        self.sizes.n.div_ceil(self.block.1)
    }
}
