//! Training batch by batch from a native program: loss, gradients, weights.

use dlc::{Compiler, Model, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::open(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/mnist.dl"))?;
    let mut trainer = Compiler::new().trainer(&model, [("B", 8)])?; // forward, backward, update: one program
    let image = Tensor::new([8, 28, 28], (0..8 * 784).map(|i| (i % 97) as f32 / 97.0).collect())?;
    let label = Tensor::new([8], vec![0u8, 1, 2, 3, 4, 5, 6, 7])?;
    let gradients = trainer.gradients([("image", &image), ("label", &label)])?;
    for (name, gradient) in gradients.iter() {
        println!("d loss / d {name}: {}", gradient.ty());
    }
    for _ in 0..5 {
        let step = trainer.step([("image", &image), ("label", &label)])?;
        println!("loss {:.4}", step.loss);
    }
    trainer.weights().save(std::env::temp_dir().join("dlc-train-step.safetensors"))?;
    Ok(())
}
