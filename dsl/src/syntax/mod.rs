//! The lexer, the parser, the syntax tree, its printers and the formatter, for both forms of a file. Names are not resolved here.

pub mod ast;
pub mod format;
pub mod lexer;
pub mod parser;
pub mod print;
pub mod ron;
