//! The tokens of a RON file as pieces, so that both forms share the layout.

use super::*;
use crate::ron::lex::{LexemeKind, lexemes};

pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let lexemes = lexemes(text);
    let mut pieces = placed(text, lexemes.iter().map(|lexeme| (lexeme.range.clone(), kind(lexeme.kind))));
    let mut before = None;
    for (piece, lexeme) in pieces.iter_mut().zip(&lexemes) {
        // No space between a call and its parentheses.
        if lexeme.kind == LexemeKind::Sign('(') && before == Some(LexemeKind::Name) {
            piece.role = Role::Suffix;
        }
        if lexeme.kind != LexemeKind::Comment {
            before = Some(lexeme.kind);
        }
    }
    pieces
}

fn kind(lexeme: LexemeKind) -> PieceKind {
    match lexeme {
        LexemeKind::Comment => PieceKind::Comment,
        LexemeKind::Name | LexemeKind::Atom => PieceKind::Str,
        LexemeKind::Sign(sign) => {
            let symbol = Symbol::ALL.iter().find(|symbol| symbol.text().starts_with(sign));
            symbol.map_or(PieceKind::Str, |symbol| PieceKind::Token(TokenKind::Symbol(*symbol)))
        }
    }
}
