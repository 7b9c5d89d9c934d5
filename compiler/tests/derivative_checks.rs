//! An index that only a custom derivative looks up is checked, whatever the program does with the derivative.

#[allow(dead_code, reason = "shared with other test binaries")]
#[path = "common/run.rs"]
mod run;

use dlc_compiler::options::{Backend, Level, Math};
use dlc_compiler::pipeline;
use dlc_compiler::program::RunError;
use dlc_ir::{Graph, Tensor};
use proptest::prelude::*;
use run::{NATIVE, options};

/// What the program does with the gradient of the table, and what it returns of it.
const USES: [(&str, &str, &str); 9] = [
    ("", "%0.1", "f32[5]"),
    ("  %1 = sub %w, %0.1 : f32[5]\n", "%1", "f32[5]"),
    ("  %1 = slice %0.1 {start=[4], limit=[5], stride=[1]} : f32[1]\n", "%1", "f32[1]"),
    ("  %1 = sub %0.1, %0.1 : f32[5]\n", "%1", "f32[5]"),
    (
        "  %1 = constant 0.0 : f32[]\n  %2 = broadcast %1 {axes=[]} : f32[5]\n  %3 = mul %2, %0.1 : f32[5]\n",
        "%3",
        "f32[5]",
    ),
    ("  %1 = reduce %0.1 {kind=max, axes=[0]} : f32[]\n", "%1", "f32[]"),
    ("  %1 = relu %0.1 : f32[5]\n  %2 = mul %1, %w : f32[5]\n", "%2", "f32[5]"),
    ("  %1 = compare %0.1, %w {dir=lt} : bool[5]\n", "%1", "bool[5]"),
    ("  %1 = concat %w, %0.1 {axis=0} : f32[10]\n  %2 = reverse %1 {axes=[0]} : f32[10]\n", "%2", "f32[10]"),
];

/// Those that fast maths folds to zero whatever the gradient is: it is not computed then, and neither is its check.
const ZERO_TO_FAST_MATHS: [usize; 2] = [3, 4];

/// A loss that looks up rows of a table and has a custom derivative, which looks up the rows after them.
fn text(looks_up: usize, twice: bool, usage: usize) -> String {
    let (lines, value, ty) = USES[usage];
    let rule = [
        "  %3 = gather %w, %2 {axis=0, batch=0} : f32[3]
  %4 = reduce %3 {kind=sum, axes=[0]} : f32[]
  %5 = mul %4, %ct : f32[]
  %6 = broadcast %5 {axes=[]} : f32[5]
",
        "  %3 = broadcast %ct {axes=[]} : f32[3]
  %4 = constant 0.0 : f32[]
  %5 = broadcast %4 {axes=[]} : f32[5]
  %6 = scatter %5, %2, %3 {axis=0, batch=0, kind=add} : f32[5]
",
        // what is looked up is not used
        "  %3 = gather %w, %2 {axis=0, batch=0} : f32[3]
  %4 = constant 0.5 : f32[]
  %5 = mul %4, %ct : f32[]
  %6 = broadcast %5 {axes=[]} : f32[5]
",
    ][looks_up];
    let loss = if twice {
        "  %0 = call %w, %i {func=@own} : f32[]
  %1 = call %w, %i {func=@own} : f32[]
  %2 = mul %0, %1 : f32[]
"
    } else {
        "  %0 = call %w, %i {func=@own} : f32[]
  %1 = tanh %0 : f32[]
  %2 = mul %1, %1 : f32[]
"
    };
    format!(
        "func @rule(%w: f32[5], %i: i64[3], %ct: f32[]) -> f32[5] {{
  %0 = constant 1 : i64[]
  %1 = broadcast %0 {{axes=[]}} : i64[3]
  %2 = add %i, %1 : i64[3]
{rule}  return %6
}}

func @own(%w: f32[5], %i: i64[3]) -> f32[] vjp @rule {{
  %0 = gather %w, %i {{axis=0, batch=0}} : f32[3]
  %1 = reduce %0 {{kind=sum, axes=[0]}} : f32[]
  return %1
}}

func @loss(%w: f32[5], %i: i64[3]) -> f32[] {{
{loss}  return %2
}}

func @main(%i: i64[3] input, %w: f32[5] input) -> (f32[], {ty}) {{
  %0:2 = gradient %w, %i {{func=@loss, wrt=[0]}} : f32[], f32[5]
{lines}  return %0.0, {value}
}}
"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_level_notices_an_index_of_a_derivative(
        looks_up in 0..3usize,
        twice in any::<bool>(),
        usage in 0..USES.len(),
        indices in prop::array::uniform3(0..6i64),
        math in prop::sample::select(Math::ALL.to_vec()),
    ) {
        let text = text(looks_up, twice, usage);
        let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
        let w = Tensor::new([5], vec![0.5f32, -0.25, 0.75, 1.0, -0.5]).expect("five");
        let args = [Tensor::new([3], indices.to_vec()).expect("three"), w];
        // the loss looks up the index itself, and its derivative the next one
        let (loss, rule) = (indices.iter().any(|&i| i >= 5), indices.iter().any(|&i| i >= 4));
        let is_dropped = math == Math::Fast && ZERO_TO_FAST_MATHS.contains(&usage);
        for (level, backend) in [(Level::O0, NATIVE), (Level::Full, NATIVE), (Level::Full, Backend::Interpreter)] {
            let mut options = options(level, backend);
            options.passes.math = math;
            let program = pipeline::compile(graph.clone(), &options).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let found = program.evaluate(&args);
            let refused = matches!(found, Err(RunError::Check { bound: 5, .. }));
            let rule = rule && !(is_dropped && level == Level::Full);
            prop_assert_eq!(refused, loss || rule, "{:?} {:?} {:?} {:?}: {:?} in\n{}", level, backend, math, indices, found, text);
            prop_assert!(refused || found.is_ok(), "{:?}", found);
        }
    }
}
