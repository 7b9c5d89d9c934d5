//! A training step.

use dlc::{Compiler, Model, Tensor, Tensors, Trainer};

use super::Subject;
use crate::Outcome;

/// A trainer and its one batch.
pub struct Train {
    trainer: Trainer,
    batch: Tensors,
    loss: f64,
}

impl Train {
    pub fn new(compiler: &Compiler, model: &Model, weights: &Tensors, batch: Tensors) -> Outcome<Self> {
        let mut trainer = compiler.trainer(model, [])?;
        trainer.set_weights(weights)?;
        Ok(Train { trainer, batch, loss: f64::NAN })
    }
}

impl Subject for Train {
    fn call(&mut self) -> Outcome<()> {
        self.loss = self.trainer.step(self.batch.iter())?.loss;
        Ok(())
    }

    fn result(&self) -> Outcome<Tensor> {
        Ok(Tensor::scalar(self.loss))
    }
}
