//! Kernel functions as composed loop nests: what is computed at each point of an iteration space, independent of the machine.
//!
//! - `compose` substitutes operators into each other until only nests over buffers remain; `normalize`, `phases`, `pieces`, `materialize` and
//!   `part` bring these into the form that lowering to a machine starts from.
//! - `expr` is the arena of element expressions, `affine` their quasi-affine indices.

pub(crate) mod affine;
pub(crate) mod compose;
mod error;
pub(crate) mod expr;
pub(crate) mod materialize;
pub(crate) mod nests;
mod normalize;
mod part;
mod phases;
pub(crate) mod pieces;
pub(crate) mod ranges;
mod size;
mod statuses;

pub use error::NestError;
pub use statuses::{Failure, Statuses};
