//! The memory order of operands: if the contiguous axes of a sum of products vectorise badly, one of its factors is permuted
//! first, so that vectors can run along the best axis.
//!
//! The gradient of a convolution's kernel is the example: its last axes are the kernel's, three or five long, whereas the
//! channels before them fill vectors and register tiles.

use dlc_ir::compute::Combine;
use dlc_ir::{ScalarOp, Type};

use super::tiling::{Tile, VectorAxis, choose_lane};
use crate::machine::{Cost, Machine};
use crate::nest::affine::{AffineIndex, volume};
use crate::nest::expr::{ExprArena, ExprId, ExprKind, Source};
use crate::nest::nests::{Nest, Nests, Output, SourceInfo, SourceKind};

/// The least number of points of a nest for which permuting pays.
const WORK: usize = 1 << 16;

/// A permutation of a tensor's elements: they are reshaped to `sizes`, and these axes are permuted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OperandOrder {
    /// The sizes of the axes before the permutation.
    pub sizes: Vec<usize>,
    /// For each axis of the result the axis that it was.
    pub order: Vec<usize>,
}

impl OperandOrder {
    /// The source of a nest that only copies it in another order, each element once, and that order.
    pub fn of(nest: &Nest, nests: &Nests) -> Option<(Source, OperandOrder)> {
        let ([output], None) = (nest.outputs.as_slice(), &nest.reduce) else { return None };
        if nests.sources[output.source].kind != SourceKind::Temp {
            return None;
        }
        let ExprKind::Read { source, offset, .. } = nests.exprs.get(output.expr) else { return None };
        let written = by_stride(&output.offset, &nest.extents)?;
        let elements = |source: Source| nests.sources[source].ty.shape.elements();
        if elements(output.source) != volume(&nest.extents) || !offset.is_affine() || offset.constant != 0 {
            return None;
        }
        let axes: Vec<_> = written.iter().map(|&axis| (nest.extents[axis], offset.coefficient(axis))).collect();
        Some((*source, OperandOrder::by_distance(&axes, elements(*source))?))
    }

    /// The order of some axes, given as their sizes and the distances of their neighbours in a tensor of so many elements; `None`
    /// if they are not all of its elements, each once.
    pub fn by_distance(axes: &[(usize, i64)], elements: usize) -> Option<OperandOrder> {
        let mut stored: Vec<usize> = (0..axes.len()).collect();
        stored.sort_by_key(|&axis| std::cmp::Reverse(axes[axis].1));
        let mut expected = 1;
        for &axis in stored.iter().rev() {
            if usize::try_from(axes[axis].1) != Ok(expected) {
                return None;
            }
            expected = expected.checked_mul(axes[axis].0)?;
        }
        let position = |axis: usize| stored.iter().position(|&a| a == axis).expect("both are all axes");
        let sizes = stored.iter().map(|&axis| axes[axis].0).collect();
        (expected == elements).then(|| OperandOrder { sizes, order: (0..axes.len()).map(position).collect() })
    }

    /// Whether it leaves all elements where they are.
    pub fn is_identity(&self) -> bool {
        self.order.is_sorted()
    }
}

/// The axes from the largest stride to the smallest, if an index is a bijection without gaps.
fn by_stride(index: &AffineIndex, extents: &[usize]) -> Option<Vec<usize>> {
    let mut axes: Vec<usize> = (0..extents.len()).collect();
    axes.sort_by_key(|&axis| std::cmp::Reverse(index.coefficient(axis)));
    let sizes: Vec<usize> = axes.iter().map(|&axis| extents[axis]).collect();
    let positions: Vec<AffineIndex> = axes.iter().map(|&axis| AffineIndex::axis(axis)).collect();
    (*index == AffineIndex::flatten(&positions, &sizes)).then_some(axes)
}

/// A nest vectorised along another axis.
struct Arrangement {
    cost: Cost,
    /// The axis of the vectors.
    lane: usize,
    /// Columns of the register tile.
    columns: usize,
    /// Which of the two factors has to be permuted; `None` if it is contiguous already.
    factor: Option<usize>,
}

/// Chooses the axis along which a nest is vectorised, and makes it the last parallel one. If no factor is contiguous along it,
/// returns the nest that permutes one.
pub(crate) fn arrange(nest: &mut Nest, nests: &mut Nests, machine: &Machine) -> Option<Nest> {
    let reduce = nest.reduce.as_ref()?;
    let total = nest.extents.iter().copied().fold(1, usize::saturating_mul);
    let ExprKind::Apply(ScalarOp::Mul, dtype, factors) = nests.exprs.get(reduce.body).clone() else { return None };
    let &[x, y] = factors.as_slice() else { return None };
    if reduce.combine != Combine::Sum || !reduce.predicates.is_empty() || !dtype.is_float() || total < WORK {
        return None;
    }
    let offsets = [plain(&nests.exprs, x)?, plain(&nests.exprs, y)?];
    let exprs = &nests.exprs;
    let now = match choose_lane(nest, exprs, machine) {
        lane @ VectorAxis::Parallel(axis) => {
            let tile = Tile::new(nest, exprs, lane, true, machine);
            // Loading lanes one by one takes about as long as multiplying them.
            let scattered = offsets.iter().any(|o| !matches!(o.coefficient(axis), 0 | 1));
            let times = 1 + Cost::from(scattered);
            tile.map(|tile| tile.cost.saturating_mul(times).saturating_add(strides(nest, exprs, axis, machine)))
        }
        lane => Tile::new(nest, exprs, lane, true, machine).map(|tile| tile.cost),
    };
    let now = now.unwrap_or_else(|| machine.costs.untiled.saturating_mul(total as Cost));
    let sizes = [x, y].map(|factor| elements(nests, factor));
    let best = (0..nest.parallel)
        .filter_map(|lane| option(nest, exprs, &offsets, sizes, lane, machine))
        .min_by_key(|a| a.cost)?;
    if best.cost.saturating_mul(10) > now.saturating_mul(9) {
        return None;
    }
    apply(&best, nest, nests)
}

fn plain(exprs: &ExprArena, factor: ExprId) -> Option<AffineIndex> {
    match exprs.get(factor) {
        ExprKind::Read { offset, .. } => offset.is_affine().then(|| offset.clone()),
        _ => None,
    }
}

/// The number of elements of what a factor reads.
fn elements(nests: &Nests, factor: ExprId) -> usize {
    match nests.exprs.get(factor) {
        ExprKind::Read { source, .. } => nests.sources[*source].ty.shape.elements(),
        _ => unreachable!("factors are reads"),
    }
}

/// The cost of vectorising along a parallel axis.
fn option(
    nest: &Nest,
    exprs: &ExprArena,
    offsets: &[AffineIndex; 2],
    elements: [usize; 2],
    lane: usize,
    machine: &Machine,
) -> Option<Arrangement> {
    let factor = match offsets.each_ref().map(|offset| offset.coefficient(lane)) {
        [c, 0] if c != 0 => 0,
        [0, c] if c != 0 => 1,
        _ => return None,
    };
    let tile = Tile::new(nest, exprs, VectorAxis::Parallel(lane), true, machine)?;
    let factor = (offsets[factor].coefficient(lane) != 1).then_some(factor);
    let moved = factor.map_or(0, |f| used(nest, &offsets[f]).map(|a| nest.extents[a]).fold(1, usize::saturating_mul));
    // Overlapping windows would be materialised in full.
    if factor.is_some_and(|f| moved > elements[f]) {
        return None;
    }
    let moving = machine.costs.moved.saturating_mul(moved as Cost);
    let cost = tile.cost.saturating_add(moving).saturating_add(strides(nest, exprs, lane, machine));
    Some(Arrangement { cost, lane, columns: usize::from(tile.lanes) * tile.vectors, factor })
}

fn used(nest: &Nest, offset: &AffineIndex) -> impl Iterator<Item = usize> {
    (0..nest.extents.len()).filter(|&a| offset.coefficient(a) != 0)
}

/// The cost of the epilogue's strided accesses if vectors run along an axis.
fn strides(nest: &Nest, exprs: &ExprArena, lane: usize, machine: &Machine) -> Cost {
    let parallel = volume(&nest.extents[..nest.parallel]);
    let sum = nest.reduce.as_ref().map(|r| r.source);
    let reads = exprs.reads(nest.outputs.iter().map(|o| o.expr));
    let reads = reads.into_iter().filter(|(source, _)| Some(*source) != sum).map(|(_, offset)| offset);
    let all = reads.chain(nest.outputs.iter().map(|o| o.offset.clone()));
    let strided = all.filter(|o| !matches!(o.coefficient(lane), 0 | 1)).count().saturating_mul(parallel);
    machine.costs.strided.saturating_mul(strided as Cost)
}

/// Makes the lane axis the innermost one, and permutes a factor if necessary, blocked by the columns of a tile.
fn apply(chosen: &Arrangement, nest: &mut Nest, nests: &mut Nests) -> Option<Nest> {
    let mut lane = chosen.lane;
    let n = nest.extents[lane];
    if chosen.factor.is_some() && n > chosen.columns && n.is_multiple_of(chosen.columns) {
        // Then a tile's vectors are contiguous within an iteration and from one iteration to the next.
        nest.split(lane, chosen.columns, &mut nests.exprs);
        lane += 1;
    }
    // Move the lane axis to the end of the parallel ones.
    let last = nest.parallel - 1;
    let position = |old: usize| match old {
        _ if old == lane => last,
        _ if old > lane && old <= last => old - 1,
        _ => old,
    };
    let mut extents = nest.extents.clone();
    let moved = extents.remove(lane);
    extents.insert(last, moved);
    let axes: Vec<AffineIndex> = (0..nest.extents.len()).map(|old| AffineIndex::axis(position(old))).collect();
    nest.substitute(&axes, extents, nest.parallel, &mut nests.exprs);

    let chosen = chosen.factor?;
    let reduce = nest.reduce.as_ref().expect("arranged nests reduce");
    let ExprKind::Apply(f, dtype, mut factors) = nests.exprs.get(reduce.body).clone() else {
        unreachable!("a product stays one")
    };
    let factor = factors[chosen];
    let offset = plain(&nests.exprs, factor).expect("it stays a read");
    // The new order: parallel axes, reduction axes, the lanes.
    let order: Vec<usize> = used(nest, &offset).filter(|&a| a != last).chain([last]).collect();
    let shape: Vec<usize> = order.iter().map(|&a| nest.extents[a]).collect();
    let source = nests.sources.len();
    nests.sources.push(SourceInfo { kind: SourceKind::Temp, ty: Type::new(dtype, shape.clone()) });
    let narrow: Vec<AffineIndex> = (0..nest.extents.len())
        .map(|a| order.iter().position(|&o| o == a).map_or_else(|| AffineIndex::constant(0), AffineIndex::axis))
        .collect();
    let expr = nests.exprs.substitute(factor, &narrow, &shape, &mut Default::default());
    let output = Output { source, offset: AffineIndex::row_major(0..shape.len(), &shape), expr, check: None };
    let mut made = Nest { parallel: shape.len(), extents: shape.clone(), reduce: None, outputs: vec![output] };
    made.normalize(&mut nests.exprs);

    let positions: Vec<AffineIndex> = order.iter().map(|&a| AffineIndex::axis(a)).collect();
    let offset = AffineIndex::flatten(&positions, &shape);
    factors[chosen] = nests.exprs.add(ExprKind::Read { source, dtype, offset });
    let body = nests.exprs.add(ExprKind::Apply(f, dtype, factors));
    nest.reduce.as_mut().expect("arranged nests reduce").body = body;
    Some(made)
}
