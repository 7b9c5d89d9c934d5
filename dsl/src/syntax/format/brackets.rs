//! Redundant parentheses around a named call, `x + (linear(h, 8) as o)`: `as` binds tighter than any operator.

use super::*;

/// Removes them, unless they contain a comment or a line break.
pub(super) fn drop_needless(pieces: &mut Vec<Piece>) {
    loop {
        let pairs: Vec<[usize; 2]> = (0..pieces.len()).filter_map(|i| Some([i, around_call(pieces, i)?])).collect();
        if pairs.is_empty() {
            return;
        }
        let mut dropped = vec![false; pieces.len()];
        for [open, close] in pairs {
            (dropped[open], dropped[close]) = (true, true);
            let Piece { first, gap, column, .. } = pieces[open];
            let inner = &mut pieces[open + 1];
            (inner.first, inner.gap, inner.column) = (first, gap, column);
        }
        let mut dropped = dropped.into_iter();
        pieces.retain(|_| dropped.next() == Some(false));
    }
}

/// The end of the parentheses that begin at `open`, if they contain only a named call and nothing after them would
/// be parsed as part of the name.
fn around_call(pieces: &[Piece], open: usize) -> Option<usize> {
    let token = |at: usize| pieces.get(at).filter(|piece| !piece.is_comment());
    let same_line = |at: usize| token(at).filter(|piece| !piece.first);
    let is_name = |piece: &Piece| matches!(piece.kind, PieceKind::Token(TokenKind::Name(_)));
    token(open).filter(|piece| piece.is(Symbol::LParen) && piece.role == Role::Plain)?;
    same_line(open + 1).filter(|piece| is_name(piece))?;
    same_line(open + 2).filter(|piece| piece.is(Symbol::LParen))?;
    let end = end_of_bracket(pieces, open + 2)?;
    same_line(end + 1).filter(|piece| piece.word() == Some(Word::As))?;
    same_line(end + 2)
        .filter(|piece| is_name(piece) || piece.kind == PieceKind::Str || piece.is(Symbol::Underscore))?;
    same_line(end + 3).filter(|piece| piece.is(Symbol::RParen))?;
    let taken = |next: &Piece| {
        next.opens() && next.role == Role::Suffix || next.is(Symbol::Dot) || next.word() == Some(Word::As)
    };
    if token(end + 4).is_some_and(taken) { None } else { Some(end + 3) }
}

fn end_of_bracket(pieces: &[Piece], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, piece) in pieces.iter().enumerate().skip(open) {
        depth += usize::from(piece.opens());
        depth -= usize::from(piece.closes());
        if depth == 0 {
            return Some(at);
        }
    }
    None
}
