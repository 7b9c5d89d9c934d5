//! dlc: a compiler for deep-learning models.
//!
//! A model is a page of text. This page follows one from its source to its execution; its examples are compiled and run as tests.
//!
//! # A model
//!
//! Inputs are arguments, results are named in the signature, capitals are dimensions. `|>` passes a value to the next call.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dlc::Model;
//!
//! let model = Model::parse(
//!     "model perceptron(image: [B, 28, 28], hidden: int = 128) -> logits: [B, 10] {
//!        return image |> flatten |> linear(hidden) |> relu |> linear(10)
//!      }",
//! )?;
//! # Ok(())
//! # }
//! ```
//!
//! Errors have a span and a help message:
//!
//! ```
//! let wrong = "model m(x: [B, 4]) -> y: [B, 2] { return x |> linera(2) }";
//! let error = dlc::Model::parse(wrong).unwrap_err();
//! assert_eq!(error.code(), "unknown-name");
//! assert!(error.to_string().contains("do you mean `linear`?"));
//! ```
//!
//! # Its graph
//!
//! For concrete sizes the model is lowered to a typed graph of operators: SSA, pure, with weights as arguments. Its text form parses
//! back to the same graph.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let model = dlc::Model::parse("model perceptron(image: [B, 28, 28], hidden: int = 128) -> logits: [B, 10] { return image |> flatten |> linear(hidden) |> relu |> linear(10) }")?;
//! let graph = model.graph([("B", 64)])?;
//! let text = graph.to_string();
//! assert!(text.contains("%image: f32[64,28,28] input"));
//! assert!(text.contains("f32[128,784] param \"linear_1.weight\""));
//! assert_eq!(text.parse::<dlc::Graph>()?, graph);
//! # Ok(())
//! # }
//! ```
//!
//! # Its optimised graph
//!
//! Equality saturation rewrites the graph and fuses it into kernels. Product, bias and activation of a layer are one kernel:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let model = dlc::Model::parse("model perceptron(image: [B, 28, 28], hidden: int = 128) -> logits: [B, 10] { return image |> flatten |> linear(hidden) |> relu |> linear(10) }")?;
//! use dlc::{Compiler, Stage};
//!
//! let program = Compiler::new().compile(&model, [("B", 64)])?;
//! let optimised = program.graph(Stage::Opt).to_string();
//! let kernel = optimised.split("kernel ").find(|k| k.contains("relu")).unwrap();
//! assert!(kernel.contains("dot") && kernel.contains("add"));
//! # Ok(())
//! # }
//! ```
//!
//! # Its execution
//!
//! A program is machine code: `Send`, `Sync`, cheap to clone. A session is the memory that one thread runs it in.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let model = dlc::Model::parse("model perceptron(image: [B, 28, 28], hidden: int = 128) -> logits: [B, 10] { return image |> flatten |> linear(hidden) |> relu |> linear(10) }")?;
//! use dlc::{Compiler, Tensor};
//!
//! let compiler = Compiler::new();
//! let weights = compiler.initial_weights(&model, [], 0)?; // or those of a training, or of a file
//! let program = compiler.compile(&model, [("B", 1)])?.with_weights(weights)?;
//! let mut session = program.session();
//! let image = Tensor::new([1, 28, 28], vec![0.5f32; 784])?;
//! let out = session.run([("image", &image)])?;
//! assert_eq!(out["logits"].shape()[..], [1, 10]);
//! # Ok(())
//! # }
//! ```
//!
//! # Training
//!
//! A `train` section names data, loss and optimiser. [`Trainer`] runs its steps: forward, backward and update are one program for each
//! batch size. See `examples/train_step.rs`. [`Program::open`] loads an artefact of `dlc train` with its weights.
//!
//! # Snapshot tests
//!
//! A program that embeds a model can keep a snapshot of its optimised IR: when the model changes, or a new dlc generates other kernels, a
//! test shows the difference. The target is named, so that the text is the same on every machine. Copy
//! `examples/snapshot.rs`; its test runs with `cargo test --examples`:
//!
#![doc = concat!("```\n", include_str!("../examples/snapshot.rs"), "```")]
#![warn(missing_docs)]

/// The examples of the README, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[doc(hidden)]
pub mod artefact;
#[doc(hidden)]
pub mod bench;
mod compile;
mod data;
mod error;
#[doc(hidden)]
pub mod inspect;
mod model;
mod program;
mod train;

pub use compile::Compiler;
pub use dlc_compiler::options::{Level, Math};
pub use dlc_compiler::pipeline::Stage;
pub use dlc_dsl::{Argument, Diagnostic};
pub use dlc_ir::{DType, Graph, ParseError, Tensor, Type};
pub use dlc_runtime::train::Snapshot;
pub use dlc_runtime::{Session, SessionError, Tensors};
pub use error::Error;
pub use model::Model;
pub use program::Program;
pub use train::trainer::{Step, Trainer};

// What the command line, the tests and the benchmarks need beyond embedding; it may change with any version.
#[doc(hidden)]
pub use compile::Timings;
#[doc(hidden)]
pub use dlc_compiler::options::PassOptions;
#[doc(hidden)]
pub use dlc_compiler::passes;
#[doc(hidden)]
pub use dlc_dsl::{Mode, Request};
#[doc(hidden)]
pub use dlc_runtime as runtime;
#[doc(hidden)]
pub use inspect::draw;
#[doc(hidden)]
pub use model::text::{Form, convert, format, is_ron_model};
#[doc(hidden)]
pub use model::warnings::Warnings;
#[doc(hidden)]
pub use train::kept::Kept;
#[doc(hidden)]
pub use train::{Predictions, TrainOverrides, Training};
