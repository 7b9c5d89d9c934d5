//! Instantiating a template has the same result as lowering its body again.

use dlc_ir::{DType, Type};

use crate::lower::{Lower, Lowered, Mode, Request};
use crate::{Diagnostic, NoFiles, Program};

/// What is lowered, and how many instances of templates there are.
fn lowered(program: &Program, request: &Request, templates: bool) -> (Result<Lowered, Vec<Diagnostic>>, usize) {
    let mut lower = Lower::new(program, request);
    lower.templates = templates;
    let result = lower.lowered();
    (result, lower.instantiated)
}

/// Everything observable in the result, locations included.
fn show(result: &Result<Lowered, Vec<Diagnostic>>) -> String {
    match result {
        Ok(l) => {
            let nodes = l.graph.functions().flat_map(|f| f.nodes()).map(|(_, node)| node.loc).collect::<Vec<_>>();
            format!("{}\n{:#?}\n{:#?}\n{:?}\n{:?}\n{:#?}", l.graph, l.weights, l.layers, l.dims, l.warnings, nodes)
        }
        Err(errors) => format!("{errors:#?}"),
    }
}

/// Lowers the source in every mode, with templates and without. The instances in a training step; none on errors.
fn same(text: &str) -> Option<usize> {
    let program = Program::load("test.dl", text, &mut NoFiles);
    let program = program.unwrap_or_else(|errors| panic!("{:#?}\n{text}", errors.diagnostics));
    let mut instances = None;
    for what in [Mode::Infer, Mode::Init, Mode::Eval, Mode::Train] {
        let x = Type::new(DType::F32, [4, 8]);
        let label = Type::new(DType::I64, [4]);
        let request = Request::new(what).field("x", x).field("label", label);
        let (plain, none) = lowered(&program, &request, false);
        let (result, count) = lowered(&program, &request, true);
        assert_eq!(none, 0);
        let (plain, shown) = (show(&plain), show(&result));
        let differing = plain.lines().zip(shown.lines()).find(|(a, b)| a != b);
        assert!(plain == shown, "{what:?} of\n{text}\n{differing:?}");
        instances = result.is_ok().then_some(count);
    }
    instances
}

/// A model with these blocks and statements, trained with `optimizer`.
fn model(blocks: &str, body: &str, optimizer: &str) -> String {
    format!(
        "{blocks}
model net(x: [B, 8]) -> logits: [B, 8] {{
{body}
  return x
}}
dataset rows {{ x = float(npy(\"rows.npy\")) }}
train net {{
  data = rows()
  epochs = 1
  batch = 4
  loss = cross_entropy(logits, label)
  optimizer = {optimizer}
}}
"
    )
}

const BLOCK: &str = "block residual(x: [B, D], wide: int = 4) {
  return x + (x |> linear(wide * D) as up |> relu |> linear(D) as down)
}";

#[test]
fn equal_iterations_and_equal_weights_are_lowered_once() {
    let text = model(BLOCK, "  repeat 6 { x = residual(x) as h }", "sgd(lr: 0.1)");
    // The first iteration reads an input of the model, the second the output of a block; the four weights of each block have
    // four types.

    assert_eq!(same(&text), Some(5 + 20));
}

#[test]
fn blocks_are_lowered_once_also_where_iterations_differ() {
    // Names that are written as text belong to an iteration, so that iterations have no template of their own.
    let draws =
        "block noisy(x: [B, D]) { return x |> linear(D) as a |> batch_norm as n |> dropout(0.25) |> linear(D) as b }";
    let passing = "block passing(x: [B, D], y: [B, D]) { return (x |> linear(D) as f, y) }";
    let loops = "block loops(x: [B, D]) {\n  repeat i in 2 { x = x |> linear(D) as \"f{i}\" |> relu }\n  return x\n}";
    for (block, body, instances) in [
        (BLOCK, "repeat i in 6 { x = residual(x) as \"h{i}\" }", 5),
        (BLOCK, "repeat i in 6 { x = residual(residual(x) as \"g{i}\") as \"h{i}\" }", 11),
        (BLOCK, "repeat i in 2 {\n repeat j in 3 { x = residual(x) as \"h{i}.{j}\" } }", 5),
        (BLOCK, "repeat i in 6 { x = residual(x, wide: if i < 3 { 2 } else { 3 }) as \"h{i}\" }", 4),
        (draws, "repeat i in 5 { x = noisy(x) as \"h{i}\"\n x = dropout(x, 0.5) }", 4),
        (passing, "let a = x + 1.0\n  repeat i in 4 { (x, a) = passing(x, a) as \"h{i}\" }\n  x = x + a", 3),
        (passing, "let a = x + 1.0\n  repeat i in 4 { (a, x) = passing(x, a) as \"h{i}\" }\n  x = x + a", 3),
        (loops, "repeat i in 4 { x = loops(x) as \"h{i}\" }", 3),
    ] {
        let text = model(block, &format!("  {body}"), "sgd(lr: 0.1)");
        assert!(same(&text).is_some());
        let program = Program::load("test.dl", &text, &mut NoFiles).expect("it is right");
        let request = Request::new(Mode::Infer).field("x", Type::new(DType::F32, [4, 8]));
        assert_eq!(lowered(&program, &request, true).1, instances, "{body}");
    }
}

#[test]
fn states_and_draws_belong_to_their_iteration() {
    let block = "block noisy(x: [B, D]) { return x |> linear(D) |> batch_norm |> dropout(0.25) |> linear(D) }";
    for optimizer in ["adam(lr: 0.1)", "sgd(lr: cosine(0.1), momentum: 0.9)"] {
        assert!(same(&model(block, "  repeat 5 { x = noisy(x) as h }", optimizer)) >= Some(3));
        assert!(same(&model(block, "  repeat 5 { x = noisy(x) as h\n x = dropout(x, 0.5)\n }", optimizer)) >= Some(3));
    }
}

#[test]
fn iterations_that_differ_are_lowered_again() {
    for body in [
        "repeat i in 5 { x = residual(x, wide: if i < 3 { 2 } else { 3 }) as h }",
        "let n = 1\n  repeat 4 { n = n + 1\n x = residual(x, wide: n) as h }",
        "repeat w in [2, 2, 3, 2] { x = residual(x, wide: w) as h }",
    ] {
        assert!(same(&model(BLOCK, body, "sgd(lr: 0.1)")).is_some());
    }
}

#[test]
fn tensors_keep_their_identity() {
    for body in [
        "let a = x |> linear(8) as a\n let b = x |> linear(8) as b\n  repeat 4 { (a, b) = (b, (a + b) |> residual as h) }\n  x = a + b",
        "let a = x\n  repeat 4 { x = residual(x) as h\n x = x + a }",
        "let a = x\n  repeat 4 { a = x\n x = residual(x) as h\n x = x + a }",
        "let a = x\n  repeat 4 { x = residual(x) as h\n a = x }\n  x = x + a",
        "let both = (x, x + 1.0)\n  repeat 4 { let (p, q) = both\n both = (q |> residual as h, p) }\n  let (p, q) = both\n x = p + q",
    ] {
        assert!(same(&model(BLOCK, body, "sgd(lr: 0.1)")).is_some());
    }
}

#[test]
fn names_are_those_of_the_run() {
    let shared = "block twice(x: [B, D]) { layer f = linear(D)\n  return f(f(x)) + (x |> linear(D) as own) }";
    let nested = "block deep(x: [B, D]) { repeat 3 { x = x |> linear(D) as inner |> relu }\n  return x }";
    for (block, body) in [
        (shared, "repeat 4 { x = twice(x) as h }"),
        (nested, "repeat 4 { x = deep(x) as h }"),
        (BLOCK, "repeat 3 { repeat 2 { x = residual(x) as h } }"),
        (BLOCK, "repeat 3 { x = residual(x) as h }\n  repeat 3 { x = residual(x) as h }"),
        (BLOCK, "repeat 3 { x = residual(x) as h }\n  repeat 3 { x = residual(x) as g }"),
        (BLOCK, "repeat 3 { x = residual(x) as \"h.0\" }"),
        (BLOCK, "repeat i in 3 { x = residual(x) as \"h{i}\" }"),
        (BLOCK, "layer f = residual()\n  repeat 3 { x = f(x) }"),
        (BLOCK, "x = residual(x) as a\n  x = residual(x) as b\n  x = residual(x) as c\n  x = residual(x) as b"),
        (BLOCK, "x = residual(x) as a\n  x = residual(x) as b\n  x = residual(x)\n  x = residual(x)"),
        (BLOCK, "repeat 3 { x = residual(x) as _ }"),
    ] {
        same(&model(block, &format!("  {body}"), "adamw(lr: 0.1)"));
    }
}

#[test]
fn states_of_the_model_are_seen_newest() {
    for body in [
        "state s: [8] = zeros\n  repeat 4 { s = s + mean(x, axis: 0)\n x = (x + s) |> residual as h }",
        "state s: [8] = zeros\n  repeat 4 { x = (x + s) |> residual as h }\n  s = mean(x, axis: 0)",
        "state s: [8] = zeros\n  s = mean(x, axis: 0)\n  repeat 4 { x = (x + s) |> residual as h }",
        "param w: [8, 8] = he\n  repeat 4 { x = (x @ w) |> residual as h }",
    ] {
        assert!(same(&model(BLOCK, &format!("  {body}"), "sgd(lr: 0.1)")).is_some());
    }
}

#[test]
fn a_residual_network_is_what_it_was() {
    let text = include_str!("../../../../examples/resnet18.dl");
    let program = Program::load("resnet18.dl", text, &mut NoFiles).expect("the example is right");
    let request = Request::new(Mode::Infer).dim("B", 2).dim("H", 32).dim("W", 32);
    let (plain, _) = lowered(&program, &request, false);
    let (result, _) = lowered(&program, &request, true);
    assert!(result.is_ok(), "{}", show(&result));
    assert!(show(&plain) == show(&result));
}

#[test]
fn inner_iterations_keep_their_numbers() {
    for body in [
        "repeat 3 { repeat 1 { x = residual(x) as h } }",
        "repeat 2 { repeat 1 { repeat 2 { x = residual(x) as h } } }",
        "repeat 3 { repeat 1 { x = residual(x) as h }\n x = residual(x) as g }",
    ] {
        assert!(same(&model(BLOCK, &format!("  {body}"), "sgd(lr: 0.1)")).is_some());
    }
}

#[test]
fn initial_values_depend_on_their_shape() {
    let block = "block start() { return 1.0 / fan_in }
block two(x: [B, D]) {
  param a: [4, D] = start()
  param b: [D, 4] = start()
  return (x @ a.T) @ b.T
}";
    assert!(same(&model(block, "  repeat 3 { x = two(x) as h }", "sgd(lr: 0.1)")).is_some());
}

#[test]
fn what_is_reached_by_two_ways_is_run_again() {
    let tied = "block tied(x: [B, D], w: [D, D], f: fn) { return x @ w + x @ f.weight }";
    let waiting = "block late(x: [B, D], f: fn) -> y: [B, D] {\n  repeat 3 { x = x * f() }\n  return x\n}";
    let made = "block mk(x: [B, D]) {\n  layer f = linear(D)\n  return (x, f)\n}";
    for (block, body) in [
        (
            tied,
            "layer f = linear(8)\n  layer g = linear(8)\n  x = f(x) + g(x)
  x = tied(x, f.weight, f) + tied(x, g.weight, f)",
        ),
        (waiting, "x = late(x, f: relu(x))"),
        (made, "let (a, f) = mk(x) as p\n  let (b, g) = mk(x) as q\n  x = f(a) + g(b)"),
    ] {
        same(&model(block, &format!("  {body}"), "sgd(lr: 0.1)"));
    }
    let own = "block at_step(w: [...], g: [...], at: []) { return w - at * g * float(step) }";
    same(&model(
        &format!("{BLOCK}\n{own}"),
        "  repeat 3 { x = residual(x) as h }",
        "at_step(at: {\"**\": step, \"h.0**\": step * 2})",
    ));
}

#[test]
fn numbers_have_their_own_span() {
    let block = "block k(v: []) { return v }";
    assert!(same(&model(block, "  x = x + k(0.5)\n  x = x + k(0.5)", "sgd(lr: 0.1)")).is_some());
    let scaled = "block scaled(x: [B, D], v: []) { return (x |> linear(D)) * v }";
    assert!(same(&model(scaled, "  x = scaled(x, 0.5) as a\n  x = scaled(x, 0.5) as b", "sgd(lr: 0.1)")).is_some());
}
