//! Large matrix products, lowered to the packed and blocked contraction.

use dlc_ir::ScalarOp;
use dlc_ir::compute::Combine;

use super::contract::{
    self, Blocking, Contiguous, IndexFn, LoadFn, OperandElement, OperandSource, PackedOperand, Sizes, StridedOperand,
    contract,
};
use super::loops::{self, Launch};
use super::operand_order::OperandOrder;
use super::vectorize::Elements;
use crate::kernel::{Access, KernelBuilder, Val};
use crate::machine::Machine;
use crate::nest::affine::AffineIndex;
use crate::nest::expr::{ExprArena, ExprId, ExprKind, Source};
use crate::nest::nests::{Nest, Nests, SourceInfo};

/// The smallest matrix size that is blocked.
const SIDE: usize = 32;

/// A nest as a batch of matrix products.
struct Product {
    left: ExprId,
    right: ExprId,
    /// The parallel axes of the batch, of the rows and of the columns, and the reduction axes.
    axes: [Vec<usize>; 4],
    blocking: Blocking,
}

/// The product of the sizes of some axes.
fn size(nest: &Nest, axes: &[usize]) -> usize {
    axes.iter().map(|&a| nest.extents[a]).fold(1, usize::saturating_mul)
}

/// Whether packing costs little beside the products. Where loads broadcast, a register tile takes elements from where they are: so
/// packing them one by one never pays. Nor does packing columns that are contiguous in short runs only.
fn is_worth(nest: &Nest, exprs: &ExprArena, product: &Product, machine: &Machine) -> bool {
    let Sizes { m, n, run, k, .. } = product.blocking.sizes;
    let vectors = [(product.left, 1), (product.right, 2)]
        .iter()
        .all(|&(factor, rows)| along(nest, exprs, product, factor, rows) != Contiguous::None);
    let is_packed = in_place(nest, exprs, product, product.right, 2).is_none();
    let is_large = m >= SIDE && k >= SIDE && if is_packed { run >= SIDE } else { n >= SIDE };
    // Nor does packing each element of a window once for every window.
    let overlap = [product.left, product.right].iter().any(|&factor| {
        let (_, offset) = read(exprs, factor);
        let (first, last) = offset.range(&nest.extents);
        size(nest, &offset.axes()) as i64 > last.saturating_sub(first).saturating_add(1)
    });
    let is_read = machine.broadcasts && (overlap || !vectors);
    is_large && !is_read && contract::work(m, n, k, machine) >= machine.costs.packing
}

/// Along what a factor is contiguous, whose rows or columns are the axes of a group.
fn along(nest: &Nest, exprs: &ExprArena, product: &Product, factor: ExprId, group: usize) -> Contiguous {
    let (_, offset) = read(exprs, factor);
    let is_contiguous = |group: usize| {
        let innermost = product.axes[group].last().is_some_and(|&axis| offset.coefficient(axis) == 1);
        // A vector must not cross the innermost axis.
        innermost && (group == 2 || distance(nest, offset, &product.axes[group]) == Some(1))
    };
    match (is_contiguous(group), is_contiguous(3)) {
        (true, _) => Contiguous::Row,
        (_, true) => Contiguous::K,
        _ => Contiguous::None,
    }
}

/// The distance of neighbours among the positions on some axes, if all of them have one.
fn distance(nest: &Nest, offset: &AffineIndex, axes: &[usize]) -> Option<usize> {
    let (&last, outer) = axes.split_last()?;
    let distance = offset.coefficient(last);
    let mut size = distance;
    for (&axis, &inner) in outer.iter().zip(&axes[1..]).rev() {
        size = size.checked_mul(nest.extents[inner] as i64)?;
        if offset.coefficient(axis) != size {
            return None;
        }
    }
    usize::try_from(distance).ok()
}

/// Whether [`lower`] makes the kernel of a nest.
pub(crate) fn applies(nest: &Nest, exprs: &ExprArena, machine: &Machine) -> bool {
    recognize(nest, exprs, machine).is_some_and(|product| is_worth(nest, exprs, &product, machine))
}

/// How far apart neighbouring rows, or columns, and positions of the sum are, if tiles can read a factor where it is.
fn in_place(nest: &Nest, exprs: &ExprArena, product: &Product, factor: ExprId, group: usize) -> Option<(usize, usize)> {
    let (_, offset) = read(exprs, factor);
    let Blocking { sizes, tile, copies, .. } = product.blocking;
    let step = distance(nest, offset, &product.axes[3])?;
    if group == 1 {
        let pitch = distance(nest, offset, &product.axes[1])?;
        // Rows that are close together, or far apart at each position of the sum, are better packed.
        return (copies == 1 && step == 1 && sizes.m.is_multiple_of(tile.0)).then_some((pitch, step));
    }
    let is_panel = sizes.run == tile.1 && step == tile.1;
    let last = *product.axes[2].last()?;
    (is_panel && offset.coefficient(last) == 1).then_some((1, step))
}

/// The source and the order in which tiles would read B where it is: panels as wide as a tile, each with all positions of the sum.
/// `None` if the nest is no large product, or has B in that order.
pub(crate) fn panels(nest: &Nest, nests: &Nests, machine: &Machine) -> Option<(Source, OperandOrder)> {
    let exprs = &nests.exprs;
    let product = recognize(nest, exprs, machine).filter(|product| is_worth(nest, exprs, product, machine))?;
    let (source, offset) = read(exprs, product.right);
    let columns = product.blocking.tile.1;
    let (&last, outer) = product.axes[2].split_last()?;
    if !nest.extents[last].is_multiple_of(columns) || offset.constant != 0 {
        return None;
    }
    // The axes of the result with their sizes and their distances in B.
    let whole = |&axis: &usize| (nest.extents[axis], offset.coefficient(axis));
    let mut axes: Vec<(usize, i64)> = product.axes[0].iter().chain(outer).map(whole).collect();
    axes.push((nest.extents[last] / columns, offset.coefficient(last).checked_mul(columns as i64)?));
    axes.extend(product.axes[3].iter().map(whole));
    axes.push((columns, offset.coefficient(last)));
    axes.retain(|&(size, distance)| size > 1 && distance != 0);
    let order = OperandOrder::by_distance(&axes, nests.sources[source].ty.shape.elements())?;
    (!order.is_identity()).then_some((source, order))
}

/// Makes the kernel of a nest that is a large matrix product; `None` if it is not.
pub(crate) fn lower(
    nest: &Nest,
    exprs: &ExprArena,
    sources: &[SourceInfo],
    shared: &[(Source, Source)],
    machine: &Machine,
) -> Option<Launch> {
    let product = recognize(nest, exprs, machine)?;
    if !is_worth(nest, exprs, &product, machine) {
        return None;
    }
    let blocking = &product.blocking;
    let mut b = KernelBuilder::new(blocking.chunks());
    let mut elements = Elements::new(exprs, &nest.roots(), sources.len(), nest.extents.len(), machine);
    let operands = loops::operands(nest, exprs, sources, shared, machine, &mut b, &mut elements);
    let reduce = nest.reduce.as_ref().expect("recognized");
    let [_, rows, columns, _] = &product.axes;
    let last = *columns.last().expect("there are columns");
    let buffers = elements.buffers.clone();
    let buffer = |factor: ExprId| buffers[read(exprs, factor).0].expect("declared above");
    let index = |factor: ExprId, group: usize| {
        let (axes, offset) = (&product.axes, read(exprs, factor).1);
        move |b: &mut KernelBuilder, e: OperandElement| {
            let mut sum = b.index(offset.constant);
            for (axes, position) in [(&axes[0], e.batch), (&axes[group], e.row), (&axes[3], e.k)] {
                for (axis, position) in unflatten(b, nest, axes, position) {
                    let term = b.mul_const(position, offset.coefficient(axis));
                    sum = b.add(sum, term);
                }
            }
            sum
        }
    };
    let load = |factor: ExprId, group: usize| {
        let (buf, index) = (buffer(factor), index(factor, group));
        move |b: &mut KernelBuilder, e: OperandElement, lanes: u8, active: Option<Val>| {
            let index = index(b, e);
            b.load_access(Access { buf, index, offset: 0, stride: 1, active }, lanes)
        }
    };
    let (mut left_index, mut right_index) = (index(product.left, 1), index(product.right, 2));
    let (mut left_load, mut right_load) = (load(product.left, 1), load(product.right, 2));
    let [left, right] = [
        (product.left, 1, &mut left_index as &mut IndexFn<'_>, &mut left_load as &mut LoadFn<'_>),
        (product.right, 2, &mut right_index, &mut right_load),
    ]
    .map(|(factor, group, index, load)| match in_place(nest, exprs, &product, factor, group) {
        Some((row_stride, k_stride)) => {
            OperandSource::InPlace(StridedOperand { buf: buffer(factor), row_stride, k_stride, index })
        }
        None => OperandSource::Packed(PackedOperand { contiguous: along(nest, exprs, &product, factor, group), load }),
    });
    let mut store = |b: &mut KernelBuilder, cell: contract::Cell, value: Val, active: Option<Val>| {
        let mut positions = unflatten(b, nest, &product.axes[0], cell.batch);
        positions.extend(unflatten(b, nest, rows, cell.row));
        positions.extend(unflatten(b, nest, columns, cell.column));
        let before: Vec<_> = positions.iter().map(|&(axis, p)| (axis, elements.axes[axis].replace(p))).collect();
        let lanes = b.ty(value).lanes;
        let first = elements.axes[last].expect("set above");
        let value = loops::leave_out_padding(b, &mut elements, nest, exprs, machine, (last, first, active), value);
        elements.along(last, first, lanes, active, |elements| {
            elements.with(reduce.source, value, |elements| {
                let values: Vec<Val> = nest.outputs.iter().map(|o| elements.eval(b, o.expr)).collect();
                for (output, value) in nest.outputs.iter().zip(values) {
                    loops::store(b, elements, output, Some(last), value);
                }
            });
        });
        before.into_iter().for_each(|(axis, p)| elements.axes[axis] = p);
    };
    contract(&mut b, blocking, left, right, &mut store);
    Some(Launch { kernel: b.finish(), operands })
}

fn read(exprs: &ExprArena, factor: ExprId) -> (Source, &AffineIndex) {
    match exprs.get(factor) {
        ExprKind::Read { source, offset, .. } => (*source, offset),
        _ => unreachable!("a product is of reads"),
    }
}

/// The positions on some axes from their row-major position.
fn unflatten(b: &mut KernelBuilder, nest: &Nest, axes: &[usize], position: Val) -> Vec<(usize, Val)> {
    let mut positions = vec![];
    let mut rest = position;
    for (i, &axis) in axes.iter().enumerate().rev() {
        let n = nest.extents[axis] as i64;
        let here = if i == 0 { rest } else { b.modulo(rest, n) };
        positions.push((axis, here));
        rest = b.div_floor(rest, n);
    }
    positions
}

fn recognize(nest: &Nest, exprs: &ExprArena, machine: &Machine) -> Option<Product> {
    let reduce = nest.reduce.as_ref()?;
    let ExprKind::Apply(ScalarOp::Mul, dtype, factors) = exprs.get(reduce.body) else { return None };
    if reduce.combine != Combine::Sum || !reduce.predicates.is_empty() || !dtype.is_float() {
        return None;
    }
    let [x, y] = factors[..] else { return None };
    let plain = |factor: ExprId| match exprs.get(factor) {
        ExprKind::Read { offset, .. } => offset.is_affine().then(|| offset.clone()),
        _ => None,
    };
    let (in_x, in_y) = (plain(x)?, plain(y)?);
    let last = nest.parallel.checked_sub(1)?;
    // The columns belong to the factor along which the result is contiguous.
    let (left, right, in_left, in_right) = match (in_x.coefficient(last) != 0, in_y.coefficient(last) != 0) {
        (false, true) => (x, y, in_x, in_y),
        (true, false) => (y, x, in_y, in_x),
        _ => return None,
    };
    let mut axes: [Vec<usize>; 4] = Default::default();
    for axis in 0..nest.parallel {
        let group = match (in_left.coefficient(axis) != 0, in_right.coefficient(axis) != 0) {
            (true, false) => 1,
            (false, true) => 2,
            _ => 0,
        };
        axes[group].push(axis);
    }
    axes[3] = (nest.parallel..nest.extents.len()).collect();
    if axes[1].is_empty() || axes[3].is_empty() || !nest.outputs.iter().all(|o| o.offset.is_affine()) {
        return None;
    }
    let blocking = |axes: &[Vec<usize>; 4]| {
        let [batch, m, n, k] = axes.each_ref().map(|axes| size(nest, axes));
        Blocking::new(Sizes { dtype: *dtype, batch, m, n, run: nest.extents[last], k }, machine)
    };
    if let Some(blocking) = blocking(&axes) {
        return Some(Product { left, right, axes, blocking });
    }
    // Tiles would cross the end of the innermost axis: the other ones count as batch axes.
    let columns = std::mem::replace(&mut axes[2], vec![last]);
    axes[0].extend(columns.into_iter().filter(|&a| a != last));
    axes[0].sort_unstable();
    let blocking = blocking(&axes)?;
    Some(Product { left, right, axes, blocking })
}
