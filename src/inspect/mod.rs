//! What people look at: where each node of a graph comes from, pictures, comparisons with the reference.

pub mod draw;
pub(crate) mod explain;
pub mod tools;
pub(crate) mod verify;
