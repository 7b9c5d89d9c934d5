//! Kernels: small structured loop nests over buffers, between the scheduler and the emitters.
//!
//! - [`ir`] has the data types; a [`KernelBuilder`] makes kernels, with common-subexpression elimination and loop-invariant code
//!   motion.
//! - [`verify()`] checks the rules that emitters rely on, with the proof of [`bounds`] that no access leaves its buffer; a
//!   [`Verified`] kernel is one that it accepted; [`mod@print`] makes the text of `--emit=kernels`.
//! - [`interp`] defines how emitters must execute kernels.
//!
//! Kernels, routines and constants together, the input of an emitter, are a program of `routine`.

pub mod bounds;
pub mod build;
mod dce;
pub mod eval;
mod fold;
pub mod interp;
pub mod ir;
pub mod math;
pub mod print;
pub mod verify;
mod work;

pub use build::KernelBuilder;
pub use ir::*;
pub use verify::{Malformed, Verified, verify};
pub use work::multiplications;
