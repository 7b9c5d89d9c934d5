//! Reads across the vectors of a loop: where lanes are far apart in a buffer but neighbours on another axis are contiguous, squares
//! of elements are loaded along that axis and transposed in registers.

use super::{LoopEmitter, TilePoint};
use crate::cpu::tiling::{vector_lanes, weight};
use crate::cpu::vectorize::Elements;
use crate::kernel::{Access, KernelBuilder, Val};
use crate::machine::Machine;
use crate::nest::affine::AffineIndex;
use crate::nest::expr::{ExprArena, ExprId, ExprKind};
use crate::nest::nests::Nest;

/// The squares of a nest that maps elements.
#[derive(Clone, Debug)]
pub(crate) struct Squares {
    /// The parallel axis along which elements are loaded; as many of its points are computed at the same time as a vector has lanes.
    pub axis: usize,
    /// Rows and columns.
    pub side: usize,
    /// What is read in squares.
    reads: Vec<ExprId>,
}

/// The most operations of an iteration: all points of a square are unrolled.
const MOST: usize = 256;

impl Squares {
    /// Plans squares for vectors along a parallel axis, if something is read across them; without `overlap`, only whole ones.
    pub fn new(nest: &Nest, exprs: &ExprArena, lane: usize, overlap: bool, machine: &Machine) -> Option<Squares> {
        let mut side = usize::from(vector_lanes(nest, exprs));
        exprs.visit(nest.roots(), &mut |id, _| side = side.min(machine.lanes(exprs.dtype(id))));
        if nest.reduce.is_some() || side < 2 || nest.extents[lane] < side || weight(nest, exprs) * side > MOST {
            return None;
        }
        let is_across = |id: ExprId, offset: &AffineIndex| {
            // Vectors of smaller elements fill no register.
            exprs.dtype(id).size() >= 4 && offset.is_affine() && !matches!(offset.coefficient(lane), 0 | 1)
        };
        let across: Vec<_> = certain_reads(nest, exprs).filter(|&(id, offset)| is_across(id, offset)).collect();
        let fits = |axis: usize| {
            let n = nest.extents[axis];
            axis != lane && n >= side && (overlap || n.is_multiple_of(side))
        };
        let along = |axis: usize| across.iter().filter(move |(_, offset)| offset.coefficient(axis) == 1);
        let axis = (0..nest.parallel).filter(|&axis| fits(axis)).max_by_key(|&axis| along(axis).count())?;
        let reads: Vec<ExprId> = along(axis).map(|(read, _)| *read).collect();
        (!reads.is_empty()).then_some(Squares { axis, side, reads })
    }
}

/// The reads that are made whatever the data and the position are.
fn certain_reads<'a>(nest: &Nest, exprs: &'a ExprArena) -> impl Iterator<Item = (ExprId, &'a AffineIndex)> {
    let mut found = vec![];
    let mut stack = nest.roots();
    while let Some(id) = stack.pop() {
        match exprs.get(id) {
            ExprKind::Read { offset, .. } if !found.iter().any(|&(known, _)| known == id) => found.push((id, offset)),
            ExprKind::Apply(_, _, args) => stack.extend(args.iter().copied()),
            _ => {}
        }
    }
    found.into_iter()
}

impl LoopEmitter<'_> {
    /// For each read of the squares its vectors, one for each of the points, which are neighbours.
    pub(super) fn squares(
        &self,
        b: &mut KernelBuilder,
        elements: &mut Elements<'_>,
        squares: &Squares,
        points: &[TilePoint],
    ) -> Vec<(ExprId, Vec<Val>)> {
        let (first, side) = (&points[0], squares.side);
        let (lane, at, _) = first.lane.expect("squares are read across vectors");
        let mut load = |b: &mut KernelBuilder, read: ExprId| {
            let ExprKind::Read { source, offset, .. } = self.exprs.get(read) else {
                unreachable!("squares are of reads")
            };
            let buf = elements.buffers[*source].expect("an operand without elements is not read");
            let rows = (0..side).map(|i| {
                let position = b.add_const(at, i as i64);
                let index = first
                    .enter(elements, 1, |elements| elements.at(lane, position, |elements| elements.first(b, offset)));
                b.load_access(Access { buf, index, offset: 0, stride: 1, active: None }, side as u8)
            });
            let rows = rows.collect();
            b.transpose(rows)
        };
        squares.reads.iter().map(|&read| (read, load(b, read))).collect()
    }
}
