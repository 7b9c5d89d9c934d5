//! The one formatting of `.dl` and RON texts: `dlc fmt`.
//!
//! Indentation, spacing, commas and the alignment of `=` in sections are settled; line breaks stay where they are. Brackets around
//! `f(x) as h` go, where nothing needs them. The formatter works on tokens, not on the tree, and so cannot lose a comment.

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

/// The text in its one formatting, or the faults that keep it from being read.
pub fn format(source: SourceId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let (_, faults) = parser::parse(source, text);
    if has_errors(&faults) {
        return Err(faults);
    }
    let mut pieces = pieces::pieces(source, text);
    brackets::drop_needless(&mut pieces);
    Ok(layout::lay_out(pieces))
}

/// The RON text in its one formatting, or the faults that keep it from being read.
pub(crate) fn format_ron(source: SourceId, text: &str, known: &Texts) -> Result<String, Vec<Diagnostic>> {
    let (_, faults) = ron::parse(source, text, known);
    if has_errors(&faults) {
        return Err(faults);
    }
    Ok(layout::lay_out(ron_pieces::pieces(text)))
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

/// Tokens and comments with their lines and columns, in the order of the text.
fn placed(text: &str, tokens: impl Iterator<Item = (Range<usize>, PieceKind)>) -> Vec<Piece<'_>> {
    // The column up to which characters are counted, so that a long line is walked once.
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
