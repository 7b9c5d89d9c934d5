//! How a nest becomes loops: which axis vectors run along, how many positions are computed at the same time, and what one
//! chunk of a kernel is. A function of shapes and accesses only, never of the machine or the number of threads.

use dlc_ir::ScalarOp;
use dlc_ir::compute::Combine;

use crate::kernel::lanes;
use crate::nest::composed::Nest;
use crate::nest::form::{Form, Forms};
use crate::nest::linear::{Linear, volume};
use crate::nest::materialize::depends;

/// Which axis the lanes of vectors run along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// None: scalars.
    None,
    /// An axis of the result.
    Kept(usize),
    /// An axis of the reduction.
    Reduced(usize),
}

/// Element operations of a chunk, some ten microseconds of work.
pub(crate) const CHUNK_WORK: usize = 16_384;
/// The same for register tiles, which are that much faster.
const TILE_WORK: usize = 8 * CHUNK_WORK;
/// The most chunks of a kernel.
pub(crate) const MAX_CHUNKS: usize = 256;
/// Registers that a register tile may fill: sums, the vectors that all rows meet, a row's own factor, and the copy of it
/// that the next multiplication overwrites. One more, and sums are spilled within the chain that everything waits for.
const REGISTERS: usize = 15;

/// The registers of a tile of so many rows and vectors.
fn registers(r: usize, v: usize) -> usize {
    match (r, v) {
        (_, 1) => r + 2,
        (1, _) => v + 3,
        _ => r * v + v + 2,
    }
}

/// How a nest becomes loops.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub lane: Lane,
    pub lanes: u8,
    /// Vectors along the lane axis that are computed at the same time.
    pub vectors: usize,
    /// Other kept axes of which several positions are computed at the same time, ascending.
    pub jam: Vec<(usize, usize)>,
    pub chunks: usize,
    /// Positions, or rows, of a chunk.
    pub per: usize,
    /// How many leading kept axes the chunks divide between them; 0 if they divide the one lane axis.
    pub prefix: usize,
    /// Whether the last vector of a row may overlap the one before it: nothing is overwritten that is still read.
    pub overlap: bool,
    /// Whether the code is to be small rather than fast.
    pub is_rare: bool,
}

impl Plan {
    /// Plans a nest; without `overlap`, no element may be computed twice.
    pub fn new(nest: &Nest, forms: &Forms, overlap: bool) -> Plan {
        let mut plan = Plan {
            lane: choose_lane(nest, forms),
            lanes: 1,
            vectors: 1,
            jam: vec![],
            chunks: 1,
            per: 1,
            prefix: 0,
            overlap,
            is_rare: false,
        };
        let tiled = plan.tile(nest, forms);
        if !tiled {
            plan.vectorize(nest, forms);
        }
        if plan.lanes == 1 {
            plan.lane = Lane::None;
        }
        plan.divide(nest, forms, tiled);
        plan
    }

    /// One vector of positions, or one position, by code that hardly ever runs.
    pub fn rare(lane: Lane, lanes: u8) -> Plan {
        Plan { lane, lanes, vectors: 1, jam: vec![], chunks: 1, per: 1, prefix: 0, overlap: true, is_rare: true }
    }

    fn vectorize(&mut self, nest: &Nest, forms: &Forms) {
        let full = vector_lanes(nest, forms);
        let fit = |n: usize| full.min(1 << n.max(1).ilog2().min(4));
        self.lanes = match self.lane {
            Lane::None => 1,
            Lane::Kept(axis) if self.overlap => fit(nest.extents[axis]),
            Lane::Kept(axis) => fit(nest.extents[axis].next_power_of_two()),
            Lane::Reduced(axis) => fit(nest.extents[axis]),
        };
    }

    /// A register tile for a reduction that reads its operands many times over.
    fn tile(&mut self, nest: &Nest, forms: &Forms) -> bool {
        let Some(tile) = Tile::new(nest, forms, self.lane, self.overlap) else { return false };
        (self.lanes, self.vectors, self.jam) = (tile.lanes, tile.vectors, tile.jam);
        true
    }

    /// Cuts the kept axes into chunks.
    fn divide(&mut self, nest: &Nest, forms: &Forms, tiled: bool) {
        let work = volume(&nest.extents).saturating_mul(weight(nest, forms));
        let wanted = (work / if tiled { TILE_WORK } else { CHUNK_WORK }).clamp(1, MAX_CHUNKS);
        if self.lane == Lane::Kept(0) && nest.kept == 1 {
            let n = nest.extents[0];
            let len = n.div_ceil(wanted).next_multiple_of(4 * self.lanes as usize * self.vectors);
            // All chunks but the last, which is up to twice as long, have this length.
            (self.chunks, self.per) = ((n / len).max(1), len);
            return;
        }
        let outer = nest.kept - usize::from(matches!(self.lane, Lane::Kept(_)));
        let mut rows = 1;
        while self.prefix < outer && rows < wanted {
            rows *= self.steps(nest, self.prefix);
            self.prefix += 1;
        }
        self.per = rows.div_ceil(wanted.min(rows).max(1)).max(1);
        self.chunks = rows.div_ceil(self.per).max(1);
    }

    /// How many positions of an axis are computed at the same time.
    pub fn jammed(&self, axis: usize) -> usize {
        self.jam.iter().find(|(a, _)| *a == axis).map_or(1, |(_, count)| *count)
    }

    /// The number of turns of the loop over a kept axis that is not the lanes'.
    pub fn steps(&self, nest: &Nest, axis: usize) -> usize {
        nest.extents[axis].div_ceil(self.jammed(axis))
    }
}

/// A register tile: so many positions of some kept axes at the same time.
pub(crate) struct Tile {
    pub lanes: u8,
    pub vectors: usize,
    pub jam: Vec<(usize, usize)>,
    /// An estimate of the sixths of a cycle that the whole nest takes.
    pub cost: usize,
}

impl Tile {
    /// The tile of a nest with lanes along an axis, if it is a reduction that reads its operands many times over.
    pub fn new(nest: &Nest, forms: &Forms, lane: Lane, overlap: bool) -> Option<Tile> {
        let reduce = nest.reduce.as_ref()?;
        let reads: Vec<Linear> = forms.reads([reduce.body]).into_iter().map(|(_, offset)| offset).collect();
        let reduced = volume(&nest.extents[nest.kept..]);
        let is_arg = matches!(reduce.combine, Combine::ArgMin | Combine::ArgMax);
        let plain = reads.iter().all(Linear::is_affine) && reduce.tests.is_empty() && !is_arg;
        let dtype = forms.dtype(reduce.body);
        if !plain || !dtype.is_float() || reads.len() < 2 || reduced < 8 || weight(nest, forms) > 12 {
            return None;
        }
        let width = 16 / dtype.size();
        let mentions = |offset: &Linear, axis: usize| offset.coefficient(axis) != 0;
        // The innermost kept axis that some operands move along, but none of those that move along another axis.
        let beside = |axis: usize| {
            let moving = || reads.iter().filter(|o| mentions(o, axis));
            let fits = |&a: &usize| a != axis && !moving().any(|o| mentions(o, a));
            (0..nest.kept).rev().filter(fits).find(|&a| reads.iter().any(|o| mentions(o, a)))
        };
        let kept = volume(&nest.extents[..nest.kept]);
        match lane {
            Lane::None => None,
            Lane::Kept(lane) => {
                let n = nest.extents[lane];
                if n < width {
                    return None;
                }
                let row = beside(lane);
                let rows = row.map_or(1, |a| nest.extents[a]);
                let (cost, (r, v)) = best_tile(rows, n.div_ceil(width), 2, |r, v| {
                    let whole = rows.is_multiple_of(r) && n.is_multiple_of(v * width);
                    r <= rows && v <= n.div_ceil(width) && (overlap || whole)
                })?;
                // Several registers are one vector where no two of those overlap.
                let wide = if n.is_multiple_of(v * width) { v & v.wrapping_neg() } else { 1 };
                let lanes = (wide * width).min(16) as u8;
                Some(Tile {
                    lanes,
                    vectors: v * width / lanes as usize,
                    jam: row.filter(|_| r > 1).map(|a| (a, r)).into_iter().collect(),
                    cost: (kept / (n * rows)).saturating_mul(reduced).saturating_mul(cost),
                })
            }
            Lane::Reduced(lane) => {
                let length = nest.extents[lane];
                if length < width {
                    return None;
                }
                let some = |a: usize| reads.iter().any(|o| !mentions(o, a)) && reads.iter().any(|o| mentions(o, a));
                let column = (0..nest.kept).rev().find(|&a| some(a))?;
                let row = beside(column);
                let rows = row.map_or(1, |a| nest.extents[a]);
                let n = nest.extents[column];
                let (cost, (r, v)) = best_tile(rows, n, 1, |r, v| {
                    let whole = rows.is_multiple_of(r) && n.is_multiple_of(v);
                    r <= rows && v <= n && (overlap || whole)
                })?;
                let mut jam: Vec<(usize, usize)> = row.filter(|_| r > 1).map(|a| (a, r)).into_iter().collect();
                jam.extend((v > 1).then_some((column, v)));
                jam.sort_unstable();
                // The vectors of a turn, and the combination of their lanes at the end.
                let turns = (reduced / length).saturating_mul(length.div_ceil(width));
                let cost = (kept / (n * rows)).saturating_mul(turns).saturating_mul(cost);
                Some(Tile { lanes: width as u8, vectors: 1, jam, cost: cost.saturating_add(kept.saturating_mul(36)) })
            }
        }
    }
}

/// The number of rows and vectors of a register tile that takes the fewest cycles over a result of so many, and those in
/// sixths of a cycle for one turn of the reduction. A row costs `row` instructions for its operand: two, if that has to be
/// repeated in all lanes.
fn best_tile(
    rows: usize,
    vectors: usize,
    row: usize,
    fits: impl Fn(usize, usize) -> bool,
) -> Option<(usize, (usize, usize))> {
    let mut best: Option<(usize, (usize, usize))> = None;
    for r in 1..=REGISTERS {
        for v in (1..=REGISTERS).take_while(|&v| registers(r, v) <= REGISTERS) {
            if !fits(r, v) {
                continue;
            }
            let fmas = r * v;
            // Multiplications, their latency, loads, and four instructions a cycle, copies of factors included. Eight
            // chains of multiplications would just cover their latency if none ever had to wait.
            let instructions = fmas + row * r + v + r * (v - 1);
            let turn = (3 * fmas).max(28).max(3 * (r + v)).max(instructions * 3 / 2);
            let cost = rows.div_ceil(r) * vectors.div_ceil(v) * turn;
            if best.is_none_or(|(c, _)| cost < c) {
                best = Some((cost, (r, v)));
            }
        }
    }
    best
}

/// The number of lanes for the dtypes of a nest.
fn vector_lanes(nest: &Nest, forms: &Forms) -> u8 {
    let mut fewest = 16;
    forms.visit(nest.roots(), &mut |id, _| fewest = fewest.min(lanes(forms.dtype(id))));
    fewest
}

/// A rough number of operations an element.
fn weight(nest: &Nest, forms: &Forms) -> usize {
    use ScalarOp::{Cos, Div, Erf, Exp, Expm1, Log, Log1p, Pow, Rem, Rsqrt, Sigmoid, Sin, Sqrt, Tanh};
    let roots = match &nest.reduce {
        Some(reduce) => vec![reduce.body],
        None => nest.roots(),
    };
    let mut weight = 0;
    forms.visit(roots, &mut |_, form| {
        weight += match form {
            Form::Apply(Exp | Log | Tanh | Sigmoid | Erf | Sin | Cos | Pow | Expm1 | Log1p, ..) => 12,
            Form::Apply(Div | Sqrt | Rsqrt | Rem, ..) => 4,
            Form::Apply(..) | Form::Read { .. } => 1,
            Form::If { .. } => 2,
            Form::Random { .. } => 100,
            Form::Const(_) | Form::Position(..) => 0,
        }
    });
    weight.max(1)
}

/// The axis along which vectors cost least.
pub(crate) fn choose_lane(nest: &Nest, forms: &Forms) -> Lane {
    let kept = nest.kept.checked_sub(1);
    let fallback = kept.map_or(Lane::None, Lane::Kept);
    let Some(reduce) = &nest.reduce else { return fallback };
    let is_arg = matches!(reduce.combine, Combine::ArgMin | Combine::ArgMax);
    let last = nest.extents.len().saturating_sub(1);
    if nest.extents.len() <= nest.kept || is_arg {
        return fallback;
    }
    let reads = forms.reads([reduce.body]);
    // In quarters of an instruction an element, for four lanes.
    let cost = |axis: usize| -> usize {
        let n = nest.extents[axis];
        let per_read = |offset: &Linear| match offset.coefficient(axis) {
            _ if !offset.is_affine() => 16,
            0 | 1 => 4,
            _ => 16,
        };
        let walk: usize = reads.iter().map(|(_, offset)| per_read(offset)).sum();
        // The last vector of a row of the result overlaps the one before; that of a sum is read lane by lane.
        let turns = if axis < nest.kept { n.div_ceil(4) } else { n / 4 + 4 * usize::from(!n.is_multiple_of(4)) };
        walk * 4 * turns * 16 / n.max(1)
    };
    let reduced = volume(&nest.extents[nest.kept..]);
    // Behind the loops, the lanes are combined.
    let tree = 16 * 24 / reduced.max(1);
    match kept {
        Some(axis) if nest.extents[last] < 4 || cost(axis) <= cost(last) + tree => {
            let varies = depends(forms, reduce.body, axis);
            if varies || nest.extents[last] < 4 { Lane::Kept(axis) } else { Lane::Reduced(last) }
        }
        _ if nest.extents[last] >= 4 => Lane::Reduced(last),
        _ => fallback,
    }
}
