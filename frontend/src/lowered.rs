//! What a front end makes: a graph, with the tables of its weights and layers.

use std::sync::Arc;

use dlc_ir::{Graph, Type};
use indexmap::IndexMap;

use crate::diagnostic::Diagnostic;
use crate::measure::Part;
use crate::span::Span;

/// A graph with what else is known of it.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The program; its last function is the entry.
    pub graph: Graph,
    /// Weights and states in the order of their creation.
    pub weights: Vec<WeightInfo>,
    /// The layers that own weights, in the order in which they are first called.
    pub layers: Vec<Layer>,
    /// Multiplications and additions in products of matrices and convolutions, in one run: those of the layers, and all others.
    pub flops: u64,
    /// The sizes that the model's dimensions have.
    pub dims: IndexMap<String, usize>,
    /// The parts of loss and metrics that the program returns, or takes.
    pub parts: Vec<Part>,
    /// The names of loss and metrics that these parts make, as far as they are single numbers.
    pub scores: Vec<String>,
    /// Of a program that takes parts, a loss or metric that is another number if there are more of the same examples: one that has no value
    /// over many batches of a model that takes batches of one size only.
    pub growing: Option<String>,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

impl Lowered {
    /// The states of a training step that are no part of the model: those of its optimizer, and the counter of steps.
    pub fn states_of_training(&self) -> impl Iterator<Item = &str> {
        self.weights.iter().filter(|w| w.of_training).map(|w| &*w.name)
    }
}

/// What is known of a weight or state outside of this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightInfo {
    /// Full name in the tree: `conv1.weight`.
    pub name: Arc<str>,
    /// Its type.
    pub ty: Type,
    /// Whether it is a `state`.
    pub is_state: bool,
    /// Whether training changes it.
    pub trainable: bool,
    /// Whether it is no state of the model's, but the training's: a state of the optimizer, or the counter of steps.
    pub of_training: bool,
    /// Where it is declared in the user's text: for one of the library, the call.
    pub span: Span,
}

/// A layer that owns weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name in the tree of weights; empty for the model itself.
    pub name: String,
    /// What it is: `linear`.
    pub kind: String,
    /// The type of its output, with names of dimensions: `[B, 128]`.
    pub output: String,
    /// How many numbers its weights are, without those of layers within it.
    pub weights: usize,
    /// Multiplications and additions in products of matrices and convolutions, in one run, without those of layers within it.
    pub flops: u64,
}
