//! Losses and metrics of many batches, from those of each.

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

/// How a metric of many batches follows from its values on each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregate {
    /// The mean, weighted by the examples of the batches.
    #[default]
    Mean,
    /// The root of the mean of the squares, weighted by examples.
    RootMeanSquare,
    /// The largest; NaN if one is.
    Max,
    /// The smallest; NaN if one is.
    Min,
}

impl Aggregate {
    /// The value of no batches.
    fn start(self) -> f64 {
        match self {
            Aggregate::Mean | Aggregate::RootMeanSquare => 0.0,
            Aggregate::Max => f64::NEG_INFINITY,
            Aggregate::Min => f64::INFINITY,
        }
    }

    /// Takes in the value of a batch.
    fn add(self, total: &mut f64, value: f64, examples: f64) {
        match self {
            Aggregate::Mean => *total += value * examples,
            Aggregate::RootMeanSquare => *total += value * value * examples,
            Aggregate::Max if value > *total || value.is_nan() => *total = value,
            Aggregate::Min if value < *total || value.is_nan() => *total = value,
            Aggregate::Max | Aggregate::Min => {}
        }
    }

    fn finish(self, total: f64, examples: f64) -> f64 {
        match self {
            Aggregate::Mean => total / examples,
            Aggregate::RootMeanSquare => (total / examples).sqrt(),
            Aggregate::Max | Aggregate::Min => total,
        }
    }
}

/// Running totals of what a program puts out, in f64 and always in the same order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Totals {
    /// The outputs that are taken in; `loss` is the first.
    names: Vec<String>,
    aggregates: Vec<Aggregate>,
    totals: Vec<f64>,
    examples: f64,
}

impl Totals {
    /// Totals of nothing; outputs that `aggregates` does not name are averaged. Those that are not single numbers, such as logits,
    /// are left out.
    pub(super) fn new(session: &Session, aggregates: &[(String, Aggregate)]) -> Result<Self, TrainError> {
        let outputs = session.signature().outputs.iter();
        let mut names: Vec<String> = outputs.filter(|o| o.ty.rank() == 0).map(|o| o.name.to_string()).collect();
        let loss = names.iter().position(|n| n == "loss").ok_or(TrainError::NoLoss)?;
        names[..=loss].rotate_right(1);
        let aggregate =
            |name: &String| aggregates.iter().find(|(n, _)| n == name).map_or_else(Default::default, |a| a.1);
        let aggregates: Vec<Aggregate> = names.iter().map(aggregate).collect();
        let totals = aggregates.iter().map(|a| a.start()).collect();
        Ok(Totals { names, aggregates, totals, examples: 0.0 })
    }

    /// What is taken in, by name, and what becomes of each.
    pub(super) fn columns(&self) -> Vec<String> {
        self.names.iter().zip(&self.aggregates).map(|(name, aggregate)| format!("{name} {aggregate:?}")).collect()
    }

    /// Whether a program has all that is taken in, as single numbers.
    pub(super) fn fit(&self, session: &Session) -> bool {
        let outputs = &session.signature().outputs;
        self.names.iter().all(|name| outputs.iter().any(|o| *o.name == **name && o.ty.rank() == 0))
    }

    /// The names of what is taken in; `loss` is the first.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Takes in the outputs of the last step, a batch of `examples`, and returns its loss.
    pub(super) fn add(&mut self, session: &Session, examples: usize) -> f64 {
        let mut loss = 0.0;
        for (i, name) in self.names.iter().enumerate() {
            let value = session.output_value(name).expect("the totals were made for this program");
            self.aggregates[i].add(&mut self.totals[i], value, examples as f64);
            if i == 0 {
                loss = value;
            }
        }
        self.examples += examples as f64;
        loss
    }

    /// What the totals come to.
    pub(super) fn scores(&self) -> Scores {
        let values = self.aggregates.iter().zip(&self.totals).map(|(a, &total)| a.finish(total, self.examples));
        let mut scores = self.names.iter().cloned().zip(values);
        let loss = scores.next().map_or(f64::NAN, |(_, loss)| loss);
        Scores { loss, metrics: scores.collect() }
    }

    pub(super) fn clear(&mut self) {
        for (total, aggregate) in self.totals.iter_mut().zip(&self.aggregates) {
            *total = aggregate.start();
        }
        self.examples = 0.0;
    }

    /// All numbers, exactly, for a checkpoint.
    pub(super) fn to_tensor(&self) -> Tensor {
        let numbers: Vec<f64> = self.totals.iter().copied().chain([self.examples]).collect();
        Tensor::new([numbers.len()], numbers).expect("a vector has its own length")
    }

    /// Takes the numbers of [`Totals::to_tensor`] back; whether they are as many as there are.
    pub(super) fn restore(&mut self, tensor: &Tensor) -> bool {
        let numbers = tensor.to_f64s();
        let fits = tensor.dtype() == DType::F64 && numbers.len() == self.totals.len() + 1;
        if let (true, Some((examples, totals))) = (fits, numbers.split_last()) {
            self.totals.copy_from_slice(totals);
            self.examples = *examples;
        }
        fits
    }
}
