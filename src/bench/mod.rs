//! Benchmarks of one program of a model: its time, where that goes, and what the machine could do at most.

pub mod baseline;
pub mod peak;
mod places;
pub mod profile;
pub mod report;
mod subject;
pub mod timing;
pub mod trace;

pub use subject::{Subject, SubjectOptions};
