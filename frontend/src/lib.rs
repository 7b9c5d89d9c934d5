//! What the front ends of dlc share: source texts with spans, diagnostics, what is asked of a front end, and what it makes.
//!
//! A front end turns a model, whatever it is written in, into a [`Lowered`] for a [`Request`]; nothing here knows a language.

pub mod diagnostic;
mod lowered;
pub mod measure;
mod mode;
mod request;
pub mod span;

pub use lowered::{Layer, Lowered, WeightInfo};
pub use measure::Measure;
pub use mode::{UnknownWhat, What};
pub use request::{Argument, Request};
