//! Random functions with blocks that they call.

use dlc_ir::op::{Conv, Gather, Pad, ReduceWindow, Reduction, Scatter, ScatterKind, Slice, Window};
use dlc_ir::{Direction, ScalarOp, TypeError};
use proptest::prelude::*;

use super::*;
use crate::options::PassOptions;
use crate::passes::{Context, PASSES};

/// An operator and its operands, each chosen among the existing values.
#[derive(Clone, Debug)]
struct Step {
    kind: u8,
    left: u8,
    right: u8,
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (0u8..KINDS + 3, any::<u8>(), any::<u8>()).prop_map(|(kind, left, right)| Step { kind, left, right });
    prop::collection::vec(step, 1..most)
}

const ROWS: usize = 2;
const COLUMNS: usize = 3;

/// Appends the operators; every value is f64[2,3] and of moderate size.
fn build(b: &mut Builder, steps: &[Step], values: &mut Vec<Value>, blocks: &[Function]) {
    for step in steps {
        let x = values[step.left as usize % values.len()];
        let y = values[step.right as usize % values.len()];
        let made = match blocks.get(step.left as usize % blocks.len().max(1)) {
            Some(block) if step.kind >= KINDS => b.call(block, &[y, x]).map(|results| {
                values.push(results[0]);
                results[1]
            }),
            _ if step.kind < ELEMENTWISE => elementwise(b, step.kind, x, y),
            _ => moving(b, step.kind - ELEMENTWISE, x, y),
        };
        values.push(made.expect("every value has one type"));
    }
}

const ELEMENTWISE: u8 = 9;
const MOVING: u8 = 12;
const KINDS: u8 = ELEMENTWISE + MOVING;

fn elementwise(b: &mut Builder, kind: u8, x: Value, y: Value) -> Result<Value, TypeError> {
    let made = match kind {
        0 => return b.add(x, y),
        1 => return b.sub(x, y),
        2 => return b.sigmoid(x),
        3 => b.mul(x, y)?,
        4 => x,
        5 => {
            let e = b.exp(x)?;
            let one = b.full_like(e, 1.0)?;
            let more = b.add(e, one)?;
            return b.log(more);
        }
        6 => {
            let limit = b.full_like(x, 0.3)?;
            let below = b.compare(Direction::Lt, y, limit)?;
            return b.select(below, x, y);
        }
        7 => {
            let stopped = b.map(ScalarOp::StopGradient, &[x])?;
            b.mul(stopped, y)?
        }
        _ => return b.cos(y),
    };
    b.tanh(made)
}

fn moving(b: &mut Builder, kind: u8, x: Value, y: Value) -> Result<Value, TypeError> {
    let whole = [ROWS, COLUMNS];
    let indices = |elements: Vec<i64>| Tensor::new([elements.len()], elements).expect("a vector");
    let made = match kind {
        0 => {
            let products = b.dot(x, y, &[1], &[1], (&[], &[]))?;
            b.dot(products, x, &[1], &[0], (&[], &[]))?
        }
        1 => {
            let sums = b.sum(x, &[1])?;
            b.broadcast(sums, whole, &[0])?
        }
        2 => {
            let sums = b.sum(x, &[0])?;
            let spread = b.broadcast(sums, whole, &[1])?;
            b.mul(spread, y)?
        }
        3 => {
            let turned = b.transpose(x, &[1, 0])?;
            return b.reshape(turned, whole);
        }
        4 => {
            let both = b.concat(&[x, y], 0)?;
            return b.push(Slice { start: vec![0, 0], limit: vec![2 * ROWS, COLUMNS], stride: vec![2, 1] }, &[both]);
        }
        5 => {
            let value = b.scalar(DType::F64, Scalar::Float(0.4))?;
            return b.push(Pad { low: vec![0, 1], high: vec![0, -1], interior: vec![0, 0] }, &[x, value]);
        }
        6 => {
            let rows = b.constant(indices(vec![1, 1]))?;
            b.push(Gather { axis: 0, batch: 0 }, &[x, rows])?
        }
        7 => {
            let columns = b.constant(indices(vec![2, 0, 2]))?;
            b.push(Scatter { axis: 1, batch: 0, kind: ScatterKind::Add }, &[x, columns, y])?
        }
        8 | 9 => {
            let kind = if kind == 8 { Reduction::Sum } else { Reduction::Max };
            let window = Window { stride: vec![1], low: vec![1], ..Window::tiles(vec![1], vec![2]) };
            b.push(ReduceWindow { kind, window }, &[x])?
        }
        10 => {
            let (image, kernel) = (b.reshape(x, [1, ROWS, COLUMNS])?, b.reshape(y, [1, ROWS, COLUMNS])?);
            let ones = || vec![1];
            let conv = Conv {
                stride: ones(),
                low: vec![1],
                high: vec![1],
                x_dilation: ones(),
                kernel_dilation: ones(),
                feature_groups: 1,
                batch_groups: 1,
            };
            let line = b.push(conv, &[image, kernel])?;
            let line = b.reshape(line, [COLUMNS])?;
            b.broadcast(line, whole, &[1])?
        }
        _ => {
            let largest = b.reduce(Reduction::Max, x, &[0])?;
            b.broadcast(largest, whole, &[1])?
        }
    };
    b.sin(made)
}

fn function(name: &str, steps: &[Step], blocks: &[Function]) -> Function {
    let mut b = Builder::new(name, FunctionKind::Func);
    let ty = Type::new(DType::F64, [ROWS, COLUMNS]);
    let mut values = vec![b.arg("x", ty.clone(), Role::Plain), b.arg("y", ty, Role::Plain)];
    build(&mut b, steps, &mut values, blocks);
    let last = &values[values.len() - 2..];
    b.output(None, last[0]);
    b.output(None, last[1]);
    b.finish()
}

prop_compose! {
    fn graphs()(inner in steps(5), outer in steps(6), main in steps(9)) -> Graph {
        let mut graph = Graph::new();
        let inner = function("inner", &inner, &[]);
        let outer = function("outer", &outer, std::slice::from_ref(&inner));
        let blocks = [outer.clone(), inner.clone()];
        let mut b = Builder::new("f", FunctionKind::Func);
        let ty = Type::new(DType::F64, [ROWS, COLUMNS]);
        let mut values = vec![b.arg("x", ty.clone(), Role::Plain), b.arg("y", ty, Role::Plain)];
        build(&mut b, &main, &mut values, &blocks);
        // each block at least once
        let called = b.call(&blocks[0], &[values[0], values[values.len() - 1]]).expect("a block takes two");
        let called = b.call(&blocks[1], &[called[1], called[0]]).expect("a block takes two");
        let sum = b.mul(called[0], called[1]).expect("fits");
        let sum = b.sum(sum, &[0, 1]).expect("fits");
        b.output(None, sum);
        graph.insert(inner);
        graph.insert(outer);
        graph.insert(b.finish());
        graph
    }
}

/// Whether finite differences may disagree: at `stop_gradient`, and where comparisons may flip within the step.
fn is_unlike_differences(graph: &Graph) -> bool {
    graph.functions().flat_map(Function::ops).any(|(_, _, op)| match op {
        Op::Map(f) => matches!(f, ScalarOp::StopGradient | ScalarOp::Compare(_)),
        Op::Reduce(reduce) => reduce.kind == Reduction::Max,
        Op::ReduceWindow(windows) => windows.kind == Reduction::Max,
        _ => false,
    })
}

/// Every pass but fusion.
fn optimised(function: Function, callees: &Graph) -> Function {
    let name = function.name.clone();
    let mut graph = callees.clone();
    graph.insert(function);
    let mut context = Context::new(PassOptions::default());
    for pass in PASSES.iter().filter(|pass| pass.name != "fuse") {
        graph = pass.run(&graph, &mut context);
    }
    graph.function(&name).expect("passes keep the entry").clone()
}

fn assert_equal(what: &str, found: &[Tensor], expected: &[Tensor]) {
    for (a, b) in found.iter().zip(expected) {
        for (a, b) in a.to_f64s().iter().zip(b.to_f64s()) {
            assert_close(what, *a, b, 1e-9);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn derivatives_agree(graph in graphs(), seed in 1u64..1000) {
        let smooth = !is_unlike_differences(&graph);
        let first = with_gradient(graph, |_| Role::Plain);
        let second = with_gradient(with_squares(first.clone()), |_| Role::Plain);
        let args = arguments(first.entry(), seed, (-0.9, 0.9));
        for (graph, tolerance) in [(&first, 1e-7), (&second, 1e-5)] {
            if smooth {
                check_by_differences(graph, &args, tolerance);
            }
            let whole = interpret(&differentiated(&inlined(graph)), &args);
            let called = differentiated(graph);
            assert_equal("called against inlined", &interpret(&called, &args), &whole);
            let fast = differentiate(graph.clone(), &mut optimised);
            let fast = fast.expect("it can be differentiated");
            fast.verify().unwrap_or_else(|e| panic!("{e}\n{fast}"));
            assert_equal("optimised against not", &interpret(&fast, &args), &whole);
            check_splits(graph);
        }
    }
}
