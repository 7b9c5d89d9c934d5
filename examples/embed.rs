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
    let program = compiler.compile(&model, [("B", 1)])?; // Send + Sync, cheap to clone
    let weights = dlc::tools::first_weights(&compiler, &model, &[], 0)?;
    let mut session = program.session(); // one thread's memory
    for (name, tensor) in weights.iter() {
        session.set_param(name, tensor)?;
    }
    let image = Tensor::new([1, 28, 28], vec![0.5f32; 784])?;
    let out = session.run([("image", &image)])?;
    println!("{}", out["logits"]);
    Ok(())
}
