//! The outputs of a program for each batch, and how loss and metrics of many batches are computed from them.

use std::fmt::Debug;
use std::sync::Arc;

use super::TrainError;
use crate::Session;

/// How an output is accumulated over batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    Sum,
    /// The largest; NaN if any is.
    Max,
    /// The smallest; NaN if any is.
    Min,
    /// The mean, weighted by the number of examples.
    Mean,
    /// Concatenated along an axis.
    Rows {
        /// The axis of the examples.
        axis: usize,
        /// How many positions of it an example has.
        per: usize,
    },
}

/// An output of the program of a batch that is accumulated, and an input of the one that computes loss and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accumulated {
    /// Its name in both.
    pub name: String,
    /// How it is accumulated.
    pub combine: Combine,
}

/// The program that computes loss and metrics from accumulated parts.
#[derive(Debug)]
pub struct Finished {
    /// Its inputs are the parts; its outputs are `loss` and the metrics.
    pub session: Session,
    /// The number of examples that it is compiled for: that of all, or the fixed batch size of the model. Sums are scaled to it.
    pub examples: usize,
}

/// Compiles the program that computes loss and metrics.
pub trait Finish: Debug + Send + Sync {
    /// The program for this many examples.
    ///
    /// # Errors
    /// If there is none.
    fn program(&self, examples: usize) -> Result<Finished, TrainError>;
}

/// How loss and metrics of many batches are computed from the outputs for each.
#[derive(Clone, Debug)]
pub struct Measures {
    /// The accumulated outputs.
    pub parts: Vec<Accumulated>,
    /// The names of scalar losses and metrics.
    pub scores: Vec<String>,
    /// Computes loss and metrics from these.
    pub finish: Arc<dyn Finish>,
}
