//! Compiled graphs.
//!
//! Two properties are tested: machine code computes the same bits as the interpreter of kernels, for any graph; and if every
//! value of a graph is an integer that is exact in any order of summation, both compute the reference result.

use dlc_compiler::machine::Target;
use dlc_compiler::options::{Backend, Level, Math, Options, PassOptions};
use dlc_compiler::passes;
use dlc_compiler::pipeline;
use dlc_compiler::program::RunError;
use dlc_ir::op::Reduction;
use dlc_ir::{DType, Graph, Op, ResultRole, Tensor};

use crate::graph::{same_values, small, small_integers};

/// Kernels of values with more elements than this are too slow to interpret.
const MAX_ELEMENTS: usize = 512;

pub fn matches(input: &[u8]) -> bool {
    let Ok(graph) = String::from_utf8_lossy(input).parse::<Graph>() else { return false };
    if !small(&graph, MAX_ELEMENTS) || !matches!(passes::parts(&graph), Ok(None)) {
        return false;
    }
    let args: Vec<Tensor> = graph.entry().args().iter().map(|a| small_integers(&a.ty, 5)).collect();
    let mut targets = Target::ALL.into_iter().filter(|target| target.runs_here()).peekable();
    targets.peek().is_some() && targets.all(|target| matches_on(target, &graph, &args))
}

/// The same for the code of one instruction set.
fn matches_on(target: Target, graph: &Graph, args: &[Tensor]) -> bool {
    let options = |level| Options {
        level,
        passes: PassOptions { math: Math::Strict, prepare: true, ..PassOptions::default() },
        check: true,
        ..Options::new(target)
    };
    // A function without a derivative under a `gradient` is an error in the input.
    let Ok(meaning) = pipeline::differentiate(graph.clone(), &options(Level::O0)) else { return false };
    let expected = meaning_of(&meaning, args);
    for level in [Level::O0, Level::Full] {
        let options = options(level);
        let optimised = pipeline::differentiate(graph.clone(), &options).and_then(|g| pipeline::optimize(&g, &options));
        let optimised = optimised.unwrap_or_else(|e| panic!("{target} {level:?}: {e}\n{graph}"));
        let run = |backend| run(&optimised, &Options { backend, ..options.clone() }, args);
        let native = run(Backend::Native { threads: 1 });
        let walked = run(Backend::Interpreter);
        match (&native, &walked) {
            (Ok(native), Ok(walked)) => {
                assert!(same(native, walked), "{target} {level:?}: machine code and kernels differ\n{graph}");
                if let Meaning::Exact(expected) = &expected {
                    assert!(same(expected, native), "{target} {level:?}: a value is wrong\n{graph}\n{optimised}");
                }
            }
            (Err(native), Err(walked)) => {
                assert_eq!(native, walked, "{target} {level:?}: machine code and kernels fail differently\n{graph}");
                let refused = matches!(expected, Meaning::Error) && matches!(native, RunError::Check { .. });
                assert!(refused, "{target} {level:?}: {native}\n{graph}");
            }
            _ => panic!("{target} {level:?}: machine code: {native:?}, kernels: {walked:?}\n{graph}"),
        }
    }
    true
}

/// The reference result for some arguments.
enum Meaning {
    /// Exact in any order of summation.
    Exact(Vec<Tensor>),
    /// Values that depend on rounding.
    Rounded,
    /// An error: an index is out of range.
    Error,
}

fn meaning_of(graph: &Graph, args: &[Tensor]) -> Meaning {
    let mut largest = args.iter().fold(1.0, |most, a| magnitude(a).max(most));
    let mut observe = |_: &_, _, results: &[Tensor]| {
        largest = results.iter().fold(largest, |most, r| magnitude(r).max(most));
    };
    let Ok(results) = graph.interpret_function(graph.entry(), args, &mut observe) else { return Meaning::Error };
    // a program does not return its checks
    let given = graph.entry().results.iter().zip(results).filter(|(result, _)| result.role != ResultRole::Check);
    let results: Vec<Tensor> = given.map(|(_, value)| value).collect();
    let types = || graph.functions().flat_map(|f| f.nodes()).flat_map(|(_, node)| node.types.iter());
    let terms = types().map(|ty| ty.shape.elements()).max().unwrap_or(1) as f64;
    let exact = graph.functions().flat_map(|f| f.ops()).all(|(_, _, op)| is_exact(op));
    let digits = if types().any(|ty| ty.dtype == DType::F32) { 24 } else { 53 };
    // Every sum of products is below the first integer that is not exact.
    if exact && largest * largest * terms <= f64::from(digits).exp2() {
        Meaning::Exact(results)
    } else {
        Meaning::Rounded
    }
}

/// Whether an operator is exact on small integers.
fn is_exact(op: &Op) -> bool {
    match op {
        Op::Map(f) => f.def().ulps <= 0.5,
        Op::Reduce(op) => op.kind != Reduction::Product,
        Op::ReduceWindow(op) => op.kind != Reduction::Product,
        _ => true,
    }
}

/// The largest magnitude among floating-point numbers; infinite if one is not an integer.
fn magnitude(tensor: &Tensor) -> f64 {
    if !tensor.dtype().is_float() {
        return 0.0;
    }
    tensor
        .scalars()
        .map(|x| x.as_f64())
        .fold(0.0, |most, x| if x.fract() == 0.0 { x.abs().max(most) } else { f64::INFINITY })
}

fn same(a: &[Tensor], b: &[Tensor]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_values(a, b))
}

/// All results of the entry, updates included.
fn run(graph: &Graph, options: &Options, args: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
    let program = pipeline::compile_optimized(graph.clone(), options, &mut ());
    let program = program.unwrap_or_else(|e| panic!("{:?} {:?}: {e}\n{graph}", options.level, options.backend));
    program.evaluate(args)
}
