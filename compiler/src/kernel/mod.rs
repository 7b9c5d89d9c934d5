//! Kernels: small structured loop nests over buffers, between the scheduler and the emitters.
//!
//! - [`ir`] has the data types; a [`Builder`] makes kernels, merging common subexpressions and hoisting invariants on
//!   the way.
//! - [`verify()`] checks the rules that emitters rely on, with the proof of [`bounds`] that no access leaves its buffer; a
//!   [`Verified`] kernel carries its verdict;
//!   [`mod@print`] makes the text that `--emit=kernels` shows.
//! - [`interp`] executes kernels exactly as emitters must.
//!
//! Kernels, routines and constants together, what an emitter gets, are a program of `routine`.

pub mod bounds;
pub mod build;
mod clean;
pub mod eval;
mod fold;
pub mod interp;
pub mod ir;
pub mod math;
pub mod print;
pub mod verify;

pub use build::Builder;
pub use ir::*;
pub use verify::{Malformed, Verified, verify};
