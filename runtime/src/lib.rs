//! Runs and trains programs of dlc: data files, batches, the thread pool, checkpoints, the history of a training.
//!
//! Nothing here prints, and no file is read or written that was not named.

pub mod atomic;
pub mod checkpoint;
pub mod data;
pub mod history;
pub mod loader;
mod near;
mod pool;
mod session;
mod shuffle;
mod signature;
mod tensors;
pub mod train;
pub mod weights;

pub use pool::{JobPanicked, Pool};
pub use session::{Session, SessionError, WrongType};
pub use shuffle::{Split, permute};
pub use signature::{Signature, Slot, Target};
pub use tensors::{Tensors, UnknownTensor};
