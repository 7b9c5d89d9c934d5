//! A snapshot test of an embedded model's optimised IR. Run as a program, it prints the snapshot.

use dlc::{Compiler, Error, Graph, Model, Stage};

/// The embedded model.
const TEXT: &str = "
model perceptron(image: [B, 28, 28], hidden: int = 128) -> logits: [B, 10] {
  return image |> flatten |> linear(hidden) |> relu |> linear(10)
}
";

/// Its optimised graph, for a named target: that of the machine would give another graph on another one.
fn optimised() -> Result<Graph, Error> {
    let program = Compiler::new().target("x86-64").compile(&Model::parse(TEXT)?, [("B", 64)])?;
    Ok(program.graph(Stage::Opt))
}

fn main() -> Result<(), Error> {
    print!("{}", optimised()?);
    Ok(())
}

#[cfg(test)]
#[test]
fn product_bias_and_activation_are_one_kernel() {
    // `cargo insta review` shows a difference, and accepts it if it is intended
    insta::assert_snapshot!(optimised().expect("the model compiles"));
}
