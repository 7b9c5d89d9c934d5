//! Results and updates are right whatever values they refer to: arguments, each other's arguments, one value twice, permutations.

#[path = "common/run.rs"]
mod run;

use dlc_compiler::options::{Backend, Level};
use dlc_ir::{Graph, Tensor};
use proptest::prelude::*;
use run::{NATIVE, build};

/// What a result may be: an argument, a view of one, a value passed through a call, a constant, or computed.
const VALUES: [&str; 14] = ["%a", "%b", "%c", "%x", "%0.0", "%0.1", "%0.2", "%2", "%3", "%4", "%5", "%6", "%7", "%8"];

/// A program whose updates of %a, %b, %c and whose outputs are these values.
fn program(updates: &[Option<usize>; 3], outputs: &[usize; 3]) -> String {
    let names = ["a", "b", "c"];
    let value = |i: &usize| VALUES[*i].to_owned();
    let mut declared: Vec<String> = outputs.iter().map(|_| "f32[6]".to_owned()).collect();
    let mut returned: Vec<String> = outputs.iter().map(value).collect();
    for (name, update) in names.iter().zip(updates) {
        if let Some(update) = update {
            declared.push(format!("f32[6] update %{name}"));
            returned.push(value(update));
        }
    }
    let (declared, returned) = (declared.join(", "), returned.join(", "));
    format!(
        "func @hand(%p: f32[6], %q: f32[6]) -> (f32[6], f32[6], f32[6]) {{
  return %q, %p, %p
}}

func @main(%x: f32[6] input, %a: f32[6] state \"a\", %b: f32[6] state \"b\", %c: f32[6] param \"c\") -> ({declared}) {{
  %0:3 = call %a, %b {{func=@hand}} : f32[6], f32[6], f32[6]
  %1 = reshape %a : f32[2,3]
  %2 = reshape %1 : f32[6]
  %3 = constant [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] : f32[6]
  %4 = neg %a : f32[6]
  %5 = add %a, %b : f32[6]
  %6 = mul %c, %x : f32[6]
  %7 = reverse %c {{axes=[0]}} : f32[6]
  %8 = sub %5, %6 : f32[6]
  return {returned}
}}
"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_result_and_update_is_right(
        updates in prop::array::uniform3(prop::option::weighted(0.9, 0..VALUES.len())),
        outputs in prop::array::uniform3(0..VALUES.len()),
        full in any::<bool>(),
        native in any::<bool>(),
    ) {
        let text = program(&updates, &outputs);
        let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
        let args: Vec<Tensor> = (0..4u8)
            .map(|i| Tensor::new([6], (0..6u8).map(|k| f32::from(10 * i + k) + 0.5).collect::<Vec<f32>>()).expect("six"))
            .collect();
        let level = if full { Level::Full } else { Level::O0 };
        let backend = if native { NATIVE } else { Backend::Interpreter };
        let program = build(&graph, level, backend).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let expected = graph.interpret(&args).expect("it runs");
        prop_assert_eq!(program.evaluate(&args).expect("it runs"), expected, "{:?}\n{}", level, text);
    }
}
