//! Errors of training.

use std::io;

use crate::SessionError;
use crate::checkpoint::CheckpointError;
use crate::data::DataError;
use crate::data::check::CheckError;
use crate::examples::FieldsError;
use crate::loader::{LoaderError, TooFew};
use crate::near::suggestion;
use crate::weights::Mismatch;

/// Why a training cannot start or continue.
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
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    TooFew(#[from] TooFew),
    #[error(transparent)]
    Fields(#[from] FieldsError),
    /// Weights do not match the model.
    #[error("{0}")]
    Weights(#[from] Mismatch),
    #[error("history: {0}")]
    History(#[from] io::Error),
    /// The program has no scalar output `loss`.
    #[error("the program has no scalar output `loss`")]
    NoLoss,
    /// An input of the program for which the data has no field.
    #[error("the data has no field `{name}`{}; it has {}", suggestion(.near), .fields.join(", "))]
    NoField {
        name: String,
        /// Similar names, best first.
        near: Vec<String>,
        fields: Vec<String>,
    },
    /// An unknown score to decide the best epoch.
    #[error("unknown score `{name}`{}; the scores are {}", suggestion(.near), .known.join(", "))]
    NoScore {
        name: String,
        /// Similar names, best first.
        near: Vec<String>,
        known: Vec<String>,
    },
    /// A program for batches of another size has other weights, states or outputs.
    #[error("the program for batches of {size} cannot share the weights of the others: {what} differ")]
    NotShared { size: usize, what: &'static str },
    /// A batch holds NaN or an infinity.
    #[error("input `{name}` of the batch has {value} at element {element}; nothing was updated")]
    NotFiniteInput {
        name: String,
        /// The first value that is not finite.
        value: f64,
        /// Its position among all elements.
        element: usize,
    },
    /// No program evaluates batches of a size that the data needs.
    #[error("no program for batches of {size}: {count} examples need programs for {needed:?}")]
    NoProgram {
        /// The missing size.
        size: usize,
        count: usize,
        /// All sizes that they need.
        needed: Vec<usize>,
    },
    /// The program of initial values lacks a weight or state.
    #[error("no initial value for `{0}`")]
    NoInitialValue(String),
    /// A checkpoint lacks a weight or state.
    #[error("the checkpoint has no `{0}`")]
    NotInCheckpoint(String),
    /// The program of a batch lacks an output from which loss and metrics are computed.
    #[error("the program has no output `{0}`, from which loss and metrics are computed")]
    NoPart(String),
    /// The program that computes loss and metrics of all examples could not be compiled.
    #[error("{message}")]
    Finish {
        /// The code in `error[...]`.
        code: &'static str,
        message: String,
    },
    /// A metric needs all examples at once, and they are too large.
    #[error(
        "a metric needs `{name}` of all examples at once: more than {} MiB, where {} are allowed; \
         make it of sums and means over the examples",
        .bytes >> 20,
        .limit >> 20
    )]
    TooManyRows {
        /// The output.
        name: String,
        /// The bytes so far.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The number of kept examples is wrong.
    #[error("expected {expected} numbers of the examples, found {found}")]
    OtherExamples { found: usize, expected: usize },
    /// A metric depends on the number of examples, and the model has a fixed batch size.
    #[error(
        "{} over many batches cannot be computed: the model takes batches of {batch} only; \
         let it take any number of examples, or make the metric of means",
        .name.as_ref().map_or("a metric".to_owned(), |name| format!("`{name}`"))
    )]
    OneSize {
        /// The metric, if known.
        name: Option<String>,
        /// The batch size.
        batch: usize,
    },
    /// The loss became NaN or infinite.
    #[error(
        "the loss became {loss} in epoch {epoch}, step {step}; a smaller learning rate or clipped gradients may help"
    )]
    NotFinite {
        loss: f64,
        /// From 1.
        epoch: u64,
        /// From 1.
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
    /// The code in `error[...]`.
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
            TrainError::NoInitialValue(_) => "no-initial-value",
            TrainError::NotInCheckpoint(_) => "other-training",
            TrainError::NotFinite { .. } => "loss-not-finite",
        }
    }
}
