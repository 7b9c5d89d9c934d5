//! What can stop a training.

use std::io;

use crate::SessionError;
use crate::checkpoint::CheckpointError;
use crate::data::DataError;
use crate::data::check::CheckError;
use crate::examples::FieldsError;
use crate::loader::{LoaderError, TooFew};
use crate::near::suggestion;
use crate::weights::Mismatch;

/// A training that cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A step failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A checkpoint could not be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file of weights could not be written or read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The examples do not fit together.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// There are too few examples.
    #[error(transparent)]
    TooFew(#[from] TooFew),
    /// The fields of a batch could not be computed.
    #[error(transparent)]
    Fields(#[from] FieldsError),
    /// Weights do not fit the model.
    #[error("{0}")]
    Weights(#[from] Mismatch),
    /// The history could not be written.
    #[error("history: {0}")]
    History(#[from] io::Error),
    /// The program has no output `loss`, or none that is a single number.
    #[error("the program has no single number `loss` among its outputs")]
    NoLoss,
    /// An input of the program for which the data has no field.
    #[error("the data has no field `{name}`{}; it has {}", suggestion(.near), .fields.join(", "))]
    NoField {
        /// The input.
        name: String,
        /// Close names, best first.
        near: Vec<String>,
        /// All fields.
        fields: Vec<String>,
    },
    /// A score that was to decide which epoch is the best, and that there is not.
    #[error("there is no score `{name}`{}; there is {}", suggestion(.near), .known.join(", "))]
    NoScore {
        /// The score.
        name: String,
        /// Close names, best first.
        near: Vec<String>,
        /// All names.
        known: Vec<String>,
    },
    /// A program for batches of another size has other weights, states or outputs.
    #[error("the program for batches of {size} cannot share the weights of the others: {what} differ")]
    NotShared {
        /// The size.
        size: usize,
        /// What differs.
        what: &'static str,
    },
    /// A batch holds NaN or an infinity.
    #[error("the batch's `{name}` holds {value}, at element {element}; nothing was updated")]
    NotFiniteInput {
        /// The input.
        name: String,
        /// The first value that is not finite.
        value: f64,
        /// Its position among all elements.
        element: usize,
    },
    /// No program evaluates batches of a size that the data needs.
    #[error("there is no program for batches of {size}; {count} examples need {needed:?}")]
    NoProgram {
        /// The size that is missing.
        size: usize,
        /// Number of examples.
        count: usize,
        /// All sizes that they need.
        needed: Vec<usize>,
    },
    /// The program of first values gives none for a weight or state.
    #[error("no first value is computed for `{0}`")]
    NoFirstValue(String),
    /// A checkpoint lacks a weight or state.
    #[error("the checkpoint has no `{0}`")]
    NotInCheckpoint(String),
    /// The program of a batch lacks what loss and metrics are made of.
    #[error("the program has no output `{0}`, of which loss and metrics are made")]
    NoPart(String),
    /// What makes loss and metrics of all examples cannot be made.
    #[error("{message}")]
    Finish {
        /// The kind of problem, as in `error[...]`.
        code: &'static str,
        /// What is wrong.
        message: String,
    },
    /// A metric needs all examples at once, and they are too many.
    #[error(
        "a metric needs `{name}` of all examples at once: more than {} MiB, where {} are allowed; \
         make it of sums and means over the examples",
        .bytes >> 20,
        .limit >> 20
    )]
    TooManyRows {
        /// What it needs.
        name: String,
        /// The bytes of what there is so far.
        bytes: usize,
        /// The most that are allowed.
        limit: usize,
    },
    /// What was kept of the examples does not belong to as many as there should be.
    #[error("{found} numbers were kept of the examples, not {wanted}")]
    OtherExamples {
        /// How many were kept.
        found: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// A metric depends on how many examples there are, and the model takes batches of one size only.
    #[error(
        "{} over many batches cannot be computed: the model takes batches of {batch} only; \
         let it take any number of examples, or make the metric of means",
        .name.as_ref().map_or("a metric".to_owned(), |name| format!("`{name}`"))
    )]
    OneSize {
        /// The metric, where it is known.
        name: Option<String>,
        /// The size.
        batch: usize,
    },
    /// The loss became NaN or infinite.
    #[error(
        "the loss became {loss} in epoch {epoch}, step {step}; a smaller learning rate or clipped gradients may help"
    )]
    NotFinite {
        /// The loss.
        loss: f64,
        /// The epoch, from 1.
        epoch: u64,
        /// The step, from 1.
        step: u64,
    },
}

impl From<LoaderError> for TrainError {
    fn from(error: LoaderError) -> Self {
        match error {
            LoaderError::TooFew(e) => e.into(),
            LoaderError::Fields(e) => e.into(),
        }
    }
}

impl TrainError {
    /// The kind of problem as a word, as it stands in `error[...]`.
    pub fn code(&self) -> &'static str {
        match self {
            TrainError::Session(e) => e.code(),
            TrainError::Checkpoint(e) => e.code(),
            TrainError::Data(e) => e.code(),
            TrainError::Check(e) => e.code(),
            TrainError::TooFew(_) => "too-few-examples",
            TrainError::Fields(e) => e.code(),
            TrainError::Weights(e) => e.code(),
            TrainError::History(_) => "io",
            TrainError::NoLoss => "no-loss",
            TrainError::NoField { .. } => "unknown-field",
            TrainError::NoProgram { .. } => "no-program",
            TrainError::NoScore { .. } => "unknown-name",
            TrainError::NotShared { .. } => "other-weights",
            TrainError::NotFiniteInput { .. } => "not-finite",
            TrainError::NoPart(_) | TrainError::OtherExamples { .. } => "internal",
            TrainError::Finish { code, .. } => code,
            TrainError::TooManyRows { .. } => "too-large",
            TrainError::OneSize { .. } => "one-batch-size",
            TrainError::NoFirstValue(_) => "no-first-value",
            TrainError::NotInCheckpoint(_) => "other-training",
            TrainError::NotFinite { .. } => "loss-not-finite",
        }
    }
}
