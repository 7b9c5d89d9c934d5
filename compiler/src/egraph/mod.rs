//! The heart of the optimiser: equality saturation in two rounds, algebra and fusion.
//!
//! The only folder that names egg.

mod cost;
pub mod fuse;

pub use cost::CostModel;
