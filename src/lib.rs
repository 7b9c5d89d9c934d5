//! dlc: a compiler for deep-learning models.
//!
//! A model is a page of text. This page follows one from its text to its execution; everything on it is compiled and run as a
//! test.
//!
//! # A model
//!
//! Inputs are arguments, results stand in the signature, capitals are dimensions. `|>` passes a value on.
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
//! A mistake is told with its place and a hint:
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
//! For concrete sizes the model becomes a typed graph of operators: SSA, pure, with weights as arguments. Its text form can be
//! parsed again.
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
//! Equality saturation rewrites the graph and cuts it into kernels. Product, bias and activation of a layer are one of them:
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
//! A program is machine code: `Send`, `Sync`, cheap to clone. A session is the memory of one thread to run it in.
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
//! A `train` section names data, loss and optimiser. [`Trainer`] trains by it, step by step: forward, backward and update are one program
//! for each size of batches that comes. `examples/train_step.rs` shows it. What `dlc train` wrote, [`Program::open`] loads, with its weights.
//!
//! # Snapshot tests
//!
//! A program that embeds a model can keep a snapshot of its optimised IR: when the model changes, or a new dlc makes other kernels, a test
//! shows the difference. The target is named, so that the text is the same on every machine. This is `examples/snapshot.rs`, to be
//! copied; its test runs with `cargo test --examples`:
//!
#![doc = concat!("```\n", include_str!("../examples/snapshot.rs"), "```")]
#![warn(missing_docs)]

/// The README's programs, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[doc(hidden)]
pub mod artefact;
mod compile;
mod data;
mod error;
mod inspect;
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
pub use inspect::{draw, tools};
#[doc(hidden)]
pub use model::text::{Form, convert, format, is_ron_model};
#[doc(hidden)]
pub use model::warnings::Warnings;
#[doc(hidden)]
pub use train::kept::Kept;
#[doc(hidden)]
pub use train::{Predictions, TrainOverrides, Training};
