//! Positions in a model's source: of failed checks, and of nodes of the optimised graph.

use std::sync::Arc;

use dlc::artefact::Artefact;
use dlc::{Compiler, Level, Mode, Model, Session, SessionError, Stage, Tensor, Tensors, inspect};

/// Two look-ups, which are equal kernels, on two lines.
const TWO: &str = "model two(a: i64[B], b: i64[B]) -> out: [B, 1] {
  let p = tanh(embedding(a + 0 * b, 5, 4))
  let q = tanh(embedding(b + 0 * a, 5, 4))
  let r = linear(p, 3)
  let s = linear(q, 3)
  return linear(r, 1) + linear(s, 1)
}
";

/// Inputs, one of which has an index that is out of range.
fn inputs(wrong: &str) -> Tensors {
    let ids = |name: &str| Tensor::new([2], vec![0i64, if name == wrong { 9 } else { 1 }]).expect("two");
    ["a", "b"].into_iter().map(|name| (name, ids(name))).collect()
}

/// The source text at the span of the failed check.
fn failing(session: &mut Session, weights: &Tensors, wrong: &str) -> &'static str {
    for (name, tensor) in weights.iter() {
        session.set_param(name, tensor).expect("it has the weight");
    }
    let inputs = inputs(wrong);
    match session.run(inputs.iter()) {
        Err(SessionError::Check { loc: Some(loc), .. }) => &TWO[loc.start as usize..loc.end as usize],
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failed_check_is_reported_at_its_caller_also_if_kernels_are_shared() {
    let model = Model::parse(TWO).expect("it is right");
    for level in [Level::O0, Level::Full] {
        let compiler = Compiler::new().threads(1).level(level);
        let weights = compiler.initial_weights(&model, [], 0).expect("it has weights");
        let program = compiler.compile(&model, [("B", 2)]).expect("it compiles");
        let gathers = program.graph(Stage::Opt).functions().flat_map(|f| f.checks().collect::<Vec<_>>()).count();
        assert_eq!(gathers, if level == Level::Full { 1 } else { 2 });
        let reference = || Session::reference(Arc::new(program.graph(Stage::Opt))).expect("the parts fit");
        for (wrong, text) in [("a", "embedding(a + 0 * b, 5, 4)"), ("b", "embedding(b + 0 * a, 5, 4)")] {
            for mut session in [program.session(), reference()] {
                assert_eq!(failing(&mut session, &weights, wrong), text, "{level:?}");
            }
        }
    }
}

/// The positions of the nodes of `dlc explain`, by node.
fn explained(text: &str, dims: &[(&str, usize)], node: Option<&str>) -> Vec<(String, Vec<String>)> {
    let (model, compiler) = (Model::parse(text).expect("it is right"), Compiler::new().threads(1));
    let sizes: Vec<(String, usize)> = dims.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
    let request = inspect::request_for(&model, Mode::Infer, &sizes, &compiler).expect("it has sizes");
    let nodes = inspect::explain(&compiler, &model, &request, node).unwrap_or_else(|e| panic!("{e}"));
    nodes.into_iter().map(|node| (node.node, node.from)).collect()
}

#[test]
fn a_call_of_a_shared_kernel_comes_from_its_own_lines() {
    let text = "model emb(ids: i64[B, T], more: i64[B, T]) -> (y: [B, T, 4], z: [B, T, 4]) {
  let first = embedding(ids, 5, 4)
  let second = embedding(more, 5, 4)
  return (first, second)
}
";
    let calls = explained(text, &[("B", 2), ("T", 3)], Some("@gather"));
    let lines = |(_, from): &(String, Vec<String>)| -> Vec<String> {
        from.iter().filter_map(|place| Some(place.split(':').nth(1)?.to_owned())).collect()
    };
    assert_eq!(calls.iter().map(lines).collect::<Vec<_>>(), [["2"], ["3"]], "{calls:?}");
}

#[test]
fn nodes_within_called_blocks_are_explained() {
    let text = "block res(x: [B, D]) -> [B, D] {
  return x + linear(relu(linear(x, D)), D)
}

model m(x: [B, 8]) -> y: [B, 8] {
  let a = res(x)
  let b = res(a)
  return tanh(b)
}
";
    let all = explained(text, &[("B", 1)], None);
    let (inner, from) = all.iter().find(|(node, _)| node.contains("@dot_bias_relu")).expect("the block's kernel");
    assert!(inner.ends_with(" in @res") && from.iter().all(|place| place.starts_with("model.dl:2:")), "{all:?}");
    let number = inner.split(' ').next().expect("it is numbered");
    for node in ["@dot_bias_relu".to_owned(), format!("@res {number}")] {
        assert_eq!(explained(text, &[("B", 1)], Some(&node)), [(inner.clone(), from.clone())]);
    }
}

#[test]
fn a_failed_run_is_reported_with_its_span() {
    let (model, compiler) = (Model::parse(TWO).expect("it is right"), Compiler::new().threads(1));
    let weights = compiler.initial_weights(&model, [], 0).expect("it has weights");
    let sizes = [("B".to_owned(), 2)];
    let request = inspect::request_for(&model, Mode::Infer, &sizes, &compiler).expect("it has sizes");
    let (program, _) = inspect::build(&compiler, &model, &request).expect("it compiles");
    let target = inspect::target_name(&compiler).expect("this machine has one");
    // without a graph, and with one, which comes back from its text
    for programs in [&[][..], &[(&request, &program)]] {
        let bytes = Artefact::of(&model, weights.clone(), programs, &target).to_bytes();
        let artefact = Artefact::from_bytes(&bytes).expect("it is whole");
        let error = inspect::run(&artefact, &compiler, &inputs("b"), &sizes, 0).expect_err("an index is too large");
        assert_eq!((error.code(), error.to_json()[0].spans[0].line), ("failed-check", 3), "{error}");
    }
    let integers = "model m(x: [B, 2]) -> y: [B, 2, 3] = embedding(i64(x) + 7, 5, 3)\n";
    let model = Model::parse(integers).expect("it is right");
    let request = inspect::request_for(&model, Mode::Infer, &sizes, &compiler).expect("it has sizes");
    let error = inspect::verify(&compiler, &model, &request, 0).expect_err("an index is too large");
    assert_eq!((error.code(), error.to_json()[0].spans[0].line), ("failed-check", 1), "{error}");
}
