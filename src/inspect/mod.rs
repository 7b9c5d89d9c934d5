//! Inspection: provenance of nodes, pictures, comparisons with the reference.

pub mod draw;
pub(crate) mod explain;
pub mod tools;
pub(crate) mod verify;
