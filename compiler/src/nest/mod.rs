//! Kernel functions as composed loop nests: what is computed at each position of an iteration space, without a word on how a machine runs it.
//!
//! - `compose` substitutes operators into each other until nothing but nests over buffers is left; `normalize` and `materialize` bring
//!   those into the form that a machine's room starts from.
//! - `expr` is the arena of element expressions, `affine` their quasi-affine indices.

pub(crate) mod affine;
pub(crate) mod compose;
mod error;
pub(crate) mod expr;
pub(crate) mod materialize;
pub(crate) mod nests;
mod normalize;
mod size;
mod statuses;

pub use error::NestError;
pub use statuses::{Failure, Statuses};
