//! Kernels: small structured loop nests over buffers, between the scheduler and the emitters.
//!
//! - [`ir`] has the data types; a [`Builder`] makes kernels, merging common subexpressions and hoisting invariants on
//!   the way.
//! - [`program`]: kernels, routines and constants, what an emitter gets.

pub mod build;
mod clean;
mod fold;
pub mod ir;
pub mod program;

pub use build::Builder;
pub use ir::*;
