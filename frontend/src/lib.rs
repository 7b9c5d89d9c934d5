//! What the front ends of dlc share: sources with spans, diagnostics, requests, and lowered programs.
//!
//! A front end lowers a model, whatever language it is written in, to a [`Lowered`] for a [`Request`]; nothing here knows a
//! language.

pub mod diagnostic;
mod lowered;
pub mod measure;
mod mode;
mod request;
pub mod span;

pub use lowered::{Layer, Lowered, WeightInfo};
pub use measure::Measure;
pub use mode::{Mode, UnknownMode};
pub use request::{Argument, Request};
