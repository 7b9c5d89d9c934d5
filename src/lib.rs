//! dlc: a compiler for deep-learning models.

pub mod artefact;
pub mod draw;
