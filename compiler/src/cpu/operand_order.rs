//! The memory order of operands: if the contiguous axes of a sum of products vectorise badly, one of its factors is permuted
//! first, so that vectors can run along the best axis.
//!
//! The gradient of a convolution's kernel is the example: its last axes are the kernel's, three or five long, whereas the
//! channels before them fill vectors and register tiles.

use dlc_ir::compute::Combine;
use dlc_ir::{ScalarOp, Type};

use super::tile::Tiles;
use super::tiling::{VectorAxis, choose_lane};
use crate::machine::{Cost, Machine};
use crate::nest::affine::{AffineIndex, volume};
use crate::nest::expr::{ExprArena, ExprId, ExprKind, Predicate, Source};
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
    let chosen = best(nest, nests, machine)?.change?;
    apply(&chosen, nest, nests)
}

/// The best of all arrangements of a nest.
pub(super) struct Best {
    pub cost: Cost,
    /// Whether its points are computed in register tiles.
    pub is_tiled: bool,
    /// None if the nest is best as it is.
    change: Option<Arrangement>,
}

/// The best arrangement of a sum of products; none if it is no large one whose predicates are ranges.
pub(super) fn best(nest: &Nest, nests: &Nests, machine: &Machine) -> Option<Best> {
    let reduce = nest.reduce.as_ref()?;
    let total = nest.extents.iter().copied().fold(1, usize::saturating_mul);
    let ExprKind::Apply(ScalarOp::Mul, dtype, factors) = nests.exprs.get(reduce.body).clone() else { return None };
    let &[x, y] = factors.as_slice() else { return None };
    let is_range = reduce.predicates.iter().all(|p| p.range(nest.parallel).is_some());
    if reduce.combine != Combine::Sum || !is_range || !dtype.is_float() || total < WORK {
        return None;
    }
    let offsets = [plain(&nests.exprs, x)?, plain(&nests.exprs, y)?];
    let exprs = &nests.exprs;
    let tiles = Tiles::new(nest, exprs, machine);
    let tile = |lane: VectorAxis| tiles.as_ref()?.along(lane, true, false);
    let now = match choose_lane(nest, exprs, machine) {
        lane @ VectorAxis::Parallel(axis) => {
            let tile = tile(lane);
            // Loading lanes one by one takes about as long as multiplying them.
            let scattered = offsets.iter().any(|o| !matches!(o.coefficient(axis), 0 | 1));
            let times = 1 + Cost::from(scattered);
            tile.map(|tile| tile.cost.saturating_mul(times).saturating_add(strides(nest, exprs, axis, machine)))
        }
        lane => tile(lane).map(|tile| tile.cost),
    };
    let is_tiled = now.is_some();
    let now = now.unwrap_or_else(|| machine.costs.untiled.saturating_mul(total as Cost));
    let sizes = [x, y].map(|factor| elements(nests, factor));
    let best = (0..nest.parallel)
        .filter_map(|lane| option(nest, exprs, tiles.as_ref()?, &offsets, sizes, lane, machine))
        .min_by_key(|a| a.cost)
        .filter(|best| best.cost.saturating_mul(10) <= now.saturating_mul(9));
    let cost = best.as_ref().map_or(now, |best| best.cost);
    Some(Best { cost, is_tiled: is_tiled || best.is_some(), change: best })
}

/// The index of a factor that is a read, affine along the axes of the reduction.
fn plain(exprs: &ExprArena, factor: ExprId) -> Option<AffineIndex> {
    match exprs.get(factor) {
        ExprKind::Read { offset, .. } => (!offset.reads_data()).then(|| offset.clone()),
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
    tiles: &Tiles<'_>,
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
    let factor = (offsets[factor].coefficient(lane) != 1).then_some(factor);
    let moved = factor.map_or(0, |f| volume(&Dimension::sizes(&Dimension::all(nest, &offsets[f]))));
    let tile = |divides: bool| tiles.along(VectorAxis::Parallel(lane), true, divides);
    let mut tile_of = tile(false)?;
    // A permuted factor is divided into blocks of columns, each of which stays in a cache while it is used.
    if factor.is_some()
        && let Some(whole) = tile(true)
        && whole.cost.saturating_mul(3) <= tile_of.cost.saturating_mul(4)
    {
        tile_of = whole;
    }
    let tile = tile_of;
    // Overlapping windows would be materialised in full.
    if factor.is_some_and(|f| moved > elements[f]) {
        return None;
    }
    let moving = machine.costs.moved.saturating_mul(moved as Cost);
    let cost = tile.cost.saturating_add(moving).saturating_add(strides(nest, exprs, lane, machine));
    Some(Arrangement { cost, lane, columns: usize::from(tile.lanes) * tile.vectors, factor })
}

/// An axis along which a factor's elements are counted: an axis of the nest, or a combination of some that a predicate restricts.
struct Dimension {
    index: AffineIndex,
    /// Its coefficient in the factor's index; none if the axis occurs in quotients.
    step: Option<i64>,
    low: i64,
    size: usize,
}

impl Dimension {
    /// The dimensions of an index, those of inner axes last. Together they reach every element that the nest reads.
    fn all(nest: &Nest, offset: &AffineIndex) -> Vec<Dimension> {
        let mut rest = offset.clone();
        let mut all: Vec<Dimension> = vec![];
        for predicate in nest.reduce.iter().flat_map(|r| &r.predicates) {
            let Predicate::InRange { index, low, high } = predicate else { continue };
            let step = index.terms.first().and_then(|(term, c)| {
                let (_, of) = rest.terms.iter().find(|(t, _)| t == term)?;
                (of % c == 0).then_some(of / c)
            });
            let Some(step) = step else { continue };
            let others = rest.plus(&index.scaled(-step));
            let is_part = others.terms.len() + index.terms.len() == rest.terms.len();
            let size = high.checked_sub(*low).and_then(|n| usize::try_from(n).ok());
            if let Some(size) = size.filter(|_| is_part && index.terms.len() > 1) {
                rest = others;
                all.push(Dimension { index: index.clone(), step: Some(step), low: *low, size });
            }
        }
        for axis in rest.axes() {
            let step = rest.is_affine_in(axis).then(|| rest.coefficient(axis));
            all.push(Dimension { index: AffineIndex::axis(axis), step, low: 0, size: nest.extents[axis] });
        }
        all.sort_by_key(|d| d.index.axes().last().copied());
        all
    }

    fn sizes(all: &[Dimension]) -> Vec<usize> {
        all.iter().map(|d| d.size).collect()
    }
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
    let mut order = Dimension::all(nest, &offset);
    let lanes =
        order.iter().position(|d| d.index == AffineIndex::axis(last)).expect("the factor moves along the lanes");
    let lanes = order.remove(lanes);
    order.push(lanes);
    let shape = Dimension::sizes(&order);
    let source = nests.sources.len();
    nests.sources.push(SourceInfo { kind: SourceKind::Temp, ty: Type::new(dtype, shape.clone()) });
    // Each dimension but those within quotients is taken out of the index by its step, and put in again as an axis.
    let mut from = offset;
    let mut narrow = vec![AffineIndex::constant(0); nest.extents.len()];
    for (axis, d) in order.iter().enumerate() {
        match d.step {
            Some(step) => from = from.plus(&d.index.scaled(-step)),
            None => narrow[d.index.axes()[0]] = AffineIndex::axis(axis),
        }
    }
    let mut from = from.substitute(&narrow, &shape, &mut |data| data);
    for (axis, d) in order.iter().enumerate() {
        from = from.plus(&AffineIndex::axis(axis).plus_constant(d.low).scaled(d.step.unwrap_or(0)));
    }
    let ExprKind::Read { source: read, dtype: of, .. } = *nests.exprs.get(factor) else {
        unreachable!("it stays a read")
    };
    let expr = nests.exprs.add(ExprKind::Read { source: read, dtype: of, offset: from });
    let output = Output { source, offset: AffineIndex::row_major(0..shape.len(), &shape), expr, check: None };
    let mut made = Nest { parallel: shape.len(), extents: shape.clone(), reduce: None, outputs: vec![output] };
    made.normalize(&mut nests.exprs);

    let positions: Vec<AffineIndex> = order.iter().map(|d| d.index.clone().plus_constant(-d.low)).collect();
    let offset = AffineIndex::flatten(&positions, &shape);
    factors[chosen] = nests.exprs.add(ExprKind::Read { source, dtype, offset });
    let body = nests.exprs.add(ExprKind::Apply(f, dtype, factors));
    nest.reduce.as_mut().expect("arranged nests reduce").body = body;
    Some(made)
}
