//! Loss and metrics of many batches: the outputs of a program for each, and how they are accumulated.

use dlc_ir::Type;

/// What a program returns of loss and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Their values for its batch.
    #[default]
    Values,
    /// Besides the values of a step (and instead of those of an evaluation) the parts from which the values over many batches are
    /// computed.
    Parts,
    /// The program takes those parts, accumulated over the request's number of examples, and returns the values.
    Finish,
}

/// How a part is accumulated over batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// An output of the program of a batch, from which loss and metrics of many batches are computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The output of the program of a batch, and the input of the one that computes loss and metrics.
    pub name: String,
    pub combine: Combine,
    /// Its type for a batch.
    pub ty: Type,
}
