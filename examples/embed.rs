//! A model in a native program: compiled in milliseconds, run without allocation.

use dlc::{Compiler, Model, Tensor};

const TEXT: &str = "
model perceptron(image: [B, 28, 28], hidden: int = 32) -> logits: [B, 10] {
  return image |> flatten |> linear(hidden) |> relu |> linear(10)
}
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::parse(TEXT)?.with("hidden", 64)?;
    let compiler = Compiler::new();
    let weights = compiler.initial_weights(&model, [], 0)?; // or those of a training, or of a file
    let program = compiler.compile(&model, [("B", 1)])?.with_weights(weights)?; // Send + Sync, cheap to clone
    let mut session = program.session(); // one thread's memory
    let image = Tensor::new([1, 28, 28], vec![0.5f32; 784])?;
    let out = session.run([("image", &image)])?;
    println!("{}", out["logits"]);
    Ok(())
}
