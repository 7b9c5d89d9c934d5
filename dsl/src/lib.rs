//! The front end of dlc: a model's text becomes a tree.
//!
//! Both forms of a file, `.dl` and RON, become the same [`ast::File`].

pub mod ast;
mod check;
pub mod diagnostic;
pub mod format;
pub mod fuzz;
pub mod lexer;
pub mod parser;
pub mod print;
pub mod ron;
pub mod span;

pub use crate::ron::{parse_ron, to_ron};
pub use check::{check, parse_named};
pub use diagnostic::{Diagnostic, Severity};
pub use format::format;
pub use parser::parse;
pub use print::{to_dl, to_tree};
pub use span::{Loaded, Loader, NoFiles, SourceId, Sources, Span, Spanned};
