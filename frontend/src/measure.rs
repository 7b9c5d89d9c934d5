//! Loss and metrics of many batches: what a program returns of each, and how those of all follow.

use dlc_ir::Type;

/// What a program returns of loss and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Their values on its batch.
    #[default]
    Values,
    /// Besides the values of a step (and instead of those of an evaluation) the parts of which the values over many
    /// batches are made.
    Parts,
    /// The program takes those parts, accumulated over as many examples as the request has, and returns the values.
    Finish,
}

/// How a part of many batches follows from those of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// What a program returns of each batch, of which loss and metrics of many are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The output of the program of a batch, and the input of the one that finishes.
    pub name: String,
    /// How those of many batches make one.
    pub combine: Combine,
    /// The type that it has on a batch.
    pub ty: Type,
}
