//! A workload as a program of dlc: what a call of it is, and its result.

mod decode;
mod infer;
mod train;

use dlc::{Compiler, Model, Tensor, Tensors};

use crate::Outcome;
use crate::workload::{Kind, Workload};

/// A compiled workload with its weights and inputs.
pub trait Subject {
    /// One call: an inference, a training step, or a generated text.
    ///
    /// # Errors
    /// If it fails.
    fn call(&mut self) -> Outcome<()>;

    /// The first call; of a text, its first token after the prompt's.
    ///
    /// # Errors
    /// If it fails.
    fn first(&mut self) -> Outcome<()> {
        self.call()
    }

    /// The result of the last call: the output, the loss, or the tokens.
    ///
    /// # Errors
    /// If there is none.
    fn result(&self) -> Outcome<Tensor>;

    /// Milliseconds of the last call that count, if not all do: those of a token; and those of the prompt.
    fn parts(&self) -> Option<(f64, f64)> {
        None
    }

    /// Operations of a call in products and convolutions, if they are known.
    fn flops(&self) -> Option<u64> {
        None
    }
}

/// Compiles a workload and sets its weights and inputs.
///
/// # Errors
/// If dlc refuses the model, its weights or its inputs.
pub fn build(
    workload: &Workload,
    compiler: &Compiler,
    model: Model,
    weights: Tensors,
    inputs: Tensors,
) -> Outcome<Box<dyn Subject>> {
    Ok(match workload.kind {
        Kind::Infer => Box::new(infer::Infer::new(compiler, model, weights, &inputs)?),
        Kind::Train => Box::new(train::Train::new(compiler, &model, &weights, inputs)?),
        Kind::Decode => Box::new(decode::Decode::new(compiler, &model, &weights, &inputs)?),
    })
}
