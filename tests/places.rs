//! Where in a model's text things are said to be: checks that fail, and nodes of the optimised graph.

use std::sync::Arc;

use dlc::{Compiler, Level, Model, Session, SessionError, Stage, Tensor, Tensors, tools};

/// Two look-ups, which are equal kernels, on two lines.
const TWO: &str = "model two(a: i64[B], b: i64[B]) -> out: [B, 1] {
  let p = tanh(embedding(a + 0 * b, 5, 4))
  let q = tanh(embedding(b + 0 * a, 5, 4))
  let r = linear(p, 3)
  let s = linear(q, 3)
  return linear(r, 1) + linear(s, 1)
}
";

/// Inputs of which the one of this name has an index that is too large.
fn inputs(wrong: &str) -> Tensors {
    let ids = |name: &str| Tensor::new([2], vec![0i64, if name == wrong { 9 } else { 1 }]).expect("two");
    ["a", "b"].into_iter().map(|name| (name, ids(name))).collect()
}

/// The text at the place of the check that fails.
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
fn a_failed_check_is_told_where_it_stands_also_if_kernels_are_shared() {
    let model = Model::parse(TWO).expect("it is right");
    for level in [Level::O0, Level::Full] {
        let compiler = Compiler::new().threads(1).level(level);
        let weights = tools::first_weights(&compiler, &model, 0).expect("it has weights");
        let program = compiler.compile(&model, [("B", 2)]).expect("it compiles");
        let gathers = program.graph(Stage::Opt).functions().flat_map(|f| f.checks().collect::<Vec<_>>()).count();
        assert_eq!(gathers, if level == Level::Full { 1 } else { 2 });
        let reference = || Session::reference(Arc::new(program.graph(Stage::Opt))).expect("the halves fit");
        for (wrong, text) in [("a", "embedding(a + 0 * b, 5, 4)"), ("b", "embedding(b + 0 * a, 5, 4)")] {
            for mut session in [program.session(), reference()] {
                assert_eq!(failing(&mut session, &weights, wrong), text, "{level:?}");
            }
        }
    }
}
