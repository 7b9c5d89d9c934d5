//! What a program returns of each batch, and how loss and metrics of many batches follow.

use std::fmt::Debug;
use std::sync::Arc;

use super::TrainError;
use crate::Session;

/// How a part of loss and metrics of many batches follows from those of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// Their sum.
    Sum,
    /// The largest; NaN if one is.
    Max,
    /// The smallest; NaN if one is.
    Min,
    /// The mean, weighted by examples.
    Mean,
    /// All of them, one behind the other along an axis.
    Rows {
        /// The axis along which the examples lie.
        axis: usize,
        /// How many positions of it an example has.
        per: usize,
    },
}

/// An output of the program of a batch that is accumulated, and an input of the one that finishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accumulated {
    /// Its name in both.
    pub name: String,
    /// How those of many batches make one.
    pub combine: Combine,
}

/// The program that computes loss and metrics from accumulated parts.
#[derive(Debug)]
pub struct Finished {
    /// Its inputs are the parts; its outputs are `loss` and the metrics.
    pub session: Session,
    /// The number of examples that it is for: that of all, or, of a model that is for one size of batches, that size. Sums are
    /// brought to it.
    pub examples: usize,
}

/// Makes the program that finishes.
pub trait Finish: Debug + Send + Sync {
    /// The program for so many examples.
    ///
    /// # Errors
    /// If there is none.
    fn program(&self, examples: usize) -> Result<Finished, TrainError>;
}

/// How loss and metrics of many batches follow from what a program returns of each.
#[derive(Clone, Debug)]
pub struct Measures {
    /// What it returns.
    pub parts: Vec<Accumulated>,
    /// The names of loss and metrics that follow, as far as they are single numbers.
    pub scores: Vec<String>,
    /// What makes loss and metrics of these.
    pub finish: Arc<dyn Finish>,
}
