//! The passes together: a whole training step, and the provenance of its nodes.

#[allow(dead_code, reason = "each test binary uses its part")]
mod common;
#[path = "common/lenet.rs"]
mod lenet;

use common::{Rng, assert_same_reals};
use dlc_compiler::autodiff::differentiate;
use dlc_compiler::egraph::fusion::{group, price};
use dlc_compiler::options::{Math, PassOptions};
use dlc_compiler::passes::{Context, Optimized, PASSES, fuse, optimize};
use dlc_compiler::routine::{self, Schedule};
use dlc_ir::bounds::{self, Constants};
use dlc_ir::{DType, Function, FunctionKind, Graph, Op, Scalar, Tensor};

fn step(batch: usize) -> Graph {
    differentiate(lenet::training_step(batch), &mut |function, _| function).expect("LeNet has gradients")
}

fn arguments(graph: &Graph) -> Vec<Tensor> {
    let mut rng = Rng(3);
    let mut small = |ty: &dlc_ir::Type| {
        let scale = 1.0 / (ty.shape.iter().skip(1).product::<usize>() as f64).sqrt();
        Tensor::from_fn(ty.clone(), |_| match ty.dtype {
            DType::I64 => Scalar::Int(rng.below(10) as i64),
            _ => Scalar::Float(scale * ((rng.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0)),
        })
    };
    let args = graph.entry().args();
    args.iter()
        .map(|a| if a.name.ends_with("_v") { Tensor::full(a.ty.clone(), Scalar::Float(0.01)) } else { small(&a.ty) })
        .collect()
}

#[test]
fn the_optimised_step_trains_the_same() {
    let graph = step(2);
    let Optimized { graph: after, stats, .. } = optimize(&graph, &PassOptions::default());
    after.verify().unwrap_or_else(|e| panic!("{e}\n{after}"));
    let args = arguments(&graph);
    let expected = bounds::interpret(&graph, &args, Constants::Exact).expect("it runs");
    let found = bounds::interpret(&after, &args, Constants::Folded).expect("it runs");
    assert_same_reals(&expected, &found, "the optimised step");
    let calls = after.entry().op_count();
    assert!(calls < 60, "{calls} kernels and views in {stats:?}\n{}", after);
}

#[test]
fn strict_math_keeps_every_bit_but_of_sums() {
    let graph = step(1);
    let options = PassOptions { math: Math::Strict, ..PassOptions::default() };
    let after = optimize(&graph, &options).graph;
    let args = arguments(&graph);
    assert_eq!(graph.interpret(&args).expect("it runs"), after.interpret(&args).expect("it runs"));
}

/// Storing a million numbers that two reductions read costs 0.1 ms of traffic: cheaper computations are rematerialised.
#[test]
fn cheap_values_are_rematerialised_and_expensive_ones_saved() {
    for (function, kept) in [("relu", false), ("abs", false), ("tanh", true), ("erf", true)] {
        let text = format!(
            "func @f(%x: f32[1000,1000] input) -> (f32[1000], f32[1000]) {{
  %0 = {function} %x : f32[1000,1000]
  %1 = reduce %0 {{kind=sum, axes=[0]}} : f32[1000]
  %2 = reduce %0 {{kind=max, axes=[1]}} : f32[1000]
  return %1, %2
}}
"
        );
        let graph: Graph = text.parse().expect("it is well-formed");
        let after = optimize(&graph, &PassOptions::default()).graph;
        let types = after.entry().ops().flat_map(|(_, node, _)| node.types.iter());
        let large = types.filter(|ty| ty.shape.elements() == 1_000_000).count();
        assert_eq!(large, usize::from(kept), "{function}\n{after}");
    }
}

#[test]
fn the_same_bytes_every_time() {
    let graph = step(4);
    let first = optimize(&graph, &PassOptions::default()).graph.to_string();
    for _ in 0..3 {
        assert_eq!(optimize(&graph, &PassOptions::default()).graph.to_string(), first);
    }
}

#[test]
fn the_same_bytes_on_any_number_of_threads() {
    // Several functions, of which two have equal kernels, and weights that are prepared in several parts.
    let block = |name: &str, n: usize| {
        format!(
            "func @{name}(%x: f32[4,{n}], %w: f32[{n},{n}], %s: f32[{n}]) -> f32[4,{n}] {{
  %0 = broadcast %s {{axes=[1]}} : f32[{n},{n}]
  %1 = mul %w, %0 : f32[{n},{n}]
  %2 = dot %x, %1 {{lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]}} : f32[4,{n}]
  %3 = relu %2 : f32[4,{n}]
  %4 = sub %3, %x : f32[4,{n}]
  return %4
}}
"
        )
    };
    let calls = "func @main(%x: f32[4,9] input, %y: f32[4,7] input, %w: f32[9,9] param \"w\" frozen, %v: f32[7,7] param \"v\" frozen, \
         %s: f32[9] param \"s\" frozen, %t: f32[7] param \"t\" frozen) -> (f32[4,9], f32[4,7], f32[4,9]) {
  %0 = call %x, %w, %s {func=@a} : f32[4,9]
  %1 = call %y, %v, %t {func=@b} : f32[4,7]
  %2 = call %0, %w, %s {func=@c} : f32[4,9]
  %3 = add %0, %2 : f32[4,9]
  return %0, %1, %3
}
";
    let text = [block("a", 9), block("b", 7), block("c", 9), calls.to_owned()].concat();
    let calls: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    for graph in [step(4), calls] {
        let made = [1, 2, 5].map(|threads| {
            let options = PassOptions { threads, prepare: true, ..PassOptions::default() };
            let optimized = optimize(&graph, &options);
            let schedule = routine::schedule(&optimized.graph, &options.machine, threads).expect("it can be scheduled");
            let Schedule { program, statuses, bindings, clamped } = schedule;
            (optimized.graph.to_string(), optimized.stats, program, statuses, bindings, clamped)
        });
        assert!(made[0].2.kernels.len() > 2);
        assert!(made.iter().all(|m| *m == made[0]));
    }
}

#[test]
fn a_fused_node_reports_the_rules_that_made_it() {
    let text = "func @perceptron(%x: f32[4,9] input, %w: f32[8,9] param \"w\", %b: f32[8] param \"b\") -> f32[4,8] {
  %0 = transpose %w {perm=[1,0]} : f32[9,8]
  %1 = dot %x, %0 {lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[4,8]
  %2 = broadcast %b {axes=[1]} : f32[4,8]
  %3 = add %1, %2 : f32[4,8]
  %4 = relu %3 : f32[4,8]
  return %4
}
";
    let graph: Graph = text.parse().expect("it is well-formed");
    let optimized = optimize(&graph, &PassOptions::default());
    let entry = optimized.graph.entry();
    let (call, _, _) = entry.ops().next().expect("one call");
    let steps = optimized.provenance.steps(&entry.name, call);
    let explained: Vec<String> = steps.iter().map(|s| format!("{} {}", s.rule, s.note).trim().to_owned()).collect();
    assert_eq!(
        explained,
        [
            "dot-of-transpose",
            "fuse-map-into-epilogue add saves 256 bytes of traffic",
            "fuse-map-into-epilogue relu saves 256 bytes of traffic",
        ]
    );
    let kernel = optimized.graph.functions().next().expect("the kernel comes first");
    let (dot, _, _) = kernel.ops().next().expect("the product");
    assert_eq!(optimized.provenance.steps(&kernel.name, dot).len(), 1);
}

#[test]
fn grouping_is_never_worse_than_greedy() {
    let graph = passes_before_fusion(&step(8));
    for function in graph.functions() {
        let grouping = group(function, &PassOptions::default());
        assert!(grouping.cost <= grouping.incumbent, "{} > {}", grouping.cost, grouping.incumbent);
    }
}

/// The cost that extraction sums up is that of the kernels as programs of their own.
#[test]
fn a_grouping_costs_what_its_kernels_do() {
    let graph = passes_before_fusion(&step(8));
    let options = PassOptions::default();
    let said: u64 = graph.functions().map(|function| group(function, &options).cost).sum();
    let fused = fuse(&graph, &mut Context::new(options.clone()));
    let kernels = fused.functions().flat_map(Function::ops).filter_map(|(_, _, op)| match op {
        Op::Call(call) => fused.function(&call.func).filter(|f| f.kind == FunctionKind::Kernel),
        _ => None,
    });
    let found: u64 = kernels.map(|kernel| price(kernel, &options).expect("it was made by the rules")).sum();
    assert_eq!(said, found);
}

fn passes_before_fusion(graph: &Graph) -> Graph {
    let mut context = Context::new(PassOptions::default());
    let passes = PASSES.iter().filter(|p| p.name != "fuse");
    passes.fold(graph.clone(), |graph, pass| pass.run(&graph, &mut context))
}

#[test]
fn a_number_that_is_known_feeds_no_rule() {
    // Zero is its own sum, multiple and product: if rules rewrote it, they would never reach a fixed point.
    let text = "func @f(%x: f32[4] input, %y: f32[4] input) -> f32[4] {
  %0 = constant 0.0 : f32[]
  %1 = broadcast %0 {axes=[]} : f32[4]
  %2 = mul %1, %x : f32[4]
  %3 = mul %1, %y : f32[4]
  %4 = add %2, %3 : f32[4]
  %5 = add %4, %4 : f32[4]
  %6 = constant 3.0 : f32[]
  %7 = broadcast %6 {axes=[]} : f32[4]
  %8 = mul %5, %7 : f32[4]
  %9 = add %8, %5 : f32[4]
  %10 = add %9, %y : f32[4]
  return %10
}
";
    let graph: Graph = text.parse().expect("it is well-formed");
    let Optimized { graph: after, stats, .. } =
        optimize(&graph, &PassOptions { math: Math::Fast, ..PassOptions::default() });
    assert_eq!(after.entry().op_count(), 0, "{after}");
    let saturate = stats.iter().find(|s| s.pass == "saturate").expect("it ran");
    assert!(saturate.e_nodes < 40, "{saturate:?}");
}

/// Numbers near the end of the range have no file test: no finite result could be compared.
#[test]
fn constants_are_not_added_beyond_all_numbers() {
    let text = "func @f(%x: f32[] input) -> f32[] {
  %0 = constant 3e38 : f32[]
  %1 = add %x, %0 : f32[]
  %2 = add %1, %0 : f32[]
  return %2
}
";
    let graph: Graph = text.parse().expect("it is well-formed");
    assert_eq!(optimize(&graph, &PassOptions::default()).graph.to_string().matches("add ").count(), 2);
}
