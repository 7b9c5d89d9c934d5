//! Operators that are read at several indices: kernels do not grow beyond the size of the graph by redundant evaluation, and the
//! results are right.

#[allow(dead_code, reason = "shared with other test binaries")]
mod common;
#[path = "common/run.rs"]
mod run;

use common::{Rng, arguments};
use dlc_compiler::nest::NestError;
use dlc_compiler::options::Level;
use dlc_compiler::pipeline::{self, CompileError, Stage};
use dlc_compiler::routine::ScheduleError;
use dlc_ir::bounds::{self, Constants};
use dlc_ir::op::{Gradient, Pad};
use dlc_ir::{Builder, DType, Function, FunctionKind, Graph, Role, Scalar, Type, Value};

/// Limit of the instructions of a kernel, relative to those of its operators compiled separately.
const GROWTH: usize = 6;
/// The same for sums, whose loops contain several copies of their bodies: chains of additions in vectors.
const GROWTH_OF_SUMS: usize = 32;

/// A graph of one input and what `make` computes from it.
fn graph(size: usize, make: impl FnOnce(&mut Builder, Value) -> Value) -> Graph {
    let mut graph = Graph::new();
    graph.insert(function("f", size, Role::Input, make));
    graph
}

fn function(name: &str, size: usize, role: Role, make: impl FnOnce(&mut Builder, Value) -> Value) -> Function {
    let mut b = Builder::new(name, FunctionKind::Func);
    let x = b.arg("x", Type::new(DType::F32, [size]), role);
    let y = make(&mut b, x);
    b.output(Some("y"), y);
    b.finish()
}

/// The sum of a function's result and its derivative by the input.
fn derivative(size: usize, make: impl FnOnce(&mut Builder, Value) -> Value) -> Graph {
    let inner = function("inner", size, Role::Plain, |b, x| {
        let y = make(b, x);
        b.sum(y, &[0]).expect("one axis")
    });
    let mut b = Builder::new("f", FunctionKind::Func);
    let x = b.arg("x", Type::new(DType::F32, [size]), Role::Input);
    let op = Gradient { func: "inner".into(), of: 0, wrt: vec![0], results: [Type::scalar(DType::F32)].into() };
    let results = b.push_all(op, &[x]).expect("it has a gradient");
    results.into_iter().for_each(|r| b.output(None, r));
    let mut graph = Graph::new();
    graph.insert(inner);
    graph.insert(b.finish());
    graph
}

fn size(b: &Builder, x: Value) -> usize {
    b.ty(x).shape[0]
}

fn padded(b: &mut Builder, x: Value, low: i64, high: i64) -> Value {
    let zero = b.scalar(DType::F32, Scalar::Float(0.0)).expect("a number");
    b.pad(x, zero, Pad { low: vec![low], high: vec![high], interior: vec![0] }).expect("one axis")
}

/// A running sum: each level adds the element a power of two before.
fn doubling(levels: usize) -> impl FnOnce(&mut Builder, Value) -> Value {
    move |b, mut x| {
        for level in 0..levels {
            let (n, step) = (size(b, x), 1 << level);
            let rest = b.slice_axis(x, 0, 0, n - step).expect("it is inside");
            let zero = b.scalar(DType::F32, Scalar::Float(0.0)).expect("a number");
            let zeros = b.broadcast(zero, [step], &[]).expect("a scalar");
            let moved = b.concat(&[zeros, rest], 0).expect("one axis");
            x = b.add(x, moved).expect("of one size");
        }
        x
    }
}

/// Differences of a value padded on either side.
fn differences(levels: usize) -> impl FnOnce(&mut Builder, Value) -> Value {
    move |b, mut x| {
        for _ in 0..levels {
            let (before, behind) = (padded(b, x, 1, 0), padded(b, x, 0, 1));
            x = b.sub(before, behind).expect("of one size");
        }
        x
    }
}

/// Products of neighbours.
fn slices(levels: usize) -> impl FnOnce(&mut Builder, Value) -> Value {
    move |b, mut x| {
        for _ in 0..levels {
            let n = size(b, x);
            let here = b.slice_axis(x, 0, 0, n - 1).expect("it is inside");
            let next = b.slice_axis(x, 0, 1, n).expect("it is inside");
            let product = b.mul(here, next).expect("of one size");
            x = b.map(dlc_ir::ScalarOp::Tanh, &[product]).expect("a number");
        }
        x
    }
}

/// A value concatenated with itself.
fn concatenations(levels: usize) -> impl FnOnce(&mut Builder, Value) -> Value {
    move |b, mut x| {
        for _ in 0..levels {
            let y = b.map(dlc_ir::ScalarOp::Sin, &[x]).expect("a number");
            x = b.concat(&[x, y], 0).expect("one axis");
        }
        x
    }
}

/// A value multiplied by its transpose, and the sums of that.
fn outer_products(levels: usize) -> impl FnOnce(&mut Builder, Value) -> Value {
    move |b, mut x| {
        for _ in 0..levels {
            let n = size(b, x);
            let (rows, columns) = (b.broadcast(x, [n, n], &[0]), b.broadcast(x, [n, n], &[1]));
            let (rows, columns) = (rows.expect("an axis"), columns.expect("an axis"));
            let all = b.sub(rows, columns).expect("of one size");
            let all = b.map(dlc_ir::ScalarOp::Sin, &[all]).expect("a number");
            let (low, high) = (b.slice_axis(all, 0, 0, 1), b.slice_axis(all, 0, n - 1, n));
            let sum = b.add(low.expect("a row"), high.expect("a row")).expect("of one size");
            x = b.reshape(sum, [n]).expect("as many elements");
        }
        x
    }
}

/// The instructions of a graph's kernels.
fn instructions(graph: &Graph, level: Level) -> usize {
    let text = pipeline::text(graph.clone(), Stage::Kernels, &run::options(level, run::NATIVE)).expect("it compiles");
    text.lines().filter(|line| line.trim_start().starts_with('%') && line.contains(" = ")).count()
}

/// Bounds the kernels, and compares what they compute with the reference.
fn check(name: &str, graph: &Graph, growth: usize) {
    graph.verify().expect("it is well-formed");
    let plain =
        pipeline::differentiate(graph.clone(), &run::options(Level::O0, run::NATIVE)).expect("it has gradients");
    let (apart, found) = (instructions(graph, Level::O0), instructions(graph, Level::Full));
    assert!(found > 0 && found <= growth * apart, "{name}: {found} instructions of operators that have {apart} apart");
    let args = arguments(plain.entry(), &mut Rng(5));
    let expected = bounds::interpret(&plain, &args, Constants::Exact).expect("it runs");
    for level in [Level::O0, Level::Full] {
        let program = run::build(graph, level, run::NATIVE).expect("it compiles");
        let found = program.evaluate(&args).expect("it runs");
        for (w, f) in expected.iter().zip(&found) {
            for (i, (x, y)) in w.value.to_f64s().into_iter().zip(f.to_f64s()).enumerate() {
                // The passes may round differently: twice the bound.
                let bound = 2.0 * w.radius[i];
                assert!((x - y).abs() <= bound, "{name}, {level:?}: element {i} is {y}, not {x} ± {bound:e}");
            }
        }
    }
}

#[test]
fn kernels_grow_with_the_operators() {
    for levels in [4, 10, 12] {
        check(&format!("doubling {levels}"), &graph(1 << levels.max(6), doubling(levels)), GROWTH);
        check(&format!("doubling of few {levels}"), &graph(4 << levels.min(4), doubling(levels.min(4))), GROWTH);
        check(&format!("differences {levels}"), &graph(5, differences(levels)), GROWTH);
        check(&format!("differences of many {levels}"), &graph(3000, differences(levels)), GROWTH);
        check(&format!("slices {levels}"), &graph(300, slices(levels)), GROWTH);
        check(&format!("concatenations {levels}"), &graph(1, concatenations(levels)), GROWTH);
        check(&format!("outer products {levels}"), &graph(9, outer_products(levels)), GROWTH);
    }
}

#[test]
fn kernels_of_derivatives_grow_with_the_operators() {
    for levels in [4, 10] {
        check(&format!("doubling {levels}"), &derivative(1 << levels.max(6), doubling(levels)), GROWTH_OF_SUMS);
        check(&format!("differences {levels}"), &derivative(5, differences(levels)), GROWTH_OF_SUMS);
        check(&format!("slices {levels}"), &derivative(300, slices(levels)), GROWTH_OF_SUMS);
        check(&format!("concatenations {levels}"), &derivative(2, concatenations(levels)), GROWTH_OF_SUMS);
        check(&format!("outer products {levels}"), &derivative(9, outer_products(levels)), GROWTH_OF_SUMS);
    }
}

/// Kernels that no pass has made, as in a file.
fn kernel(text: &str) -> Result<String, CompileError> {
    let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    let options = run::options(Level::Full, run::NATIVE);
    pipeline::schedule(&graph, &options).map(|s| s.program.to_string())
}

fn refused(text: &str, what: &str) {
    match kernel(text) {
        Err(CompileError::Schedule(ScheduleError::Nest(error @ NestError::TooLarge { .. }))) => {
            assert!(error.to_string().contains(what), "{error}");
        }
        other => panic!("{other:?} is not the refusal of too many {what}"),
    }
}

#[test]
fn a_kernel_that_reads_exponentially_often_is_refused() {
    let mut text = "kernel @k(%x: f32[1]) -> f32[16384] {\n".to_owned();
    for i in 0..14 {
        let x = if i == 0 { "%x".to_owned() } else { format!("%{}", i - 1) };
        text += &format!("  %{i} = concat {x}, {x} {{axis=0}} : f32[{}]\n", 2usize << i);
    }
    text += "  return %13\n}\nfunc @m(%x: f32[1] input) -> (y: f32[16384]) {\n  %0 = call %x {func=@k} : f32[16384]\n  return %0\n}\n";
    refused(&text, "evaluations");
}

/// Each reshape between transposed axes doubles the terms of an index, if no divisor of one level divides the next.
#[test]
fn a_kernel_whose_indices_grow_exponentially_is_refused() {
    let size = |level: usize| 6 * (200 - level);
    let mut text = format!("kernel @k(%x: f32[{}]) -> f32[{}] {{\n", size(0), size(40));
    let mut last = "%x".to_owned();
    for level in 0..40 {
        let (n, next, first) = (size(level), size(level + 1), 4 * level);
        let third = n / 3;
        text += &format!("  %{first} = reshape {last} : f32[3,{third}]\n");
        text += &format!("  %{} = transpose %{first} {{perm=[1,0]}} : f32[{third},3]\n", first + 1);
        text += &format!("  %{} = reshape %{} : f32[{n}]\n", first + 2, first + 1);
        let bounds = format!("start=[1], limit=[{}], stride=[1]", next + 1);
        text += &format!("  %{} = slice %{} {{{bounds}}} : f32[{next}]\n", first + 3, first + 2);
        last = format!("%{}", first + 3);
    }
    text += &format!("  return {last}\n}}\nfunc @m(%x: f32[{}] input) -> (y: f32[{}]) {{\n", size(0), size(40));
    text += &format!("  %0 = call %x {{func=@k}} : f32[{}]\n  return %0\n}}\n", size(40));
    refused(&text, "terms in one index");
}

#[test]
fn a_kernel_of_a_very_long_chain_is_refused() {
    let mut text = "kernel @k(%x: f32[8]) -> f32[8] {\n".to_owned();
    for i in 0..600 {
        let x = if i == 0 { "%x".to_owned() } else { format!("%{}", i - 1) };
        text += &format!("  %{i} = sin {x} : f32[8]\n");
    }
    text += "  return %599\n}\nfunc @m(%x: f32[8] input) -> (y: f32[8]) {\n  %0 = call %x {func=@k} : f32[8]\n  return %0\n}\n";
    refused(&text, "nested operators");
}

/// If there are many parts, each is written by its own nest, so that no element tests which part it is in.
#[test]
fn many_parts_are_written_one_by_one() {
    let parts = |n: usize| {
        graph(6, move |b, x| {
            let parts: Vec<Value> = (0..n)
                .map(|i| {
                    let factor = b.full_like(x, i as f64 + 0.5).expect("a number");
                    let part = b.mul(x, factor).expect("of one size");
                    b.slice_axis(part, 0, 0, i % 7).expect("it is inside")
                })
                .collect();
            b.concat(&parts, 0).expect("one axis")
        })
    };
    check("some parts", &parts(40), GROWTH);
    check("many parts", &parts(300), GROWTH);
    let rows = graph(6, |b, x| {
        let rows: Vec<Value> = (0..200)
            .map(|i| {
                let row = b.slice_axis(x, 0, i % 3, i % 3 + 2).expect("it is inside");
                b.reshape(row, [2, 1]).expect("as many elements")
            })
            .collect();
        b.concat(&rows, 1).expect("the second axis")
    });
    check("many columns", &rows, GROWTH);
}
