//! Indices are checked whatever the program does with what they select: the reference, every level and both backends agree.

#[path = "common/run.rs"]
mod run;

use std::fmt::Write as _;

use dlc_compiler::options::{Backend, Level};
use dlc_compiler::passes::check_indices;
use dlc_compiler::program::RunError;
use dlc_ir::{Graph, InterpError, Op, Tensor};
use proptest::prelude::*;
use run::{NATIVE, build};

/// A program that looks up `count` indices in a table of `size` numbers, and applies these operators to what it finds.
struct Program {
    size: usize,
    count: usize,
    steps: Vec<(usize, usize)>,
    /// Whether what is found is unused.
    dead: bool,
    /// Whether a function does the lookup.
    called: bool,
}

impl Program {
    fn text(&self) -> String {
        let Program { size, count, steps, .. } = self;
        let mut body = String::new();
        let (mut now, mut length, mut next) = (0, *count, 1);
        if self.called {
            let _ = writeln!(body, "  %0 = call %x, %i {{func=@look_up}} : f32[{count}]");
        } else {
            let _ = writeln!(body, "  %0 = gather %x, %i {{axis=0, batch=0}} : f32[{count}]");
        }
        for &(step, at) in steps {
            let (line, new) = match step {
                0 => {
                    let (start, limit) = (at % (length + 1), length);
                    let line = format!("slice %{now} {{start=[{start}], limit=[{limit}], stride=[1]}}");
                    (line, limit - start)
                }
                1 => (
                    format!("slice %{now} {{start=[0], limit=[{}], stride=[1]}}", at % (length + 1)),
                    at % (length + 1),
                ),
                2 => {
                    let _ = writeln!(body, "  %{next} = constant 0.5 : f32[]");
                    next += 1;
                    let line =
                        format!("pad %{now}, %{} {{low=[{}], high=[1], interior=[{}]}}", next - 1, at % 3, at % 2);
                    (line, length + at % 3 + 1 + (at % 2) * length.saturating_sub(1))
                }
                3 => (format!("reverse %{now} {{axes=[0]}}"), length),
                4 => (format!("concat %{now}, %{now} {{axis=0}}"), 2 * length),
                5 if length > 0 => {
                    let line = format!(
                        "reduce_window %{now} {{kind=max, axes=[0], size=[2], stride=[1], low=[1], high=[1], base_dilation=[1], window_dilation=[1]}}"
                    );
                    (line, length + 1)
                }
                6 => {
                    let _ = writeln!(body, "  %{next} = sub %{now}, %{now} : f32[{length}]");
                    next += 1;
                    (format!("mul %{}, %{now}", next - 1), length)
                }
                7 if length > 0 => (format!("gather %{now}, %i {{axis=0, batch=0}}"), *count),
                8 if length == *count => (format!("scatter %x, %i, %{now} {{axis=0, batch=0, kind=set}}"), *size),
                9 if length == *count => (format!("scatter %x, %i, %{now} {{axis=0, batch=0, kind=add}}"), *size),
                _ => (format!("relu %{now}"), length),
            };
            let _ = writeln!(body, "  %{next} = {line} : f32[{new}]");
            (now, length, next) = (next, new, next + 1);
        }
        let (value, ty) = if self.dead {
            ("%x".to_owned(), format!("f32[{size}]"))
        } else {
            (format!("%{now}"), format!("f32[{length}]"))
        };
        format!(
            "func @look_up(%x: f32[{size}], %i: i64[{count}]) -> f32[{count}] {{
  %0 = gather %x, %i {{axis=0, batch=0}} : f32[{count}]
  return %0
}}

func @main(%x: f32[{size}] input, %i: i64[{count}] input) -> {ty} {{
{body}  return {value}
}}
"
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_level_gives_one_verdict(
        size in 1..5usize,
        steps in prop::collection::vec((0..10usize, 0..8usize), 0..5),
        indices in prop::collection::vec(0..64i64, 0..6),
        wrong in prop::option::weighted(0.5, (0..6usize, prop::sample::select(vec![-1i64, 4, 5, 99, i64::MAX, i64::MIN]))),
        dead in prop::bool::weighted(0.2),
        called in any::<bool>(),
    ) {
        let mut indices: Vec<i64> = indices.into_iter().map(|i| i % size as i64).collect();
        if let Some((at, index)) = wrong && !indices.is_empty() {
            let at = at % indices.len();
            indices[at] = index;
        }
        let text = Program { size, count: indices.len(), steps, dead, called }.text();
        let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
        let numbers: Vec<f32> = (0..size).map(|i| i as f32 + 1.0).collect();
        let args = [
            Tensor::new([size], numbers).expect("as many"),
            Tensor::new([indices.len()], indices.clone()).expect("as many"),
        ];
        let expected = graph.interpret(&args);
        if indices.iter().any(|&i| i < 0 || i >= size as i64) {
            prop_assert!(expected.is_err(), "{:?} in\n{}", indices, text);
        }
        for (level, backend) in [(Level::O0, NATIVE), (Level::Full, NATIVE), (Level::Full, Backend::Interpreter)] {
            let program = build(&graph, level, backend).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let found = program.evaluate(&args);
            match &expected {
                Ok(expected) => prop_assert_eq!(found.as_ref(), Ok(expected), "{:?} {:?} {:?} in\n{}", level, backend, indices, text),
                Err(_) => prop_assert!(
                    matches!(found, Err(RunError::Check { .. })),
                    "{:?} {:?} {:?}: {:?} in\n{}", level, backend, indices, found, text
                ),
            }
        }
    }
}

/// The checks that are inserted into a graph.
fn checks(text: &str) -> usize {
    let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    let checked = check_indices(graph);
    checked.verify().unwrap_or_else(|e| panic!("{e}\n{checked}"));
    checked.functions().flat_map(|f| f.ops()).filter(|(_, _, op)| matches!(op, Op::CheckIndex(_))).count()
}

#[test]
fn what_is_known_to_be_in_range_is_not_checked() {
    let known = [
        "%0 = constant [0, 3, 1] : i64[3]",
        "%0 = iota {axis=0} : i64[3]",
        "%0 = convert %n : i64[3]\n%1 = constant 4 : i64[]\n%2 = broadcast %1 {axes=[]} : i64[3]\n%3 = rem %0, %2 : i64[3]",
    ];
    let unknown = ["%0 = constant [0, 4, 1] : i64[3]", "%0 = add %i, %i : i64[3]"];
    // From 0 to 3, and what each function makes of that: one that leaves the axis at either end is checked.
    let small = known[2];
    let known = known.into_iter().map(str::to_owned).chain(
        [
            "min %3, %0",
            "max %3, %3",
            "sub %3, %3 : i64[3]\n%5 = relu %4",
            "neg %3 : i64[3]\n%5 = add %4, %2 : i64[3]\n%6 = min %5, %3",
        ]
        .map(|line| format!("{small}\n%4 = {line} : i64[3]")),
    );
    let further =
        ["sub %3, %3", "add %3, %3", "mul %3, %3", "neg %3", "max %3, %0", "min %3, %i", "rem %i, %2", "add %3, %2"]
            .map(|line| format!("{small}\n%4 = {line} : i64[3]"));
    let unknown = unknown.into_iter().map(str::to_owned).chain(further);
    let text = |line: &str| {
        let lines: Vec<String> = line.lines().map(|line| format!("  {line}")).collect();
        let last = lines.len() - 1;
        format!(
            "func @main(%x: f32[4] input, %i: i64[3] input, %n: u8[3] input) -> f32[3] {{
{}
  %{} = gather %x, %{last} {{axis=0, batch=0}} : f32[3]
  return %{}
}}
",
            lines.join("\n"),
            last + 1,
            last + 1
        )
    };
    for line in known {
        assert_eq!(checks(&text(&line)), 0, "{line}");
    }
    for line in unknown {
        assert_eq!(checks(&text(&line)), 1, "{line}");
    }
}

#[test]
fn equal_checks_are_one() {
    let text = "func @main(%x: f32[4] input, %i: i64[3] input) -> (f32[3], f32[4]) {
  %0 = gather %x, %i {axis=0, batch=0} : f32[3]
  %1 = scatter %x, %i, %0 {axis=0, batch=0, kind=add} : f32[4]
  return %0, %1
}
";
    assert_eq!(checks(text), 1);
}

/// A loss of a table at some indices, and its derivative.
const TRAINING: &str = "func @loss(%w: f32[4], %i: i64[3]) -> f32[] {
  %0 = gather %w, %i {axis=0, batch=0} : f32[3]
  %1 = mul %0, %0 : f32[3]
  %2 = reduce %1 {kind=sum, axes=[0]} : f32[]
  return %2
}

func @main(%i: i64[3] input, %w: f32[4] param \"w\") -> (loss: f32[], f32[4] update %w) {
  %0:2 = gradient %w, %i {func=@loss, wrt=[0]} : f32[], f32[4]
  return %0.0, %0.1
}
";

#[test]
fn a_training_step_checks_once() {
    assert_eq!(checks(TRAINING), 1);
    let graph: Graph = TRAINING.parse().expect("it is well-formed");
    for level in [Level::O0, Level::Full] {
        let program = build(&graph, level, NATIVE).expect("it compiles");
        let done = program.graph().functions().flat_map(|f| f.ops()).filter(|(_, _, op)| op.is_checked()).count();
        assert_eq!(done, 1, "{level:?}\n{}", program.graph());
        let w = Tensor::new([4], vec![1f32, 2.0, 3.0, 4.0]).expect("four");
        let run = |i: [i64; 3]| program.evaluate(&[Tensor::new([3], i.to_vec()).expect("three"), w.clone()]);
        let results = run([3, 0, 0]).expect("it runs");
        assert_eq!(results[0].to_f64s(), [18.0]);
        assert_eq!(results[1].to_f64s(), [4.0, 0.0, 0.0, 8.0]);
        let error = run([3, 4, 0]).expect_err("an index is too large");
        assert!(error.to_string().contains("out of range"), "{error}");
        assert!(matches!(error, RunError::Check { mnemonic: "gather", bound: 4, .. }), "{error:?}");
    }
}

/// The same with a custom derivative, which indexes where nothing else does.
#[test]
fn a_derivative_of_ones_own_is_checked() {
    let text = "func @rule(%w: f32[4], %i: i64[3], %ct: f32[]) -> f32[4] {
  %0 = constant 1 : i64[]
  %1 = broadcast %0 {axes=[]} : i64[3]
  %2 = add %i, %1 : i64[3]
  %3 = broadcast %ct {axes=[]} : f32[3]
  %4 = scatter %w, %2, %3 {axis=0, batch=0, kind=add} : f32[4]
  return %4
}

func @loss(%w: f32[4], %i: i64[3]) -> f32[] vjp @rule {
  %0 = gather %w, %i {axis=0, batch=0} : f32[3]
  %1 = reduce %0 {kind=sum, axes=[0]} : f32[]
  return %1
}

func @main(%i: i64[3] input, %w: f32[4] param \"w\") -> (loss: f32[], f32[4] update %w) {
  %0:2 = gradient %w, %i {func=@loss, wrt=[0]} : f32[], f32[4]
  return %0.0, %0.1
}
";
    let graph: Graph = text.parse().expect("it is well-formed");
    for level in [Level::O0, Level::Full] {
        let program = build(&graph, level, NATIVE).expect("it compiles");
        let w = Tensor::new([4], vec![1f32, 2.0, 3.0, 4.0]).expect("four");
        let run = |i: [i64; 3]| program.evaluate(&[Tensor::new([3], i.to_vec()).expect("three"), w.clone()]);
        assert_eq!(run([0, 1, 2]).expect("it runs")[1].to_f64s(), [1.0, 3.0, 4.0, 5.0], "{level:?}");
        let error = run([0, 1, 3]).expect_err("the loss has its indices in range, and its derivative has not");
        assert!(matches!(error, RunError::Check { mnemonic: "scatter", bound: 4, .. }), "{level:?}: {error:?}");
    }
}

/// A check of the function covers its derivative unless that indexes a shorter axis.
#[test]
fn a_derivative_of_ones_own_that_indexes_a_shorter_axis_is_checked() {
    for (own, limit) in [(4, 4), (6, 6), (9, 6)] {
        let text = format!(
            "func @rule(%w: f32[{own}], %v: f32[6], %i: i64[3], %ct: f32[]) -> (f32[{own}], f32[6]) {{
  %0 = broadcast %ct {{axes=[]}} : f32[3]
  %1 = scatter %w, %i, %0 {{axis=0, batch=0, kind=add}} : f32[{own}]
  return %1, %v
}}

func @loss(%w: f32[{own}], %v: f32[6], %i: i64[3]) -> f32[] vjp @rule {{
  %0 = gather %v, %i {{axis=0, batch=0}} : f32[3]
  %1 = reduce %0 {{kind=sum, axes=[0]}} : f32[]
  return %1
}}

func @main(%i: i64[3] input, %w: f32[{own}] param \"w\", %v: f32[6] param \"v\") -> (loss: f32[], f32[{own}] update %w) {{
  %0:3 = gradient %w, %v, %i {{func=@loss, wrt=[0, 1]}} : f32[], f32[{own}], f32[6]
  return %0.0, %0.1
}}
"
        );
        let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
        for level in [Level::O0, Level::Full] {
            let program = build(&graph, level, NATIVE).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let [w, v] = [own, 6].map(|n| Tensor::new([n], vec![1f32; n]).expect("as many"));
            for last in [limit as i64 - 1, limit as i64] {
                let i = Tensor::new([3], vec![0, 1, last]).expect("three");
                let found = program.evaluate(&[i, w.clone(), v.clone()]);
                let inside = last < limit as i64;
                assert_eq!(found.is_ok(), inside, "{level:?}, an axis of {own}: {last} gives {found:?}");
            }
        }
    }
}

#[test]
fn the_reference_names_the_index() {
    let graph: Graph = "func @main(%x: f32[4] input, %i: i64[2] input) -> f32[0] {
  %0 = gather %x, %i {axis=0, batch=0} : f32[2]
  %1 = slice %0 {start=[0], limit=[0], stride=[1]} : f32[0]
  return %1
}
"
    .parse()
    .expect("it is well-formed");
    let args = [Tensor::zeros(graph.entry().args()[0].ty.clone()), Tensor::new([2], vec![0i64, 99]).expect("two")];
    let error = graph.interpret(&args).expect_err("99 is not in 0 .. 4");
    assert!(matches!(error, InterpError::Operator { .. }) && error.to_string().contains("99"), "{error}");
}
