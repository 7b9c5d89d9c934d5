//! The formatter of `.dl` and RON files: `dlc fmt`.
//!
//! It normalises indentation, spacing, commas and the alignment of `=` in sections, and keeps line breaks. Redundant parentheses around
//! `f(x) as h` are removed. It works on tokens, not on the tree, so that it cannot lose a comment.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, has_errors};
use crate::lexer::{self, Symbol, TokenKind, Word};
use crate::parser;
use crate::ron::{self, Texts};
use crate::span::{SourceId, Span};

mod brackets;
mod layout;
mod pieces;
mod ron_pieces;

/// Formats a `.dl` file, unless it has syntax errors.
pub fn format(source: SourceId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let (_, errors) = parser::parse(source, text);
    if has_errors(&errors) {
        return Err(errors);
    }
    let mut pieces = pieces::pieces(source, text);
    brackets::drop_needless(&mut pieces);
    Ok(layout::lay_out(pieces))
}

/// Formats a RON file, unless it has syntax errors.
pub(crate) fn format_ron(source: SourceId, text: &str, known: &Texts) -> Result<String, Vec<Diagnostic>> {
    let (_, errors) = ron::parse(source, text, known);
    if has_errors(&errors) {
        return Err(errors);
    }
    Ok(layout::lay_out(ron_pieces::pieces(text)))
}

/// A token, a whole string or a comment, with what the layout depends on.
#[derive(Clone, Debug)]
struct Piece<'a> {
    text: &'a str,
    kind: PieceKind,
    role: Role,
    /// Whether it is the first of its line.
    first: bool,
    /// Whether an empty line precedes it.
    gap: bool,
    /// Its original column, in characters.
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

/// Tokens and comments with their lines and columns, in source order.
fn placed(text: &str, tokens: impl Iterator<Item = (Range<usize>, PieceKind)>) -> Vec<Piece<'_>> {
    // Characters are counted incrementally, so that a long line is scanned once.
    let (mut end, mut counted, mut column) = (0, 0, 0);
    let mut pieces: Vec<Piece> = vec![];
    for (range, kind) in tokens {
        let breaks = text[end..range.start].matches('\n').count();
        let between = &text[counted..range.start];
        column = match between.rfind('\n') {
            Some(at) => between[at + 1..].chars().count(),
            None => column + between.chars().count(),
        };
        counted = range.start;
        let (first, gap) = (breaks > 0 || end == 0, breaks > 1 && end > 0);
        end = range.end;
        pieces.push(Piece { text: text[range].trim_end(), kind, role: Role::Plain, first, gap, column });
    }
    pieces
}

/// The role of a token, which decides the spacing around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Nothing special.
    Plain,
    /// An operator with operands on both sides; a line may begin with it.
    Infix,
    /// No space after it: unary minus, an attribute's `@`.
    Prefix,
    /// A bracket without a space before it: of a call, an index, a type.
    Suffix,
    /// The colon of a slice.
    Slice,
    /// The brace of statements.
    Block,
    /// The brace of a section, where `=` is aligned.
    Section,
}
