//! The front end of dlc: parses the source of a model, resolves its names and lowers it to a graph.
//!
//! Both forms of a file, `.dl` and RON, parse to the same [`ast::File`]; `GRAMMAR.md` defines them.
//!
//! ```
//! use dlc_dsl::{Sources, parse, parse_ron, to_ron};
//!
//! let text = "model tiny(x: [B, 3]) -> y: [B, 1] { return x |> linear(1) }";
//! let mut sources = Sources::new();
//! let source = sources.add("tiny.dl", text);
//! let (file, errors) = parse(source, text);
//! assert!(errors.is_empty());
//!
//! // The RON form parses to the same tree.
//! let ron = to_ron(&file);
//! assert!(ron.contains("body: [linear(1)]"));
//! let source = sources.add("tiny.ron", ron.clone());
//! assert!(parse_ron(source, &ron).0.same(&file));
//!
//! // Errors come with an explanation.
//! let text = "model tiny(x: [B, 3]) -> y: [B, 1] { return x + x |> linear(1) }";
//! let source = sources.add("wrong.dl", text);
//! let (_, errors) = parse(source, text);
//! assert!(errors[0].render(&sources, false).starts_with("error[needs-parentheses]: `|>` beside another operator"));
//! ```

mod hir;
pub mod library;
pub mod lower;
mod syntax;

pub use crate::syntax::ron::names_language;
pub use crate::syntax::{ast, format, lexer, parser, print, ron};
pub use diagnostic::{Diagnostic, Severity};
pub use dlc_frontend::{diagnostic, span};
pub use hir::{Errors, Program, check, format_ron, parse_named, parse_ron, read_file, to_ron};
pub use lower::{Argument, Lowered, Mode, Request};
pub use span::{Loaded, Loader, NoFiles, SourceId, Sources, Span, Spanned};
pub use syntax::format::format;
pub use syntax::parser::parse;
pub use syntax::print::{to_dl, to_tree};
