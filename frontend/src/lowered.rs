//! The output of a front end: a graph, with the tables of its weights and layers.

use std::sync::Arc;

use dlc_ir::{Graph, Type};
use indexmap::IndexMap;

use crate::diagnostic::Diagnostic;
use crate::measure::Part;
use crate::span::Span;

/// A graph with its metadata.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The program; its last function is the entry.
    pub graph: Graph,
    /// Weights and states in the order of their creation.
    pub weights: Vec<WeightInfo>,
    /// The layers that own weights, in the order in which they are first called.
    pub layers: Vec<Layer>,
    /// Multiplications and additions in matrix products and convolutions, in one run: those of the layers, and all others.
    pub flops: u64,
    /// The sizes of the model's dimensions.
    pub dims: IndexMap<String, usize>,
    /// The outputs, or inputs, from which loss and metrics are computed.
    pub parts: Vec<Part>,
    /// The names of scalar losses and metrics.
    pub scores: Vec<String>,
    /// For a program that takes accumulated parts: a loss or metric that changes if the same examples are repeated. It cannot be
    /// computed over many batches of a model with a fixed batch size.
    pub growing: Option<String>,
    pub warnings: Vec<Diagnostic>,
}

impl Lowered {
    /// The states of a training step that do not belong to the model: those of its optimizer, and the counter of steps.
    pub fn states_of_training(&self) -> impl Iterator<Item = &str> {
        self.weights.iter().filter(|w| w.of_training).map(|w| &*w.name)
    }
}

/// A weight or state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightInfo {
    /// Full name in the tree: `conv1.weight`.
    pub name: Arc<str>,
    pub ty: Type,
    /// Whether it is a `state`.
    pub is_state: bool,
    /// Whether training changes it.
    pub trainable: bool,
    /// Whether it belongs to the training instead of the model: a state of the optimizer, or the counter of steps.
    pub of_training: bool,
    /// Its declaration in the user's source: for one of the library, the call.
    pub span: Span,
}

/// A layer that owns weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name in the tree of weights; empty for the model itself.
    pub name: String,
    /// The name of its definition: `linear`.
    pub kind: String,
    /// The type of its output, with names of dimensions: `[B, 128]`.
    pub output: String,
    /// The number of elements of its weights, without those of nested layers.
    pub weights: usize,
    /// Multiplications and additions in matrix products and convolutions, in one run, without those of nested layers.
    pub flops: u64,
}
