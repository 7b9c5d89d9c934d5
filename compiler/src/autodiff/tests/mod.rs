//! Derivatives against finite differences, joint functions against their parts, calls against inlined bodies.

mod cases;
mod choices;
mod random;

use dlc_ir::bounds::{self, Constants};
use dlc_ir::op::{Call, Gradient};
use dlc_ir::{Builder, DType, Function, FunctionKind, Graph, Loc, Op, ResultRole, Role, Scalar, Tensor, Type, Value};

use super::joint::Joint;
use super::pullback::Saved;
use super::*;

/// Parses a graph; `dot` may omit its empty batch axes.
fn parse(text: &str) -> Graph {
    let text = text.replace("#}", ", lhs_batch=[], rhs_batch=[]}");
    text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Differentiated without optimisation, and verified.
fn differentiated(graph: &Graph) -> Graph {
    let out = differentiate(graph.clone(), &mut |f, _| f).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    out.verify().unwrap_or_else(|e| panic!("{e}\n{out}"));
    let left = out.functions().flat_map(Function::ops).filter(|(_, _, op)| as_gradient(op).is_some()).count();
    assert_eq!(left, 0, "a gradient is left in\n{out}");
    out
}

fn error(graph: &Graph) -> AutodiffError {
    differentiate(graph.clone(), &mut |f, _| f).expect_err("it cannot be differentiated")
}

/// Pseudo-random numbers between `low` and `high`; integers are 0, 1, 0, 1, …
fn numbers(ty: &Type, seed: u64, (low, high): (f64, f64)) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    Tensor::from_fn(ty.clone(), |i| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let unit = (state >> 11) as f64 / (1u64 << 53) as f64;
        if ty.dtype.is_float() { Scalar::Float(low + (high - low) * unit) } else { Scalar::Int(i as i64 % 2) }
    })
}

fn arguments(f: &Function, seed: u64, range: (f64, f64)) -> Vec<Tensor> {
    f.args().iter().enumerate().map(|(i, a)| numbers(&a.ty, seed * 100 + i as u64, range)).collect()
}

fn interpret(graph: &Graph, args: &[Tensor]) -> Vec<Tensor> {
    graph.interpret(args).unwrap_or_else(|e| panic!("{e}\n{graph}"))
}

/// Checks that the results of two equivalent programs differ by rounding only.
#[track_caller]
fn assert_same_meaning(what: &str, one: &Graph, other: &Graph, args: &[Tensor]) {
    let [one, other] = [one, other].map(|g| bounds::interpret(g, args, Constants::Exact).expect("it has values"));
    assert_eq!(one.len(), other.len(), "{what}");
    for (a, b) in one.iter().zip(&other) {
        for (i, (x, y)) in a.value.to_f64s().into_iter().zip(b.value.to_f64s()).enumerate() {
            let radius = a.radius[i] + b.radius[i];
            assert!(radius.is_finite() && (x - y).abs() <= radius, "{what}: {x} instead of {y} ± {radius:e}");
        }
    }
}

#[track_caller]
fn assert_close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs() / (1.0 + expected.abs());
    assert!(error <= tolerance, "{what}: {found} instead of {expected}");
}

/// Checks a program whose first result is a scalar and whose others are its derivatives by the f64 arguments, in order.
fn check_by_differences(graph: &Graph, args: &[Tensor], tolerance: f64) {
    let graph = &differentiated(graph);
    let found = interpret(graph, args);
    let mut gradients = found[1..].iter();
    for (i, arg) in args.iter().enumerate().filter(|(_, a)| a.ty().dtype == DType::F64) {
        let gradient = gradients.next().unwrap_or_else(|| panic!("no derivative by argument {i}\n{graph}")).to_f64s();
        for (j, &derivative) in gradient.iter().enumerate() {
            let objective = |by: f64| {
                let moved = Tensor::from_fn(arg.ty().clone(), |k| {
                    Scalar::Float(arg.get(k).as_f64() + if k == j { by } else { 0.0 })
                });
                let mut args = args.to_vec();
                args[i] = moved;
                interpret(graph, &args)[0].get(0).as_f64()
            };
            let h = 1e-4;
            // of fourth order, so that the step need not be tiny
            let difference =
                (8.0 * (objective(h) - objective(-h)) - (objective(2.0 * h) - objective(-2.0 * h))) / (12.0 * h);
            assert_close(&format!("d/d arg {i}[{j}]\n{graph}"), derivative, difference, tolerance);
        }
    }
}

/// Inlines every call.
fn inlined(graph: &Graph) -> Graph {
    let mut out = Graph::new();
    for f in graph.functions() {
        let mut b = Builder::new(f.name.clone(), f.kind);
        let args: Vec<Value> = f.args().iter().map(|a| b.arg(&a.name, a.ty.clone(), a.role.clone())).collect();
        let results = inline(&out, &mut b, f, &args);
        for (decl, value) in f.results.iter().zip(results) {
            match decl.role {
                ResultRole::Output => b.output(decl.name.as_deref(), value),
                ResultRole::Update(i) => b.update(args[i], value),
                ResultRole::Check => b.function_mut().add_check(value),
            }
        }
        out.insert(b.finish());
    }
    out
}

fn inline(graph: &Graph, b: &mut Builder, f: &Function, args: &[Value]) -> Vec<Value> {
    let mut map: Vec<Vec<Value>> = vec![vec![]; f.node_count()];
    for (own, value) in f.arg_values().iter().zip(args) {
        map[own.node.index()] = vec![*value];
    }
    for (id, node, op) in f.ops() {
        let operands: Vec<Value> = node.operands.iter().map(|v| map[v.node.index()][v.result as usize]).collect();
        map[id.index()] = match op {
            Op::Call(Call { func, .. }) => {
                inline(graph, b, graph.function(func).expect("callees precede callers"), &operands)
            }
            _ => b.push_all(op.clone(), &operands).expect("it was well-typed"),
        };
    }
    f.results.iter().map(|r| map[r.value.node.index()][r.value.result as usize]).collect()
}

/// A program that returns the results of `gradient` for the last function of a graph, by all its floating-point arguments.
fn with_gradient(mut graph: Graph, roles: impl Fn(usize) -> Role) -> Graph {
    let f = graph.entry().clone();
    let mut b = Builder::new(graph.fresh_name("step"), FunctionKind::Func);
    let args: Vec<Value> = f.args().iter().enumerate().map(|(i, a)| b.arg(&a.name, a.ty.clone(), roles(i))).collect();
    let wrt = (0..args.len()).filter(|&i| f.args()[i].ty.dtype.is_float()).collect();
    let results = f.results.iter().map(|r| f.ty(r.value).clone()).collect();
    let all =
        b.push_all(Gradient { func: f.name.clone(), of: 0, wrt, results }, &args).expect("its objective is a scalar");
    b.output(None, all[0]);
    for &derivative in &all[f.results.len()..] {
        b.output(None, derivative);
    }
    graph.insert(b.finish());
    graph
}

/// Adds a function that is the sum of squares of the derivatives that the entry returns: differentiating it needs second
/// derivatives.
fn with_squares(mut graph: Graph) -> Graph {
    let f = graph.entry().clone();
    let mut b = Builder::new("squares", FunctionKind::Func);
    let args: Vec<Value> = f.args().iter().map(|a| b.arg(&a.name, a.ty.clone(), Role::Plain)).collect();
    let all = inline(&graph, &mut b, &f, &args);
    let mut total = all[0];
    for &derivative in &all[1..] {
        let square = b.mul(derivative, derivative).expect("fits");
        let axes: Vec<usize> = (0..b.ty(derivative).rank()).collect();
        let sum = b.sum(square, &axes).expect("fits");
        total = b.add(total, sum).expect("fits");
    }
    b.output(None, total);
    let mut squares = b.finish();
    squares.name = graph.fresh_name("squares");
    graph.insert(squares);
    graph
}

/// Every joint function that differentiation makes computes the same bits as a whole and as its two parts.
fn check_splits(graph: &Graph) -> usize {
    let mut joints = vec![];
    differentiate(graph.clone(), &mut |f, g| {
        joints.push((f.clone(), g.clone()));
        f
    })
    .expect("it can be differentiated");
    let count = joints.len();
    for (n, (function, graph)) in joints.into_iter().enumerate() {
        let primals = function.args().iter().position(|a| a.name.starts_with("ct")).unwrap_or(function.args().len());
        let cotangents = function.args().len() - primals;
        // which result belongs to which cotangent and gradient does not matter here
        let results = function.results.iter().position(|r| depends_on_last(&function, r.value, cotangents));
        let results = results.unwrap_or(function.results.len());
        let gradients = function.results.len() - results;
        let joint = Joint {
            function,
            primals,
            seeded: (0..cotangents).collect(),
            results,
            grads: (0..gradients).map(Some).collect(),
        };
        let args = arguments(&joint.function, n as u64, (0.3, 1.2));
        let run = |f: &Function, args: &[Tensor]| {
            let mut graph = graph.clone();
            graph.insert(f.clone());
            graph.verify().unwrap_or_else(|e| panic!("{e}\n{graph}"));
            interpret(&graph, args)
        };
        let whole = run(&joint.function, &args);
        let parts = split::split(&joint, "the.fwd".into(), "the.bwd".into());
        let forward = run(&parts.forward, &args[..primals]);
        let mut operands: Vec<Tensor> = parts
            .saved
            .iter()
            .map(|saved| match *saved {
                Saved::Argument(i) => args[i].clone(),
                Saved::Result(i) => forward[i].clone(),
            })
            .collect();
        operands.extend(parts.seeded.iter().map(|&i| args[primals + i].clone()));
        let backward = run(&parts.backward, &operands);
        let together: Vec<&Tensor> = forward[..results].iter().chain(&backward).collect();
        assert!(
            whole.iter().eq(together),
            "{}\n{}\n{}",
            Graph::from_function(joint.function),
            parts.forward.name,
            parts.backward.name
        );
    }
    count
}

fn depends_on_last(f: &Function, value: Value, cotangents: usize) -> bool {
    let mut reached = vec![false; f.node_count()];
    for arg in &f.arg_values()[f.args().len() - cotangents..] {
        reached[arg.node.index()] = true;
    }
    for (id, node, _) in f.ops() {
        reached[id.index()] = node.operands.iter().any(|v| reached[v.node.index()]);
    }
    reached[value.node.index()]
}
