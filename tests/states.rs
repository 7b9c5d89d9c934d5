//! States may be assigned any value: a weight, an input, each other's, one value twice, in the step itself and in blocks.

use dlc::{Compiler, Model, Tensor, Tensors};
use proptest::prelude::*;

/// The values that a state may be assigned; [`Model::value`] selects by index.
const VALUES: [&str; 9] = ["a", "b", "c", "w", "mean(x)", "sum(x)", "a + 1", "through(b)", "7"];

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A model with these assignments: state and value.
fn text(statements: &[(usize, usize)]) -> String {
    let lines: String = statements.iter().map(|(s, v)| format!("    {} = {}\n", NAMES[*s], VALUES[*v])).collect();
    // Instances are numbered, and one that has no number is another layer.
    let mut number = 0;
    let lines: String = lines
        .lines()
        .map(|line| {
            number += usize::from(line.contains("through"));
            line.replace("through(b)", &format!("through(b) as \"t{number}\"")) + "\n"
        })
        .collect();
    format!(
        "dlc 1
block through(v: []) -> [] {{
  state last: [] = 0
  if training {{ last = v }}
  return v
}}
model m(x: [B]) -> (p: [], u: [], v: [], t: []) {{
  param w: [] = 5
  state a: [] = 1
  state b: [] = 2
  state c: [] = 3
  if training {{
{lines}  }}
  return (w * mean(x), a, b, c)
}}
dataset d {{ x = csv(\"x.csv\")[\"x\"] }}
train m {{
  data      = d()
  batch     = 2
  loss      = p
  optimizer = sgd(lr: 0.0)
}}
"
    )
}

/// The reference of a step: new states, and the values that the instances of the block saw last.
fn step(statements: &[(usize, usize)], states: &mut [f32; 3], x: [f32; 2]) -> Vec<f32> {
    let mut seen = vec![];
    for &(state, value) in statements {
        states[state] = match value {
            0..3 => states[value],
            3 => 5.0,
            4 => (x[0] + x[1]) / 2.0,
            5 => x[0] + x[1],
            6 => states[0] + 1.0,
            7 => {
                seen.push(states[1]);
                states[1]
            }
            _ => 7.0,
        };
    }
    seen
}

fn number(tensors: &Tensors, name: &str) -> f64 {
    tensors.get(name).unwrap_or_else(|| panic!("there is no {name}")).to_f64s()[0]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn states_have_the_values_that_are_assigned(
        statements in prop::collection::vec((0..3usize, 0..VALUES.len()), 1..6),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("x.csv"), "x\n1\n2\n3\n4\n").expect("it can be written");
        let path = folder.path().join("m.dl");
        let text = text(&statements);
        std::fs::write(&path, &text).expect("it can be written");
        let model = Model::open(&path).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let sizes: [(&str, usize); 0] = [];
        let mut trainer = Compiler::new().threads(1).trainer(&model, sizes).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let mut states = [1.0, 2.0, 3.0];
        for x in [[1f32, 2.0], [3.0, 5.0]] {
            let seen = step(&statements, &mut states, x);
            let batch = Tensor::new([2], x.to_vec()).expect("two");
            trainer.step([("x", &batch)]).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let found = trainer.states();
            for (name, expected) in NAMES.iter().zip(states) {
                prop_assert_eq!(number(&found, name), f64::from(expected), "{} in\n{}", name, text);
            }
            for (i, expected) in seen.iter().enumerate() {
                prop_assert_eq!(number(&found, &format!("t{}.last", i + 1)), f64::from(*expected), "t{} in\n{}", i + 1, text);
            }
            prop_assert_eq!(number(&trainer.weights(), "w"), 5.0);
        }
    }
}
