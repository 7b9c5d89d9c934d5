//! Random graphs and their derivatives: interpreter, kernel interpreter and machine code, without and with optimisation. `cargo
//! bench -p dlc-compiler --bench differential -- 10000` runs any number.

#[allow(dead_code, reason = "shared with other test binaries")]
mod common;
#[path = "common/differential.rs"]
mod differential;
#[path = "common/run.rs"]
mod run;
use std::collections::{BTreeMap, BTreeSet};

use common::random::{self, Kind};
use dlc_compiler::options::{Level, Math};
use dlc_compiler::pipeline;
use dlc_ir::bounds;
use dlc_ir::{Blobs, DType, Function, Graph, Op, ResultRole, Role, Scalar, Tensor};

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exact_graphs(seed in any::<u64>(), ops in 1usize..16) {
        let result = differential::case(seed, ops, 0, &mut differential::Counts::default());
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }

    #[test]
    fn real_graphs(seed in any::<u64>(), ops in 1usize..16) {
        let result = differential::case(seed, ops, 1, &mut differential::Counts::default());
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }

    #[test]
    fn derivatives(seed in any::<u64>(), ops in 1usize..10) {
        let result = differential::case(seed, ops, 2, &mut differential::Counts::default());
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}

#[test]
fn few_elements_depend_on_rounding() {
    let mut counts = differential::Counts::default();
    for seed in 0..90 {
        let result = differential::case(seed, 1 + seed as usize % 20, seed as usize, &mut counts);
        result.unwrap_or_else(|e| panic!("{e}"));
    }
    assert!(counts.prepared > 5, "only {} graphs had anything to prepare", counts.prepared);
    assert!(counts.elements > 20_000, "only {} elements were compared", counts.elements);
    assert!(counts.fraction_open() < 0.05, "{} of {} were left out", counts.open, counts.elements);
}

/// A gradient by a kernel, whose vectors run along positions, the last of which are padding.
#[test]
fn vectors_along_a_sum_end_in_padding() {
    let result = differential::case(3_890_601_645_130_940_267, 7, 2, &mut differential::Counts::default());
    result.unwrap_or_else(|e| panic!("{e}"));
}

/// Padding is not multiplied with infinite weights, if infinities count.
#[test]
fn strict_padding_meets_no_infinity() {
    let text = "func @f(%x: f32[4,1,16,16] input, %w: f32[4,1,3,3] input) -> f32[4,4,16,16] {
  %0 = conv %x, %w {stride=[1,1], low=[1,1], high=[1,1], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1} : f32[4,4,16,16]
  return %0
}";
    let graph: Graph = text.parse().expect("the text is right");
    let x = Tensor::from_fn(graph.entry().args()[0].ty.clone(), |_| Scalar::Float(1.0));
    let w = Tensor::from_fn(graph.entry().args()[1].ty.clone(), |i| {
        Scalar::Float(if i == 0 { f64::INFINITY } else { 1.0 })
    });
    let args = [x, w];
    let expected = graph.interpret(&args).expect("has a value");
    for level in [Level::O0, Level::Full] {
        let mut options = run::options(level, run::NATIVE);
        options.passes.math = Math::Strict;
        let program = pipeline::compile(graph.clone(), &options).expect("compiles");
        assert_eq!(program.evaluate(&args).expect("runs"), expected, "{level:?}");
    }
}

/// Folding batch norm stays within the rounding of the original, in both dtypes and with every emitter.
#[test]
fn folded_weights_are_within_their_bounds() {
    let mut counts = differential::Counts::default();
    for name in
        ["optimize/batch_norm", "optimize/batch_norm_in_blocks", "prepare/batch_norm", "prepare/called_functions"]
    {
        let path = format!("{}/../tests/ir/{name}.dlir", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("the file is there");
        for text in [text.clone(), text.replace("f32", "f64")] {
            let graph: Graph = text.parse().expect("the text is right");
            for seed in 0..8 {
                let args = random::arguments(&graph, seed, Kind::Real);
                let result = differential::compare(&graph, &args, Kind::Real, &differential::BACKENDS, &mut counts);
                result.unwrap_or_else(|e| panic!("{name}, seed {seed}: {e}\n{graph}"));
            }
        }
    }
    assert_eq!((counts.graphs, counts.prepared), (64, 64));
    assert!(counts.fraction_open() < 0.05, "{} of {} were left out", counts.open, counts.elements);
}

#[test]
fn every_operator_occurs() {
    let mut missing: BTreeSet<&str> =
        // Checks are inserted by the compiler.
        Op::mnemonics().filter(|m| !["call", "gradient", "check_index"].contains(m)).collect();
    for seed in 0..400 {
        for kind in [Kind::Exact, Kind::Real] {
            let graph = random::graph(seed, 20, kind);
            graph.entry().ops().for_each(|(_, _, op)| _ = missing.remove(op.mnemonic()));
        }
    }
    assert!(missing.is_empty(), "{missing:?} never occur");
}

/// What is hard to compile, and what a generator could stop making without any test that fails.
const HARD: [&str; 13] = [
    "a state is updated",
    "a weight is updated",
    "a product for each position",
    "elements are gathered by run-time indices",
    "elements are scattered by run-time indices",
    "run-time indices that are not known to be in range",
    "a sum of nothing",
    "a product of nothing",
    "padding around nothing",
    "a concatenation with nothing",
    "nothing is gathered or scattered",
    "thousands of elements",
    "thousands of elements are summed, multiplied or moved",
];

/// Which of these a function has.
fn hard(f: &Function) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut runs = vec![false; f.node_count()];
    for (id, node) in f.nodes() {
        let elements = |i: usize| f.ty(node.operands[i]).shape.elements();
        let any = |test: fn(usize) -> bool| (0..node.operands.len()).any(|i| test(elements(i)));
        runs[id.index()] = node.operands.iter().any(|v| runs[v.node.index()]) || f.op(id).is_none();
        let (some, many) = (node.types[0].shape.elements() > 0, node.types[0].shape.elements() > 4000);
        let mut has = |what, it| {
            if it {
                found.insert(what);
            }
        };
        has("thousands of elements", many);
        let Some(op) = f.op(id) else { continue };
        let moves = matches!(op, Op::Gather(_) | Op::Scatter(_) | Op::Transpose(_) | Op::Reverse(_) | Op::Concat(_));
        let sums = matches!(op, Op::Reduce(_) | Op::Dot(_) | Op::Conv(_) | Op::ReduceWindow(_));
        has("thousands of elements are summed, multiplied or moved", any(|n| n > 4000) && (moves || sums));
        match op {
            Op::Dot(dot) => {
                has("a product for each position", some && !dot.lhs_batch.is_empty() && any(|n| n > 1));
                has("a product of nothing", some && any(|n| n == 0));
            }
            Op::Reduce(_) => has("a sum of nothing", some && any(|n| n == 0)),
            Op::Pad(_) => has("padding around nothing", some && elements(0) == 0),
            Op::Concat(_) => has("a concatenation with nothing", some && any(|n| n == 0)),
            Op::Gather(_) | Op::Scatter(_) => {
                let indices = node.operands[1];
                let run_time = some && elements(1) > 0 && runs[indices.node.index()];
                has("elements are gathered by run-time indices", run_time && matches!(op, Op::Gather(_)));
                has("elements are scattered by run-time indices", run_time && matches!(op, Op::Scatter(_)));
                let unknown = run_time && f.arg_index(indices).is_some();
                has("run-time indices that are not known to be in range", unknown);
                has("nothing is gathered or scattered", elements(1) == 0 && elements(0) > 0);
            }
            _ => {}
        }
    }
    for result in &f.results {
        if let ResultRole::Update(arg) = result.role {
            let is_state = matches!(f.args()[arg].role, Role::State { .. });
            found.insert(if is_state { HARD[0] } else { HARD[1] });
        }
    }
    found
}

#[test]
fn what_is_hard_occurs_often() {
    let mut counts: BTreeMap<&str, usize> = HARD.map(|what| (what, 0)).into();
    for seed in 0..400 {
        for kind in [Kind::Exact, Kind::Real] {
            let graph = random::graph(seed, 12, kind);
            let found: BTreeSet<&str> = graph.functions().flat_map(hard).collect();
            found.into_iter().for_each(|what| *counts.get_mut(what).expect("it is in the list") += 1);
        }
    }
    println!("{counts:#?}");
    let seldom: Vec<_> = counts.iter().filter(|(_, count)| **count < 10).collect();
    assert!(seldom.is_empty(), "of 800 graphs: {seldom:?}");
}

/// The results of a text on arguments of 0.3, 0.7, 1.1, …
fn bounded(text: &str) -> Vec<bounds::Bounded> {
    let graph = Graph::parse(text, &Blobs::default()).expect("the text is right");
    let number = |i: usize| Scalar::Float(0.3 + 0.4 * i as f64);
    let args: Vec<Tensor> = graph.entry().args().iter().map(|a| Tensor::from_fn(a.ty.clone(), number)).collect();
    bounds::interpret(&graph, &args, bounds::Constants::Exact).expect("it runs")
}

#[test]
fn bounds_are_of_the_size_of_rounding() {
    for (dtype, epsilon) in [("f32", f64::from(f32::EPSILON)), ("f64", f64::EPSILON)] {
        let text = format!(
            "func @f(%x: {dtype}[5] input, %y: {dtype}[5] input) -> {dtype}[] {{\n  %0 = mul %x, %y : {dtype}[5]\n  \
             %1 = tanh %0 : {dtype}[5]\n  %2 = reduce %1 {{kind=sum, axes=[0]}} : {dtype}[]\n  return %2\n}}\n"
        );
        let result = &bounded(&text)[0];
        let (x, radius) = (result.value.get(0).as_f64(), result.radius[0]);
        assert!(radius >= epsilon * x && radius < 16.0 * epsilon * x, "{dtype}: {x} ± {radius:e}");
    }
}

#[test]
fn what_rounding_decides_has_no_bound() {
    let text = "func @f(%x: f32[3] input, %y: f32[3] input) -> (bool[3], f32[3], i64[]) {\n  \
                %0 = mul %x, %y : f32[3]\n  %1 = mul %0, %x : f32[3]\n  %2 = mul %x, %x : f32[3]\n  %3 = mul %2, %y : f32[3]\n  \
                %4 = compare %1, %3 {dir=lt} : bool[3]\n  %5 = select %4, %1, %3 : f32[3]\n  \
                %6 = reduce %1 {kind=argmax, axes=[0]} : i64[]\n  return %4, %5, %6\n}\n";
    let [order, chosen, largest] = bounded(text).try_into().expect("three results");
    assert_eq!(order.radius, [f64::INFINITY; 3], "x y x and x x y may be either way round");
    assert!(chosen.radius.iter().all(|&r| r < 1e-6), "but both are the same number: {:?}", chosen.radius);
    assert_eq!(largest.radius, [0.0], "and which of three is the largest does not hang on rounding");
}

/// Evaluating an f32 graph in f64 approximates the real values: they are within the bounds of the f32 ones.
#[test]
fn bounds_hold_what_more_digits_give() {
    let (mut compared, mut open) = (0, 0);
    for seed in 0..300 {
        let graph = random::graph(seed, 1 + seed as usize % 20, Kind::Real);
        let wide =
            Graph::parse(&graph.to_string().replace("f32", "f64"), &Blobs::default()).expect("constants are small");
        let args = random::arguments(&graph, seed, Kind::Real);
        let wide_args: Vec<Tensor> =
            args.iter().map(|x| if x.dtype().is_float() { x.convert(DType::F64) } else { x.clone() }).collect();
        // In the text a constant has the digits of its f32.
        let narrow = bounds::interpret(&graph, &args, bounds::Constants::Folded).expect("it runs");
        let wide = bounds::interpret(&wide, &wide_args, bounds::Constants::Exact).expect("it runs");
        for (n, w) in narrow.iter().zip(&wide) {
            for (i, (x, y)) in n.value.to_f64s().into_iter().zip(w.value.to_f64s()).enumerate() {
                let radius = n.radius[i] + w.radius[i];
                open += usize::from(radius == f64::INFINITY);
                compared += usize::from(radius < f64::INFINITY);
                let same = x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= radius;
                assert!(same, "seed {seed}: element {i} is {x:?} ± {radius:e} in f32 and {y:?} in f64\n{graph}");
            }
        }
    }
    assert!(compared > 10 * open && compared > 10_000, "{compared} compared, {open} open");
}
