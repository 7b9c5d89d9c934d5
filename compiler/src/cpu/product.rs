//! Large matrix products, lowered to the packed and blocked contraction.

use dlc_ir::compute::Combine;
use dlc_ir::{DType, ScalarOp};

use super::contract::{self, Contiguous, OperandSource, Sizes, contract};
use super::loops::{self, Launch};
use super::vectorize::Elements;
use crate::kernel::{Access, KernelBuilder, Val};
use crate::machine::Machine;
use crate::nest::affine::AffineIndex;
use crate::nest::expr::{ExprArena, ExprId, ExprKind, Source};
use crate::nest::nests::{Nest, SourceInfo};

/// The smallest matrix size that is blocked.
const SIDE: usize = 32;

/// A nest as a batch of matrix products.
struct Product {
    dtype: DType,
    left: ExprId,
    right: ExprId,
    /// The parallel axes of the batch, of the rows and of the columns, and the reduction axes.
    axes: [Vec<usize>; 4],
}

/// The sizes of the batch, of rows, columns and depth.
fn sizes(nest: &Nest, product: &Product) -> [usize; 4] {
    product.axes.each_ref().map(|axes| axes.iter().map(|&a| nest.extents[a]).fold(1, usize::saturating_mul))
}

/// Whether packing costs little beside the products. Where loads broadcast, a register tile takes elements from where they are: so
/// packing them one by one never pays.
fn is_worth(nest: &Nest, exprs: &ExprArena, product: &Product, machine: &Machine) -> bool {
    let [_, m, n, k] = sizes(nest, product);
    let vectors = [(product.left, 1), (product.right, 2)]
        .iter()
        .all(|&(factor, rows)| along(exprs, product, factor, rows) != Contiguous::None);
    let is_large = m >= SIDE && n >= SIDE && k >= SIDE;
    is_large && (vectors || !machine.broadcasts) && contract::work(m, n, k, machine) >= machine.costs.packing
}

/// Along what a factor is contiguous, whose rows or columns are the axes of a group.
fn along(exprs: &ExprArena, product: &Product, factor: ExprId, group: usize) -> Contiguous {
    let (_, offset) = read(exprs, factor);
    match product.axes[group].as_slice() {
        // A vector must not cross the innermost axis.
        &[axis] if offset.coefficient(axis) == 1 => Contiguous::Row,
        _ => match product.axes[3].as_slice() {
            &[axis] if offset.coefficient(axis) == 1 => Contiguous::K,
            _ => Contiguous::None,
        },
    }
}

/// Whether [`lower`] makes the kernel of a nest.
pub(crate) fn applies(nest: &Nest, exprs: &ExprArena, machine: &Machine) -> bool {
    recognize(nest, exprs).is_some_and(|product| is_worth(nest, exprs, &product, machine))
}

/// Makes the kernel of a nest that is a large matrix product; `None` if it is not.
pub(crate) fn lower(
    nest: &Nest,
    exprs: &ExprArena,
    sources: &[SourceInfo],
    shared: &[(Source, Source)],
    machine: &Machine,
) -> Option<Launch> {
    let product = recognize(nest, exprs)?;
    let [batch, m, n, k] = sizes(nest, &product);
    if !is_worth(nest, exprs, &product, machine) {
        return None;
    }
    let blocking = contract::Blocking::new(Sizes { dtype: product.dtype, batch, m, n, k }, machine);
    let mut b = KernelBuilder::new(blocking.chunks());
    let mut elements = Elements::new(exprs, sources.len(), nest.extents.len());
    let operands = loops::operands(nest, exprs, sources, shared, &mut b, &mut elements);
    let reduce = nest.reduce.as_ref().expect("recognized");
    let [_, rows, columns, depth] = &product.axes;
    let last = *columns.last().expect("there are columns");
    let (left, right) = (read(exprs, product.left), read(exprs, product.right));
    let buffer = |source: Source| elements.buffers[source].expect("declared above");
    let (left_buf, right_buf) = (buffer(left.0), buffer(right.0));
    let at = |b: &mut KernelBuilder, offset: &AffineIndex, batch: Val, row: (&[usize], Val), k: Val| {
        let groups = [(product.axes[0].as_slice(), batch), row, (depth.as_slice(), k)];
        let mut sum = b.index(offset.constant);
        for (axes, position) in groups {
            for (axis, position) in unflatten(b, nest, axes, position) {
                let term = b.mul_const(position, offset.coefficient(axis));
                sum = b.add(sum, term);
            }
        }
        sum
    };
    let mut load_left = |b: &mut KernelBuilder, e: contract::OperandElement, lanes: u8, active: Option<Val>| {
        let index = at(b, left.1, e.batch, (rows, e.row), e.k);
        b.load_access(Access { buf: left_buf, index, offset: 0, stride: 1, active }, lanes)
    };
    let mut load_right = |b: &mut KernelBuilder, e: contract::OperandElement, lanes: u8, active: Option<Val>| {
        let index = at(b, right.1, e.batch, (columns, e.row), e.k);
        b.load_access(Access { buf: right_buf, index, offset: 0, stride: 1, active }, lanes)
    };
    let left_side = OperandSource { contiguous: along(exprs, &product, product.left, 1), load: &mut load_left };
    let right_side = OperandSource { contiguous: along(exprs, &product, product.right, 2), load: &mut load_right };
    let mut store = |b: &mut KernelBuilder, cell: contract::Cell, value: Val| {
        let mut positions = unflatten(b, nest, &product.axes[0], cell.batch);
        positions.extend(unflatten(b, nest, rows, cell.row));
        positions.extend(unflatten(b, nest, columns, cell.column));
        let before: Vec<_> = positions.iter().map(|&(axis, p)| (axis, elements.axes[axis].replace(p))).collect();
        let lanes = b.ty(value).lanes;
        let first = elements.axes[last].expect("set above");
        let value = loops::leave_out_padding(b, &mut elements, nest, exprs, machine, (last, first), value);
        elements.along(last, first, lanes, None, |elements| {
            elements.with(reduce.source, value, |elements| {
                let values: Vec<Val> = nest.outputs.iter().map(|o| elements.eval(b, o.expr)).collect();
                for (output, value) in nest.outputs.iter().zip(values) {
                    loops::store(b, elements, output, Some(last), value);
                }
            });
        });
        before.into_iter().for_each(|(axis, p)| elements.axes[axis] = p);
    };
    contract(&mut b, &blocking, left_side, right_side, &mut store);
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

fn recognize(nest: &Nest, exprs: &ExprArena) -> Option<Product> {
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
    // Vectors run along one column axis; the others count as batch axes.
    let columns = std::mem::replace(&mut axes[2], vec![last]);
    axes[0].extend(columns.into_iter().filter(|&a| a != last));
    axes[0].sort_unstable();
    if axes[1].is_empty() || axes[3].is_empty() {
        return None;
    }
    let steps = nest.outputs.iter().all(|o| o.offset.is_affine());
    steps.then_some(Product { dtype: *dtype, left, right, axes })
}
