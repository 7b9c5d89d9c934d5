//! dlc: a compiler for deep-learning models.

pub mod draw;
