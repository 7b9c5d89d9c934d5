//! Random functions with blocks that they call.

use dlc_ir::{Direction, ScalarOp};
use proptest::prelude::*;

use super::*;

/// One step: an operator and the values that it takes, each chosen among those that there are.
#[derive(Clone, Debug)]
struct Step {
    kind: u8,
    left: u8,
    right: u8,
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (0u8..14, any::<u8>(), any::<u8>()).prop_map(|(kind, left, right)| Step { kind, left, right });
    prop::collection::vec(step, 1..most)
}

const ROWS: usize = 2;
const COLUMNS: usize = 3;

/// Adds the steps to what is there; every value is f64[2,3] and of moderate size.
fn build(b: &mut Builder, steps: &[Step], values: &mut Vec<Value>, blocks: &[Function]) {
    for step in steps {
        let x = values[step.left as usize % values.len()];
        let y = values[step.right as usize % values.len()];
        let made = match step.kind {
            0 => b.add(x, y),
            1 => b.sub(x, y),
            2 => b.mul(x, y).and_then(|z| b.tanh(z)),
            3 => b.tanh(x),
            4 => b.sin(x),
            5 => b.sigmoid(x),
            6 => b.exp(x).and_then(|e| b.full_like(e, 1.0).and_then(|one| b.add(e, one))).and_then(|z| b.log(z)),
            7 => b
                .dot(x, y, &[1], &[1], (&[], &[]))
                .and_then(|z| b.dot(z, x, &[1], &[0], (&[], &[])))
                .and_then(|z| b.tanh(z)),
            8 => b.sum(x, &[1]).and_then(|s| b.broadcast(s, [ROWS, COLUMNS], &[0])).and_then(|z| b.sin(z)),
            9 => b
                .sum(x, &[0])
                .and_then(|s| b.broadcast(s, [ROWS, COLUMNS], &[1]))
                .and_then(|s| b.mul(s, y))
                .and_then(|z| b.cos(z)),
            10 => b.transpose(x, &[1, 0]).and_then(|t| b.reshape(t, [ROWS, COLUMNS])),
            11 => b.full_like(x, 0.3).and_then(|c| b.compare(Direction::Lt, y, c)).and_then(|c| b.select(c, x, y)),
            12 => b.map(ScalarOp::StopGradient, &[x]).and_then(|s| b.mul(s, y)).and_then(|z| b.tanh(z)),
            _ => match blocks.get(step.left as usize % blocks.len().max(1)) {
                Some(block) => {
                    let results = b.call(block, &[y, x]).expect("a block takes two");
                    values.push(results[0]);
                    Ok(results[1])
                }
                None => b.neg(x),
            },
        };
        values.push(made.expect("every value has one type"));
    }
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
        // each block once for certain
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

/// `stop_gradient` and undecided comparisons make differences differ, so these are told by the operator.
fn has(graph: &Graph, wanted: impl Fn(ScalarOp) -> bool) -> bool {
    graph.functions().flat_map(Function::ops).any(|(_, _, op)| matches!(op, Op::Map(f) if wanted(*f)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn derivatives_agree(graph in graphs(), seed in 1u64..1000) {
        let unlike_differences = has(&graph, |f| matches!(f, ScalarOp::StopGradient | ScalarOp::Compare(_)));
        let first = with_gradient(graph, |_| Role::Plain);
        let second = with_gradient(with_squares(first.clone()), |_| Role::Plain);
        let args = arguments(first.entry(), seed, (-0.9, 0.9));
        for (graph, tolerance) in [(&first, 1e-7), (&second, 1e-5)] {
            if !unlike_differences {
                check_by_differences(graph, &args, tolerance);
            }
            let called = interpret(&differentiated(graph), &args);
            let whole = interpret(&differentiated(&inlined(graph)), &args);
            for (a, b) in called.iter().zip(&whole) {
                for (a, b) in a.to_f64s().iter().zip(b.to_f64s()) {
                    assert_close("called against inlined", *a, b, 1e-9);
                }
            }
            check_splits(graph);
        }
    }
}
