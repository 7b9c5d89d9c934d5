//! The layout of operands: a sum of products whose vectors would run badly along the axes that happen to be
//! contiguous gets one of its factors in another order first, so that they can run along the best axis.
//!
//! The gradient of a convolution's kernel is the example: its last axes are the kernel's, three or five long, and the
//! channels before them are what fills vectors and register tiles.

use dlc_ir::compute::Combine;
use dlc_ir::{ScalarOp, Type};

use super::tiling::{Lane, Tile, choose_lane};
use crate::machine::{Cost, Machine};
use crate::nest::composed::{Composed, Nest, Output, SourceInfo, SourceKind};
use crate::nest::form::{ExprId, Form, Forms, Source};
use crate::nest::linear::{Linear, volume};

/// Positions of a nest below which nothing is gained.
const WORK: usize = 1 << 16;

/// Another order of a tensor's elements: its elements, taken as a tensor of other sizes, with the axes of that permuted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Layout {
    /// The sizes, in the order of the elements as they are.
    pub sizes: Vec<usize>,
    /// Of each axis of the result which of those it is.
    pub order: Vec<usize>,
}

impl Layout {
    /// What a nest reads, and the order in which it writes that for other nests, if it does nothing else and each element is
    /// written once.
    pub fn of(nest: &Nest, composed: &Composed) -> Option<(Source, Layout)> {
        let ([output], None) = (nest.outputs.as_slice(), &nest.reduce) else { return None };
        if composed.sources[output.source].kind != SourceKind::Temp {
            return None;
        }
        let Form::Read { source, offset, .. } = composed.forms.get(output.expr) else { return None };
        let (read, written) = (by_stride(offset, &nest.extents)?, by_stride(&output.offset, &nest.extents)?);
        let elements = |source: Source| composed.sources[source].ty.shape.elements();
        let all = volume(&nest.extents);
        if elements(*source) != all || elements(output.source) != all {
            return None;
        }
        let sizes = read.iter().map(|&axis| nest.extents[axis]).collect();
        let place = |axis: &usize| read.iter().position(|a| a == axis).expect("both are all axes");
        Some((*source, Layout { sizes, order: written.iter().map(place).collect() }))
    }
}

/// The axes from the largest stride to the smallest, if an index walks over all positions, each once and without gaps.
fn by_stride(index: &Linear, extents: &[usize]) -> Option<Vec<usize>> {
    let mut axes: Vec<usize> = (0..extents.len()).collect();
    axes.sort_by_key(|&axis| std::cmp::Reverse(index.coefficient(axis)));
    let sizes: Vec<usize> = axes.iter().map(|&axis| extents[axis]).collect();
    let places: Vec<Linear> = axes.iter().map(|&axis| Linear::axis(axis)).collect();
    (*index == Linear::flatten(&places, &sizes)).then_some(axes)
}

/// The way of running a nest's vectors along another axis.
struct Arrangement {
    cost: Cost,
    /// Where the vectors run.
    lane: usize,
    /// Columns of the register tile.
    columns: usize,
    /// Which of the two factors has to be moved; none if its neighbours along the vectors are neighbours already.
    factor: Option<usize>,
}

/// Chooses the axis of a nest's vectors, and makes it the last one of those that are kept. If no factor is contiguous along it,
/// returns the nest that puts one in order.
pub(crate) fn arrange(nest: &mut Nest, composed: &mut Composed, machine: &Machine) -> Option<Nest> {
    let reduce = nest.reduce.as_ref()?;
    let total = nest.extents.iter().copied().fold(1, usize::saturating_mul);
    let Form::Apply(ScalarOp::Mul, dtype, factors) = composed.forms.get(reduce.body).clone() else { return None };
    let &[x, y] = factors.as_slice() else { return None };
    if reduce.combine != Combine::Sum || !reduce.tests.is_empty() || !dtype.is_float() || total < WORK {
        return None;
    }
    let offsets = [plain(&composed.forms, x)?, plain(&composed.forms, y)?];
    let forms = &composed.forms;
    let now = match choose_lane(nest, forms, machine) {
        lane @ Lane::Kept(axis) => {
            let tile = Tile::new(nest, forms, lane, true, machine);
            // Lanes that are read one by one take about as long as multiplying them.
            let scattered = offsets.iter().any(|o| !matches!(o.coefficient(axis), 0 | 1));
            let times = 1 + Cost::from(scattered);
            tile.map(|tile| tile.cost.saturating_mul(times).saturating_add(strides(nest, forms, axis, machine)))
        }
        lane => Tile::new(nest, forms, lane, true, machine).map(|tile| tile.cost),
    };
    let now = now.unwrap_or_else(|| machine.costs.untiled.saturating_mul(total as Cost));
    let sizes = [x, y].map(|factor| elements(composed, factor));
    let best =
        (0..nest.kept).filter_map(|lane| option(nest, forms, &offsets, sizes, lane, machine)).min_by_key(|a| a.cost)?;
    if best.cost.saturating_mul(10) > now.saturating_mul(9) {
        return None;
    }
    apply(&best, nest, composed)
}

fn plain(forms: &Forms, factor: ExprId) -> Option<Linear> {
    match forms.get(factor) {
        Form::Read { offset, .. } => offset.is_affine().then(|| offset.clone()),
        _ => None,
    }
}

/// The number of elements of what a factor reads.
fn elements(composed: &Composed, factor: ExprId) -> usize {
    match composed.forms.get(factor) {
        Form::Read { source, .. } => composed.sources[*source].ty.shape.elements(),
        _ => unreachable!("factors are reads"),
    }
}

/// What vectors along a kept axis would cost.
fn option(
    nest: &Nest,
    forms: &Forms,
    offsets: &[Linear; 2],
    elements: [usize; 2],
    lane: usize,
    machine: &Machine,
) -> Option<Arrangement> {
    let factor = match offsets.each_ref().map(|offset| offset.coefficient(lane)) {
        [c, 0] if c != 0 => 0,
        [0, c] if c != 0 => 1,
        _ => return None,
    };
    let tile = Tile::new(nest, forms, Lane::Kept(lane), true, machine)?;
    let factor = (offsets[factor].coefficient(lane) != 1).then_some(factor);
    let moved = factor.map_or(0, |f| used(nest, &offsets[f]).map(|a| nest.extents[a]).fold(1, usize::saturating_mul));
    // Windows that overlap would be written out one by one.
    if factor.is_some_and(|f| moved > elements[f]) {
        return None;
    }
    let moving = machine.costs.moved.saturating_mul(moved as Cost);
    let cost = tile.cost.saturating_add(moving).saturating_add(strides(nest, forms, lane, machine));
    Some(Arrangement { cost, lane, columns: usize::from(tile.lanes) * tile.vectors, factor })
}

fn used(nest: &Nest, offset: &Linear) -> impl Iterator<Item = usize> {
    (0..nest.extents.len()).filter(|&a| offset.coefficient(a) != 0)
}

/// What it costs that the epilogue's vectors along an axis are not contiguous.
fn strides(nest: &Nest, forms: &Forms, lane: usize, machine: &Machine) -> Cost {
    let kept = volume(&nest.extents[..nest.kept]);
    let sum = nest.reduce.as_ref().map(|r| r.source);
    let reads = forms.reads(nest.outputs.iter().map(|o| o.expr));
    let reads = reads.into_iter().filter(|(source, _)| Some(*source) != sum).map(|(_, offset)| offset);
    let all = reads.chain(nest.outputs.iter().map(|o| o.offset.clone()));
    let strided = all.filter(|o| !matches!(o.coefficient(lane), 0 | 1)).count().saturating_mul(kept);
    machine.costs.strided.saturating_mul(strided as Cost)
}

/// Makes the lane axis the innermost one, and moves the factor that is to be moved, cut to the columns of a tile.
fn apply(chosen: &Arrangement, nest: &mut Nest, composed: &mut Composed) -> Option<Nest> {
    let mut lane = chosen.lane;
    let n = nest.extents[lane];
    if chosen.factor.is_some() && n > chosen.columns && n.is_multiple_of(chosen.columns) {
        // Then all of a tile's vectors of a turn lie in a row, and those of the next turn behind them.
        nest.split(lane, chosen.columns, &mut composed.forms);
        lane += 1;
    }
    // The lane axis to the end of the kept ones.
    let last = nest.kept - 1;
    let place = |old: usize| match old {
        _ if old == lane => last,
        _ if old > lane && old <= last => old - 1,
        _ => old,
    };
    let mut extents = nest.extents.clone();
    let moved = extents.remove(lane);
    extents.insert(last, moved);
    let axes: Vec<Linear> = (0..nest.extents.len()).map(|old| Linear::axis(place(old))).collect();
    nest.substitute(&axes, extents, nest.kept, &mut composed.forms);

    let chosen = chosen.factor?;
    let reduce = nest.reduce.as_ref().expect("arranged nests reduce");
    let Form::Apply(f, dtype, mut factors) = composed.forms.get(reduce.body).clone() else {
        unreachable!("a product stays one")
    };
    let factor = factors[chosen];
    let offset = plain(&composed.forms, factor).expect("it stays a read");
    // The new order: kept axes, reduced axes, the lanes.
    let order: Vec<usize> = used(nest, &offset).filter(|&a| a != last).chain([last]).collect();
    let shape: Vec<usize> = order.iter().map(|&a| nest.extents[a]).collect();
    let source = composed.sources.len();
    composed.sources.push(SourceInfo { kind: SourceKind::Temp, ty: Type::new(dtype, shape.clone()) });
    let narrow: Vec<Linear> = (0..nest.extents.len())
        .map(|a| order.iter().position(|&o| o == a).map_or_else(|| Linear::constant(0), Linear::axis))
        .collect();
    let expr = composed.forms.substitute(factor, &narrow, &shape, &mut Default::default());
    let output = Output { source, offset: Linear::row_major(0..shape.len(), &shape), expr, check: None };
    let mut made = Nest { kept: shape.len(), extents: shape.clone(), reduce: None, outputs: vec![output] };
    made.normalize(&mut composed.forms);

    let places: Vec<Linear> = order.iter().map(|&a| Linear::axis(a)).collect();
    let offset = Linear::flatten(&places, &shape);
    factors[chosen] = composed.forms.add(Form::Read { source, dtype, offset });
    let body = composed.forms.add(Form::Apply(f, dtype, factors));
    nest.reduce.as_mut().expect("arranged nests reduce").body = body;
    Some(made)
}
