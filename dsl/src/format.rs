//! The one formatting of `.dl` texts: `dlc fmt`.
//!
//! Indentation, spacing, commas and the alignment of `=` in sections are settled; line breaks stay where they are.
//! The formatter works on tokens, not on the tree, and so cannot lose a comment or change what a text says.

use crate::diagnostic::{Diagnostic, has_errors};
use crate::lexer::{self, Symbol, TokenKind, Word};
use crate::parser;
use crate::span::{SourceId, Span};

mod layout;
mod pieces;

/// The text in its one formatting, or the faults that keep it from being read.
pub fn format(source: SourceId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let (_, faults) = parser::parse(source, text);
    if has_errors(&faults) {
        return Err(faults);
    }
    Ok(layout::lay_out(&pieces::pieces(source, text)))
}

/// A token, a whole string or a comment, with what layout must know of it.
#[derive(Clone, Debug)]
struct Piece<'a> {
    text: &'a str,
    kind: PieceKind,
    role: Role,
    /// Whether it stands first on its line.
    first: bool,
    /// Whether an empty line stands before it.
    gap: bool,
    /// Where it began on its line, in characters.
    column: usize,
}

impl Piece<'_> {
    fn is(&self, symbol: Symbol) -> bool {
        self.kind == PieceKind::Token(TokenKind::Symbol(symbol))
    }

    fn word(&self) -> Option<Word> {
        if let PieceKind::Token(TokenKind::Word(word)) = self.kind { Some(word) } else { None }
    }

    fn is_comment(&self) -> bool {
        self.kind == PieceKind::Comment
    }

    fn opens(&self) -> bool {
        self.is(Symbol::LParen) || self.is(Symbol::LBracket) || self.is(Symbol::LBrace)
    }

    fn closes(&self) -> bool {
        self.is(Symbol::RParen) || self.is(Symbol::RBracket) || self.is(Symbol::RBrace)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum PieceKind {
    Token(TokenKind),
    Str,
    Comment,
}

/// What a sign does where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Nothing special.
    Plain,
    /// An operator with operands on both sides; a line may begin with it.
    Infix,
    /// A sign that clings to what follows: unary minus, an attribute's `@`.
    Prefix,
    /// A bracket that clings to what stands before it: of a call, an index, a type.
    Suffix,
    /// The colon of a slice.
    Slice,
    /// The brace of statements.
    Block,
    /// The brace of a section, where `=` is aligned.
    Section,
}
