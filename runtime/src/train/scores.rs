//! Losses and metrics, averaged over examples.

use dlc_ir::{DType, Tensor};
use indexmap::IndexMap;

use super::TrainError;
use crate::Session;

/// The loss and the metrics of a batch, an epoch, or an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// The loss.
    pub loss: f64,
    /// The metrics, by name, in the order of the program.
    pub metrics: IndexMap<String, f64>,
}

/// Running sums of what a program puts out, weighted by examples, in f64 and always in the same order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sums {
    /// The outputs that are summed; `loss` is the first.
    names: Vec<String>,
    sums: Vec<f64>,
    examples: f64,
}

impl Sums {
    /// Sums of nothing. Outputs that are not single numbers, such as logits, are left out.
    pub(super) fn new(session: &Session) -> Result<Self, TrainError> {
        let outputs = session.signature().outputs.iter();
        let mut names: Vec<String> = outputs.filter(|o| o.ty.rank() == 0).map(|o| o.name.to_string()).collect();
        let loss = names.iter().position(|n| n == "loss").ok_or(TrainError::NoLoss)?;
        names[..=loss].rotate_right(1);
        Ok(Sums { sums: vec![0.0; names.len()], names, examples: 0.0 })
    }

    /// Adds the outputs of the last step, each of them a mean over `examples`, and returns the loss.
    pub(super) fn add(&mut self, session: &Session, examples: usize) -> f64 {
        let mut loss = 0.0;
        for (i, (name, sum)) in self.names.iter().zip(&mut self.sums).enumerate() {
            let value = session.output_value(name).expect("the sums were made for this program");
            *sum += value * examples as f64;
            if i == 0 {
                loss = value;
            }
        }
        self.examples += examples as f64;
        loss
    }

    /// The means.
    pub(super) fn scores(&self) -> Scores {
        let mut means = self.names.iter().cloned().zip(self.sums.iter().map(|s| s / self.examples));
        let loss = means.next().map_or(f64::NAN, |(_, loss)| loss);
        Scores { loss, metrics: means.collect() }
    }

    pub(super) fn clear(&mut self) {
        self.sums.fill(0.0);
        self.examples = 0.0;
    }

    /// All numbers, exactly, for a checkpoint.
    pub(super) fn to_tensor(&self) -> Tensor {
        let numbers: Vec<f64> = self.sums.iter().copied().chain([self.examples]).collect();
        Tensor::new([numbers.len()], numbers).expect("a vector has its own length")
    }

    /// Takes the numbers of [`Sums::to_tensor`] back; whether they are as many as there are.
    pub(super) fn restore(&mut self, tensor: &Tensor) -> bool {
        let numbers = tensor.to_f64s();
        let fits = tensor.dtype() == DType::F64 && numbers.len() == self.sums.len() + 1;
        if let (true, Some((examples, sums))) = (fits, numbers.split_last()) {
            self.sums.copy_from_slice(sums);
            self.examples = *examples;
        }
        fits
    }
}
