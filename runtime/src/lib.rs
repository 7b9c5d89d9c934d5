//! Runs and trains programs of dlc: data files, batches, the thread pool, checkpoints, the history of a training.
//!
//! Nothing here prints, and no file is read or written that was not named.

pub mod atomic;
pub mod data;
mod near;
mod tensors;

pub use tensors::{Tensors, UnknownTensor};
