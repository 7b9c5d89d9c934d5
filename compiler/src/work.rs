//! The work of a function: the arithmetic operations that it asks for, and the bytes that it has to read and write, however it is
//! compiled. What a schedule computes twice, or reads twice, counts once.
//!
//! Everything follows from what an operator computes ([`Compute`]), so that no operator is known by name but those that have none.

use dlc_ir::compute::{Combine, Compute, Expr, Guard, Index, Lowering, Special};
use dlc_ir::op::Call;
use dlc_ir::{Function, Graph, Node, NodeId, Op, ScalarOp, Symbol, Type, Value};
use rustc_hash::FxHashMap;

/// The work of a function, or of one of its operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Floating-point operations: one for each scalar function of each element, two for each multiplication and addition of a
    /// product. Neither conversions, comparisons and choices nor arithmetic of integers are counted.
    pub flops: u64,
    /// Those in sums of products: dense products and convolutions.
    pub products: u64,
    /// Bytes of the elements of operands that are read, each once.
    pub read: u64,
    /// Bytes of the results.
    pub written: u64,
}

/// Counts the work of the functions of a graph, each once.
#[derive(Debug)]
pub struct Counter<'g> {
    graph: &'g Graph,
    known: FxHashMap<Symbol, Counted>,
}

/// The work of a function, and how many elements of each argument it needs.
#[derive(Clone, Debug)]
struct Counted {
    work: Work,
    arguments: Vec<u64>,
}

impl<'g> Counter<'g> {
    pub fn new(graph: &'g Graph) -> Self {
        Counter { graph, known: FxHashMap::default() }
    }

    /// The work of a function of the graph: of its operators for the flops; its arguments and results for the bytes.
    pub fn function(&mut self, function: &Function) -> Work {
        self.counted(function).work
    }

    /// The work of a node on its own: a call, or an operator, whose bytes are those of its operands and results.
    pub fn node(&mut self, function: &Function, id: NodeId) -> Work {
        let node = function.node(id);
        let Some(op) = node.op() else { return Work::default() };
        let all = node.types.iter().map(elements).max().unwrap_or_default();
        let Asked { flops, products, reads } = self.operator(function, node, op, all);
        // an operand that is given twice is read once
        let mut most: FxHashMap<Value, u64> = FxHashMap::default();
        for (&operand, count) in node.operands.iter().zip(reads) {
            let ty = function.ty(operand);
            let bytes = count.min(elements(ty)).saturating_mul(ty.dtype.size() as u64);
            let known = most.entry(operand).or_default();
            *known = bytes.max(*known);
        }
        let written = node.types.iter().fold(0, |sum: u64, ty| sum.saturating_add(ty.bytes() as u64));
        Work { flops, products, read: most.into_values().fold(0, u64::saturating_add), written }
    }

    fn counted(&mut self, function: &Function) -> Counted {
        if let Some(known) = self.known.get(&function.name) {
            return known.clone();
        }
        let mut work = Work::default();
        // how many elements of each value are needed
        let mut needed: FxHashMap<Value, u64> = FxHashMap::default();
        for result in &function.results {
            let ty = function.ty(result.value);
            work.written = work.written.saturating_add(ty.bytes() as u64);
            needed.insert(result.value, elements(ty));
        }
        for (id, node, op) in function.ops().rev() {
            let values = (0..node.types.len() as u32).map(|result| Value { node: id, result });
            let most = values.filter_map(|value| needed.get(&value)).copied().max().unwrap_or_default();
            if most == 0 {
                continue;
            }
            let asked = self.operator(function, node, op, most);
            work.flops = work.flops.saturating_add(asked.flops);
            work.products = work.products.saturating_add(asked.products);
            for (&operand, count) in node.operands.iter().zip(asked.reads) {
                let known = needed.entry(operand).or_default();
                *known = known.saturating_add(count).min(elements(function.ty(operand)));
            }
        }
        let arguments: Vec<u64> =
            function.arg_values().iter().map(|value| needed.get(value).copied().unwrap_or_default()).collect();
        for (argument, count) in function.args().iter().zip(&arguments) {
            work.read = work.read.saturating_add(count.saturating_mul(argument.ty.dtype.size() as u64));
        }
        let counted = Counted { work, arguments };
        self.known.insert(function.name.clone(), counted.clone());
        counted
    }

    /// What an operator asks for if so many elements of a result are needed.
    fn operator(&mut self, function: &Function, node: &Node, op: &Op, needed: u64) -> Asked {
        if let Op::Call(Call { func, .. }) = op
            && let Some(callee) = self.graph.function(func)
        {
            let Counted { work, arguments } = self.counted(callee);
            return Asked { flops: work.flops, products: work.products, reads: arguments };
        }
        let arguments: Vec<Type> = node.operands.iter().map(|&v| function.ty(v).clone()).collect();
        let all = || arguments.iter().map(elements).collect();
        match op.lower(&arguments) {
            Lowering::Compute(compute) => Asked::by(&compute, &arguments, needed.min(elements(&node.types[0]))),
            // the updates, which are the last operand, are added
            Lowering::Special(Special::Scatter) => {
                let flops = arguments.last().filter(|ty| ty.dtype.is_float()).map_or(0, elements);
                Asked { flops, products: 0, reads: all() }
            }
            Lowering::Special(Special::Constant | Special::Call | Special::Gradient) => {
                Asked { flops: 0, products: 0, reads: all() }
            }
        }
    }
}

fn elements(ty: &Type) -> u64 {
    ty.shape.elements() as u64
}

/// What an operator asks for.
struct Asked {
    flops: u64,
    products: u64,
    /// For each operand.
    reads: Vec<u64>,
}

impl Asked {
    /// For so many elements of the result.
    fn by(compute: &Compute, arguments: &[Type], needed: u64) -> Asked {
        let product = |extents: &[usize]| extents.iter().fold(1u64, |n, &extent| n.saturating_mul(extent as u64));
        let inner = compute.reduce.as_ref().map_or(1, |reduce| product(&reduce.extents));
        let iterations = needed.saturating_mul(inner);
        let mut extents = compute.extents.clone();
        extents.extend(compute.reduce.iter().flat_map(|reduce| &reduce.extents));
        let mut reads = vec![0u64; arguments.len()];
        let mut site = |operand: usize, index: &[Index]| {
            let mut axes = vec![false; extents.len()];
            index.iter().for_each(|index| axes_of(index, &mut axes));
            let points = axes.iter().zip(&extents).filter(|(occurs, _)| **occurs);
            let points = points.fold(1u64, |n, (_, &extent)| n.saturating_mul(extent as u64));
            let most = elements(&arguments[operand]);
            reads[operand] = reads[operand].saturating_add(points.min(iterations)).min(most);
        };
        visit(&compute.body, &mut site);
        let guards = compute.reduce.iter().flat_map(|reduce| &reduce.guards);
        let body = operations(&compute.body);
        let combined = match &compute.reduce {
            Some(reduce) if compute.body.dtype().is_float() => match reduce.combine {
                Combine::Sum | Combine::Product | Combine::Min | Combine::Max => 1,
                Combine::ArgMin | Combine::ArgMax => 0,
            },
            _ => 0,
        };
        let flops = met(iterations, guards, &extents, compute.extents.len()).saturating_mul(body + combined);
        let is_sum = compute.reduce.as_ref().is_some_and(|reduce| reduce.combine == Combine::Sum);
        let products = if is_sum && combined > 0 && multiplies(&compute.body) { flops } else { 0 };
        Asked { flops, products, reads }
    }
}

/// How many points of an iteration space meet an element, of those that guards select: each element meets each position of a window
/// at most once. So the padding around a window that slides over all elements counts, as in the literature, but neither what lies
/// between the elements of a dilated operand nor what a derivative adds around it.
fn met<'a>(points: u64, guards: impl Iterator<Item = &'a Guard>, extents: &[usize], parallel: usize) -> u64 {
    // for the axes of the result that guards have in common, the smallest part that one of them leaves
    let mut parts: FxHashMap<Vec<bool>, (u64, u64)> = FxHashMap::default();
    for guard in guards {
        let (Guard::InRange { index, .. } | Guard::Divisible { index, .. }) = guard;
        let mut axes = vec![false; extents.len()];
        axes_of(index, &mut axes);
        axes.truncate(parallel);
        let part = match guard {
            Guard::Divisible { divisor, .. } => (1, divisor.unsigned_abs().max(1)),
            Guard::InRange { low, high, .. } => {
                let positions = axes.iter().zip(extents).filter(|(occurs, _)| **occurs);
                let positions = positions.fold(1u64, |n, (_, &extent)| n.saturating_mul(extent as u64)).max(1);
                ((high - low).unsigned_abs().min(positions), positions)
            }
        };
        let smaller =
            |a: (u64, u64), b: (u64, u64)| if a.0 as u128 * b.1 as u128 <= b.0 as u128 * a.1 as u128 { a } else { b };
        parts.entry(axes).and_modify(|known| *known = smaller(*known, part)).or_insert(part);
    }
    parts.values().fold(points, |points, &(part, of)| {
        u64::try_from((u128::from(points) * u128::from(part)).div_ceil(u128::from(of))).unwrap_or(u64::MAX)
    })
}

/// The floating-point operations of an expression.
fn operations(expr: &Expr) -> u64 {
    match expr {
        Expr::Apply(f, dtype, operands) => {
            u64::from(dtype.is_float() && is_arithmetic(*f)) + operands.iter().map(operations).sum::<u64>()
        }
        Expr::If { then, other, .. } => operations(then).max(operations(other)),
        Expr::Read { .. } | Expr::Const(_) | Expr::Position(..) | Expr::Random { .. } => 0,
    }
}

/// Whether a term of a sum is a product of elements, those beyond padding included.
fn multiplies(expr: &Expr) -> bool {
    match expr {
        Expr::Apply(f, ..) => *f == ScalarOp::Mul,
        Expr::If { then, other, .. } => multiplies(then) || multiplies(other),
        Expr::Read { .. } | Expr::Const(_) | Expr::Position(..) | Expr::Random { .. } => false,
    }
}

/// Whether a scalar function computes a number, rather than choosing, comparing or converting one.
fn is_arithmetic(f: ScalarOp) -> bool {
    !matches!(f, ScalarOp::Select | ScalarOp::Compare(_) | ScalarOp::Convert(_) | ScalarOp::StopGradient)
}

/// Calls back for every read, also for those in indices.
fn visit(expr: &Expr, site: &mut impl FnMut(usize, &[Index])) {
    match expr {
        Expr::Read { operand, index, .. } => {
            site(*operand, index);
            index.iter().for_each(|index| visit_index(index, site));
        }
        Expr::Apply(_, _, operands) => operands.iter().for_each(|operand| visit(operand, site)),
        Expr::If { guards, then, other } => {
            for guard in guards {
                let (Guard::InRange { index, .. } | Guard::Divisible { index, .. }) = guard;
                visit_index(index, site);
            }
            visit(then, site);
            visit(other, site);
        }
        Expr::Random { key, counter, element, .. } => {
            visit(key, site);
            visit(counter, site);
            visit_index(element, site);
        }
        Expr::Position(index, _) => visit_index(index, site),
        Expr::Const(_) => {}
    }
}

fn visit_index(index: &Index, site: &mut impl FnMut(usize, &[Index])) {
    match index {
        Index::Data { value, .. } => visit(value, site),
        Index::Add(a, b) => {
            visit_index(a, site);
            visit_index(b, site);
        }
        Index::Mul(a, _) | Index::Div(a, _) | Index::Mod(a, _) => visit_index(a, site),
        Index::Axis(_) | Index::Const(_) => {}
    }
}

/// Marks the axes of the iteration space that an index depends on.
fn axes_of(index: &Index, axes: &mut [bool]) {
    match index {
        Index::Axis(axis) => axes[*axis] = true,
        Index::Add(a, b) => {
            axes_of(a, axes);
            axes_of(b, axes);
        }
        Index::Mul(a, _) | Index::Div(a, _) | Index::Mod(a, _) => axes_of(a, axes),
        Index::Data { value, .. } => visit(value, &mut |_, inner| inner.iter().for_each(|index| axes_of(index, axes))),
        Index::Const(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(text: &str) -> Work {
        let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
        Counter::new(&graph).function(graph.entry())
    }

    #[test]
    fn a_product_counts_multiplications_and_additions_and_each_element_once() {
        let found = work(
            "func @f(%x: f32[8,5] input, %w: f32[5,3] input) -> (\"y\": f32[8,3]) {\n  \
             %0 = dot %x, %w {lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[8,3]\n  %1 = exp %0 : f32[8,3]\n  return %1\n}\n",
        );
        let products = 2 * 8 * 3 * 5;
        assert_eq!(found, Work { flops: products + 24, products, read: 4 * (40 + 15), written: 4 * 24 });
    }

    #[test]
    fn what_a_slice_leaves_out_is_neither_computed_nor_read() {
        let found = work(
            "func @f(%x: f32[100] input) -> (\"y\": f32[10]) {\n  \
             %0 = exp %x : f32[100]\n  %1 = slice %0 {start=[0], limit=[10], stride=[1]} : f32[10]\n  return %1\n}\n",
        );
        assert_eq!(found, Work { flops: 10, products: 0, read: 40, written: 40 });
    }

    #[test]
    fn a_lookup_reads_what_it_selects() {
        let found = work(
            "func @f(%t: f32[1000,4] input, %i: i64[3] input) -> (\"y\": f32[3,4]) {\n  \
             %0 = gather %t, %i {axis=0, batch=0} : f32[3,4]\n  return %0\n}\n",
        );
        assert_eq!(found, Work { flops: 0, products: 0, read: 3 * 4 * 4 + 3 * 8, written: 48 });
    }

    #[test]
    fn what_is_read_by_two_is_read_once() {
        let found = work(
            "func @f(%x: f32[6] input) -> (\"y\": f32[6]) {\n  \
             %0 = exp %x : f32[6]\n  %1 = mul %0, %x : f32[6]\n  %2 = convert %1 : f64[6]\n  %3 = convert %2 : f32[6]\n  return %3\n}\n",
        );
        assert_eq!(found, Work { flops: 12, products: 0, read: 24, written: 24 });
    }

    #[test]
    fn a_convolution_and_its_derivatives_have_the_same_products() {
        let conv = |x: &str, kernel: &str, attributes: &str, result: &str| {
            work(&format!(
                "func @f(%x: f32[{x}] input, %k: f32[{kernel}] input) -> (\"y\": f32[{result}]) {{\n  \
                 %0 = conv %x, %k {{{attributes}, feature_groups=1, batch_groups=1}} : f32[{result}]\n  return %0\n}}\n"
            ))
            .products
        };
        // nothing is padded
        let forward =
            conv("1,2,9", "4,2,3", "stride=[2], low=[0], high=[0], x_dilation=[1], kernel_dilation=[1]", "1,4,4");
        assert_eq!(forward, 2 * 4 * 4 * 2 * 3);
        let by_x =
            conv("1,4,4", "2,4,3", "stride=[1], low=[2], high=[2], x_dilation=[2], kernel_dilation=[1]", "1,2,9");
        let by_k =
            conv("2,1,9", "4,1,4", "stride=[1], low=[0], high=[0], x_dilation=[1], kernel_dilation=[2]", "2,4,3");
        assert_eq!((by_x, by_k), (forward, forward));
        // padding counts around the window that slides over the elements
        let same =
            conv("1,2,9", "4,2,3", "stride=[1], low=[1], high=[1], x_dilation=[1], kernel_dilation=[1]", "1,4,9");
        assert_eq!(same, 2 * 4 * 9 * 2 * 3);
    }
}
