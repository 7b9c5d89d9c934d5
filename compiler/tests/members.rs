//! The e-graph itself is right: after saturation all members of every class are equal, under the rules of the maths, on random,
//! special and extreme numbers.

#[allow(dead_code, reason = "each test binary uses its part")]
mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{Rng, random};
use dlc_compiler::autodiff::differentiate;
use dlc_compiler::egraph::{AlgebraGraph, Members, Need, members, rules, saturate};
use dlc_compiler::options::{Math, PassOptions};
use dlc_compiler::passes::optimize;
use dlc_ir::{DType, Function, Graph, Op, Scalar, Tensor, Type};

/// Draws of arguments for each function.
const DRAWS: u64 = 12;

/// What floats are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    /// Between a quarter and two.
    Positive,
    /// The same, of both signs.
    Moderate,
    /// Zeros, infinities, NaN, subnormal numbers, and some ordinary ones.
    Special,
    /// Near the largest and the smallest of f32, and near their roots.
    Extreme,
}

fn float(rng: &mut Rng, numbers: Numbers) -> f64 {
    const SPECIAL: [f64; 12] =
        [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-42, -1e-44, 1.0, -1.0, 2.0, -0.5, 41.0];
    const EXTREME: [f64; 14] =
        [3.4e38, -3.3e38, 1e38, -2e38, 1.3e-38, -2e-38, 1e-30, -1e30, 2e19, -1.9e19, 1e-19, 3e-20, 1.0, -7.0];
    let moderate = 0.25 + 1.75 * (rng.bits() >> 11) as f64 / (1u64 << 53) as f64;
    match numbers {
        Numbers::Positive => moderate,
        Numbers::Moderate => {
            if rng.bits() & 1 == 0 {
                moderate
            } else {
                -moderate
            }
        }
        Numbers::Special => SPECIAL[rng.below(SPECIAL.len())],
        Numbers::Extreme => {
            EXTREME[rng.below(EXTREME.len())] * if rng.bits() & 1 == 0 { 1.0 } else { moderate.min(1.0) }
        }
    }
}

fn arguments(function: &Function, rng: &mut Rng, numbers: Numbers) -> Vec<Tensor> {
    let tensor = |ty: &Type, rng: &mut Rng| {
        let dtype = ty.dtype;
        Tensor::from_fn(ty.clone(), |_| match dtype {
            DType::Bool => Scalar::Bool(rng.bits() & 1 == 0),
            d if d.is_float() => Scalar::Float(float(rng, numbers)),
            _ => Scalar::Int(rng.below(4) as i64),
        })
    };
    function.args().iter().map(|a| tensor(&a.ty, rng)).collect()
}

fn is_checked(function: &Function) -> bool {
    let float = |t: &Type| t.dtype == DType::F64;
    let outside = |op: &Op| matches!(op, Op::Call(_) | Op::Gradient(_));
    !function.nodes().any(|(_, n)| n.types.iter().any(float)) && !function.ops().any(|(_, _, op)| outside(op))
}

/// Checks a function with these maths; returns the rules that fired.
fn check(function: &Function, math: Math, seed: u64, sum: &mut Members) -> BTreeSet<&'static str> {
    let options = PassOptions { math, weights: false, ..PassOptions::default() };
    let mut algebra = AlgebraGraph::new(function);
    let saturation = saturate(&mut algebra, &options);
    let mut rng = Rng(seed);
    for draw in 0..DRAWS {
        let numbers = match draw % 3 {
            _ if math == Math::Fast => Numbers::Positive,
            0 => Numbers::Moderate,
            1 => Numbers::Special,
            _ => Numbers::Extreme,
        };
        let args = arguments(function, &mut rng, numbers);
        match members(&algebra, function, &args, math) {
            Ok(found) => {
                sum.made += found.made;
                sum.elements += found.elements;
                sum.open += found.open;
            }
            Err(e) => {
                panic!("{math}, {numbers:?} numbers: {e}\n{}\nof {args:?}", Graph::from_function(function.clone()))
            }
        }
    }
    saturation.fired.into_keys().collect()
}

/// Where a condition that safe maths requires is not proved, the rule without its guard makes members that differ: each guard is
/// necessary, and this test notices if it is missing.
#[test]
fn a_rule_without_its_guard_is_detected() {
    let mut unnoticed = vec![];
    for (name, graph) in named_seeds().into_iter().filter(|(name, _)| name.starts_with("unproved-")) {
        let function = graph.entry();
        let mut algebra = AlgebraGraph::new(function);
        // Fast maths assumes what the guards require.
        saturate(&mut algebra, &PassOptions { math: Math::Fast, weights: false, ..PassOptions::default() });
        let mut rng = Rng(3);
        let noticed = (0..300).any(|draw| {
            let numbers = if draw % 2 == 0 { Numbers::Special } else { Numbers::Extreme };
            members(&algebra, function, &arguments(function, &mut rng, numbers), Math::Safe).is_err()
        });
        if !noticed {
            unnoticed.push(name);
        }
    }
    // Sums of integers differ in their rounding only, which no bound distinguishes from what is allowed.
    assert_eq!(unnoticed, ["unproved-add-constants"]);
}

fn seeds() -> Vec<Graph> {
    named_seeds().into_iter().map(|(_, graph)| graph).collect()
}

fn named_seeds() -> Vec<(String, Graph)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/ir/saturate");
    let paths = std::fs::read_dir(folder).expect("the folder is there").map(|e| e.expect("it can be read").path());
    let mut paths: Vec<_> = paths.filter(|p| p.extension().is_some_and(|e| e == "dlir")).collect();
    paths.sort();
    let text = |path| std::fs::read_to_string(path).expect("the file can be read");
    let name = |p: &Path| p.file_stem().expect("files have names").to_string_lossy().into_owned();
    paths.iter().map(|p| (name(p), text(p).parse().expect("seeds are well-formed"))).collect()
}

#[test]
fn members_of_the_rules_own_programs_agree() {
    for math in Math::ALL {
        let (mut sum, mut fired) = (Members::default(), BTreeSet::new());
        for graph in seeds() {
            if is_checked(graph.entry()) {
                fired.extend(check(graph.entry(), math, 5, &mut sum));
            }
        }
        assert!(sum.elements > 4 * sum.open && sum.elements > 1000, "{sum:?}");
        // What safe maths requires to be proved is proved somewhere.
        let silent: Vec<&str> = rules()
            .filter(|r| r.need == Need::Safe && math == Math::Safe && !fired.contains(r.name))
            .map(|r| r.name)
            .collect();
        assert!(silent.is_empty(), "{silent:?} fire in no file with --math=safe");
    }
}

#[test]
fn members_of_random_graphs_agree() {
    let mut sum = Members::default();
    let mut graphs = 0;
    for seed in 0..400 {
        let kind = if seed % 4 == 0 { random::Kind::Exact } else { random::Kind::Real };
        let ops = 12 + (seed % 20) as usize;
        let graph = match seed % 3 {
            0 => differentiate(random::gradients(seed, ops, true), &mut |f, _| f).expect("it has derivatives"),
            _ => random::graph(seed, ops, kind),
        };
        for function in graph.functions().filter(|f| is_checked(f)) {
            graphs += 1;
            for math in [Math::Strict, Math::Safe] {
                check(function, math, seed, &mut sum);
            }
        }
    }
    assert!(graphs > 100 && sum.elements > 100_000, "{graphs} graphs, {sum:?}");
}

/// The facts of a convolution hold also if its windows have only padding.
#[test]
fn a_convolution_may_be_zero_in_its_padding() {
    let text = "func @f(%x: f32[1,1,2,2] input, %w: f32[1,1,1,1] input) -> (f32[1,1,4,4]) {
  %0 = constant 1.0 : f32[]
  %1 = broadcast %0 {axes=[]} : f32[1,1,2,2]
  %2 = broadcast %0 {axes=[]} : f32[1,1,1,1]
  %3 = relu %x : f32[1,1,2,2]
  %4 = relu %w : f32[1,1,1,1]
  %5 = add %3, %1 : f32[1,1,2,2]
  %6 = add %4, %2 : f32[1,1,1,1]
  %7 = conv %5, %6 {stride=[1,1], low=[1,1], high=[1,1], x_dilation=[1,1], kernel_dilation=[1,1], \
                feature_groups=1, batch_groups=1} : f32[1,1,4,4]
  return %7
}
";
    let graph: Graph = text.parse().expect("it is well-formed");
    check(graph.entry(), Math::Safe, 7, &mut Members::default());
}

/// The facts of a product hold if zero is multiplied by infinity, and those of a sum if all terms are at their bound, and if they
/// overflow together.
#[test]
fn products_may_be_nan_and_sums_infinite() {
    let text = "func @f(%i: i32[3,4] input, %x: f32[3,4] input) -> (f32[3,4], f32[3], f32[3]) {
  %0 = convert %i : f32[3,4]
  %1 = constant 1.0 : f32[]
  %2 = broadcast %1 {axes=[]} : f32[3,4]
  %3 = div %2, %0 : f32[3,4]
  %4 = mul %0, %3 : f32[3,4]
  %5 = constant 3e38 : f32[]
  %6 = broadcast %5 {axes=[]} : f32[3,4]
  %7 = sign %x : f32[3,4]
  %8 = mul %7, %6 : f32[3,4]
  %9 = reduce %8 {kind=sum, axes=[1]} : f32[3]
  %10 = abs %7 : f32[3,4]
  %11 = reduce %10 {kind=sum, axes=[1]} : f32[3]
  return %4, %9, %11
}
";
    let graph: Graph = text.parse().expect("it is well-formed");
    check(graph.entry(), Math::Safe, 7, &mut Members::default());
}

/// One result of a program does not depend on what another one divides by zero.
#[test]
fn numbers_that_differ_are_never_one() {
    let text = "func @f() -> (f32[], f32[], f32[]) {
  %0 = constant 0.0 : f32[]
  %1 = div %0, %0 : f32[]
  %2 = constant 1.0 : f32[]
  %3 = div %2, %0 : f32[]
  %4 = sub %2, %2 : f32[]
  %5 = mul %1, %4 : f32[]
  return %1, %3, %5
}
";
    let graph: Graph = text.parse().expect("it is well-formed");
    for math in Math::ALL {
        let optimised = optimize(&graph, &PassOptions { math, ..PassOptions::default() }).graph;
        let [nan, infinite, other] = &optimised.interpret(&[]).expect("it has a value")[..] else { panic!("three") };
        assert!(nan.get(0).as_f64().is_nan() && other.get(0).as_f64().is_nan(), "{math}: {optimised}");
        assert_eq!(infinite.get(0).as_f64(), f64::INFINITY, "{math}: {optimised}");
    }
}

/// A quotient is exactly that of the numbers as written, unless numbers are assumed to be moderate: `floor(41 / 41)` is 1.
#[test]
fn a_division_stays_a_division() {
    let mut differences = 0;
    for divisor in ["3.0", "5.0", "41.0", "47.0", "1320.0", "0.1", "-7.0", "8.0"] {
        let text = format!(
            "func @f(%x: f32[200] input, %y: f32[200] input) -> (f32[200], f32[200], f32[200], f32[200]) {{
  %0 = constant {divisor} : f32[]
  %1 = broadcast %0 {{axes=[]}} : f32[200]
  %2 = mul %x, %1 : f32[200]
  %3 = div %2, %1 : f32[200]
  %4 = div %x, %1 : f32[200]
  %5 = mul %y, %y : f32[200]
  %6 = sqrt %5 : f32[200]
  %7 = div %x, %6 : f32[200]
  %8 = div %2, %y : f32[200]
  return %3, %4, %7, %8
}}
"
        );
        let graph: Graph = text.parse().expect("it is well-formed");
        let whole =
            |scale: f64| Tensor::from_fn(Type::new(DType::F32, [200]), |i| Scalar::Float((i as f64 + 1.0) * scale));
        let args = [whole(divisor.parse::<f64>().expect("a number").abs().max(1.0)), whole(1.0)];
        let expected = graph.interpret(&args).expect("it has a value");
        for math in Math::ALL {
            let optimised = optimize(&graph, &PassOptions { math, ..PassOptions::default() }).graph;
            let found = optimised.interpret(&args).expect("it has a value");
            match math {
                Math::Fast => differences += usize::from(found != expected),
                _ => assert_eq!(found, expected, "{math}, {divisor}\n{optimised}"),
            }
        }
    }
    assert!(
        differences > 4,
        "fast maths multiply by the inverse, which these numbers distinguish from a division: {differences}"
    );
}
