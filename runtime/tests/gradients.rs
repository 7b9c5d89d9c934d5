//! Compiled derivatives compared with interpreted ones, with functions that have a forward and a backward part.

#[allow(dead_code, reason = "shared with other test binaries")]
mod common;

use std::path::Path;
use std::sync::Arc;

use common::assert_within;
use dlc_compiler::autodiff::differentiate;
use dlc_compiler::machine::Target;
use dlc_compiler::options::{Level, Options};
use dlc_compiler::pipeline::compile;
use dlc_ir::bounds::{self, Bounded, Constants};
use dlc_ir::{Graph, Role, Scalar, Tensor};
use dlc_runtime::{Pool, Session};

/// The program with all its arguments as inputs and all its results as named outputs.
fn open(graph: &Graph) -> Graph {
    let mut entry = graph.entry().clone();
    for i in 0..entry.args().len() {
        entry.set_role(i, Role::Input);
    }
    for (i, result) in entry.results.iter_mut().enumerate() {
        result.name = Some(format!("r{i}").into());
    }
    let mut graph = graph.clone();
    graph.insert(entry);
    graph
}

/// Floats in -0.3 .. 0.4, where nothing saturates, which would amplify rounding; integers 0 and 1.
fn arguments(graph: &Graph) -> Vec<(String, Tensor)> {
    let number = |seed: usize, i: usize| ((seed * 31 + i * 17 + 5) % 23) as f64 / 23.0;
    let tensor = |seed: usize, ty: &dlc_ir::Type| {
        let float = ty.dtype.is_float();
        let element = |i| if float { Scalar::Float(0.7 * number(seed, i) - 0.3) } else { Scalar::Int(i as i64 % 2) };
        Tensor::from_fn(ty.clone(), element)
    };
    graph.entry().args().iter().enumerate().map(|(i, a)| (a.name.to_string(), tensor(i, &a.ty))).collect()
}

/// Compiles at every level and compares every result with the interpreted one, up to rounding.
fn check(graph: &Graph, what: &str) {
    let graph = open(graph);
    let arguments = arguments(&graph);
    let plain = differentiate(graph.clone(), &mut |f, _| f).unwrap_or_else(|e| panic!("{what}: {e}"));
    let tensors: Vec<Tensor> = arguments.iter().map(|(_, t)| t.clone()).collect();
    let expected = bounds::interpret(&plain, &tensors, Constants::Exact).unwrap_or_else(|e| panic!("{what}: {e}"));
    for level in [Level::O0, Level::Full] {
        let options = Options { level, ..Options::new(Target::host().expect("a machine that dlc has code for")) };
        let program = compile(graph.clone(), &options).unwrap_or_else(|e| panic!("{what} at {level:?}: {e}"));
        // the optimised graph is equivalent, but rounds differently
        let made = bounds::interpret(program.graph(), &tensors, Constants::Folded);
        let made = made.unwrap_or_else(|e| panic!("{what} at {level:?}: {e}"));
        let mut session = Session::new(Arc::new(program), Arc::new(Pool::new(1)));
        let inputs = arguments.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let found = session.run(inputs).unwrap_or_else(|e| panic!("{what} at {level:?}: {e}"));
        for (i, (expected, made)) in expected.iter().zip(&made).enumerate() {
            let name = format!("r{i}");
            let radius = expected.radius.iter().zip(&made.radius).map(|(a, b)| a + b).collect();
            let expected = Bounded { value: expected.value.clone(), radius };
            assert_within(&found[name.as_str()], &expected, &format!("{what} at {level:?}, result {i}"));
        }
    }
}

#[test]
fn file_tests_of_differentiation_compile_to_the_same_numbers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/ir/differentiate");
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.extension().is_some_and(|e| e == "dlir") {
            let text = std::fs::read_to_string(&path).expect("the file can be read");
            let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            check(&graph, &path.display().to_string());
            files += 1;
        }
    }
    assert!(files >= 5, "there are only {files} files");
}

#[test]
fn a_block_that_is_called_many_times_compiles_to_the_same_numbers() {
    let depth = 12;
    let weights: Vec<String> = (0..depth).map(|i| format!("%w{i}: f64[16,16]")).collect();
    let (all, names) = (weights.join(", "), (0..depth).map(|i| format!("%w{i}")).collect::<Vec<_>>().join(", "));
    let mut text = "func @block(%x: f64[8,16], %w: f64[16,16]) -> f64[8,16] {
  %0 = dot %x, %w {lhs=[1], rhs=[1], lhs_batch=[], rhs_batch=[]} : f64[8,16]
  %1 = tanh %0 : f64[8,16]
  %2 = add %1, %x : f64[8,16]
  return %2
}
"
    .to_owned();
    text += &format!("func @loss(%x: f64[8,16], {all}) -> f64[] {{\n");
    for i in 0..depth {
        let x = if i == 0 { "%x".to_owned() } else { format!("%{}", i - 1) };
        text += &format!("  %{i} = call {x}, %w{i} {{func=@block}} : f64[8,16]\n");
    }
    text += &format!("  %{depth} = reduce %{} {{kind=sum, axes=[0,1]}} : f64[]\n  return %{depth}\n}}\n", depth - 1);
    let types = vec!["f64[16,16]"; depth].join(", ");
    let wrt: Vec<String> = (1..=depth).map(|i| i.to_string()).collect();
    text += &format!("func @step(%x: f64[8,16], {all}) -> (f64[], {types}) {{\n");
    text += &format!(
        "  %0:{} = gradient %x, {names} {{func=@loss, wrt=[{}]}} : f64[], {types}\n",
        depth + 1,
        wrt.join(",")
    );
    let results: Vec<String> = (0..=depth).map(|i| format!("%0.{i}")).collect();
    text += &format!("  return {}\n}}\n", results.join(", "));
    check(&text.parse().unwrap_or_else(|e| panic!("{e}\n{text}")), "a deep network");
}
