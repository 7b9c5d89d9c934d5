//! Text and tree: the lexer, the parser, the syntax tree, its printers and the formatter, for both forms of a file. Nothing here knows what a
//! name means.

pub mod ast;
pub mod format;
pub mod lexer;
pub mod parser;
pub mod print;
pub mod ron;
