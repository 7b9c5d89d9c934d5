//! Runs and trains programs of dlc.
//!
//! - [`Session`] is one thread's memory to run a compiled program in; [`Pool`] spreads large kernels over threads.
//! - [`train`] drives a compiled step over epochs, with validation, [`checkpoint`]s and a [`history`].
//! - [`loader`] makes batches of examples, ahead of the step that takes them; [`data`] reads and writes files.
//!
//! Nothing here prints, and no file is read or written that was not named.
//!
//! A program is compiled from a graph, run in a session, and gives tensors by name:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use dlc_compiler::machine::Target;
//! use dlc_compiler::pipeline::compile;
//! use dlc_compiler::options::Options;
//! use dlc_ir::{Graph, Tensor};
//! use dlc_runtime::{Pool, Session};
//!
//! let graph: Graph = r#"
//! func @double(%x: f32[3] input, %w: f32[3] param "scale") -> ("y": f32[3]) {
//!   %0 = mul %x, %w : f32[3]
//!   return %0
//! }
//! "#
//! .parse()?;
//! let target = Target::host().ok_or("dlc has no code for this machine")?;
//! let program = compile(graph, &Options::new(target))?;
//!
//! let mut session = Session::new(Arc::new(program), Arc::new(Pool::with_all_processors()));
//! session.set_param("scale", &Tensor::new([3], vec![2.0f32, 2.0, 2.0])?)?;
//! let out = session.run([("x", &Tensor::new([3], vec![1.0f32, 2.0, 3.0])?)])?;
//! assert_eq!(out["y"].to_f64s(), [2.0, 4.0, 6.0]);
//! # Ok(())
//! # }
//! ```

pub mod atomic;
pub mod checkpoint;
pub mod data;
pub mod examples;
pub mod foreign;
pub mod history;
pub mod loader;
mod mapped;
mod near;
mod pool;
mod preparing;
pub mod regular;
mod session;
mod shuffle;
mod signature;
mod tensors;
pub mod train;
pub mod weights;

pub use pool::{JobPanicked, Pool};
pub use session::{Session, SessionError, WrongType};
pub use shuffle::{Amount, Cursor, Split, permute};
pub use signature::{Signature, Target, TensorInfo};
pub use tensors::{Tensors, UnknownTensor};
