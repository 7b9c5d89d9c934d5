//! The heart of the optimiser: equality saturation in two rounds, algebra and fusion.
//!
//! The only folder that names egg.

mod analysis;
mod cost;
mod dag;
mod extract;
mod facts;
mod forced;
pub mod fuse;
mod language;
mod members;
mod rules;
mod saturate;
mod space;
mod window;

pub use analysis::{ClassData, FOLD_BYTES, Values};
pub(crate) use cost::Cost;
pub use extract::{Extracted, extract};
pub use facts::Facts;
pub use language::{ENode, Head, Kind, OpTable};
pub use members::{Members, members};
pub use rules::fusion::Fusion;
pub use rules::{Need, Rule, Trigger, all as rules, markdown as rules_markdown};
pub use saturate::{Application, Saturation, applications, saturate};
pub use space::{Origin, Site, Space, Term};
