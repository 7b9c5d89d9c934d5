//! The heart of the optimiser: equality saturation in two rounds, algebra and fusion.
//!
//! The only folder that names egg.

mod analysis;
mod cost;
mod dag;
mod extract;
mod forced;
pub mod fuse;
mod language;
mod rules;
mod saturate;
mod space;
mod window;

pub use analysis::{ClassData, FOLD_BYTES, Values};
pub use cost::{Cost, CostModel};
pub use extract::{Extracted, extract};
pub use language::{ENode, Head, Kind, OpTable};
pub use rules::fusion::Fusion;
pub use rules::{Need, Rule, Trigger, all as rules};
pub use saturate::{Application, Saturation, applications, saturate};
pub use space::{Origin, Site, Space, Term};
