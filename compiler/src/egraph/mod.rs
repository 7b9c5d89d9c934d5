//! Equality saturation in two rounds, algebra and fusion.
//!
//! The only folder that names egg.

mod algebra;
mod analysis;
mod cost;
mod dag;
mod extract;
mod facts;
pub mod fusion;
mod graph;
mod language;
mod members;
mod numbering;
mod reduced;
mod saturate;
mod selection;
mod window;

pub use algebra::{Need, Rule, Trigger, all as rules, markdown as rules_markdown};
pub use analysis::{ClassData, FOLD_BYTES, Values};
pub(crate) use cost::Cost;
pub use extract::{Extracted, extract};
pub use facts::Facts;
pub use fusion::Fusion;
pub use graph::{AlgebraGraph, Match, Origin, Rhs};
pub use language::{ENode, Head, Kind, OpTable};
pub use members::{Members, members};
pub use saturate::{Application, Saturation, applications, saturate};
