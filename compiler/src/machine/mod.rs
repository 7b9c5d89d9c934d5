//! The machine that code is made for.

mod target;

pub use target::{Target, UnknownTarget};
