//! Prints pieces with their indentation and spacing; normalises trailing commas.

use super::*;

/// The indentation of one level.
const INDENT: usize = 2;

/// An open bracket.
struct Level {
    role: Role,
    /// The indentation of the line on which it was opened.
    line_indent: usize,
}

pub(super) fn lay_out(mut pieces: Vec<Piece>) -> String {
    settle_commas(&mut pieces);
    let pieces = &pieces[..];
    let widths = widths(pieces);
    let mut out = String::new();
    let mut levels: Vec<Level> = vec![];
    let mut line_indent = 0;
    for (i, piece) in pieces.iter().enumerate() {
        if piece.first {
            let before = i.checked_sub(1).map(|at| &pieces[at]);
            if before.is_some() {
                out.push('\n');
            }
            if piece.gap && !before.is_some_and(Piece::opens) && !piece.closes() {
                out.push('\n');
            }
            line_indent = indent(pieces, i, &levels);
            out.extend(std::iter::repeat_n(' ', line_indent));
        } else if piece.is_comment() {
            // A trailing comment keeps its column if it can, so that aligned comments stay aligned.
            let width = out[out.rfind('\n').map_or(0, |at| at + 1)..].chars().count();
            let column = piece.column.max(width + 2);
            out.extend(std::iter::repeat_n(' ', column - width));
        } else if space(&pieces[i - 1], piece) {
            out.push(' ');
        }
        out.push_str(piece.text);
        if let Some(width) = widths[i] {
            out.extend(std::iter::repeat_n(' ', width - piece.text.chars().count()));
        }
        if piece.opens() {
            levels.push(Level { role: piece.role, line_indent });
        } else if piece.closes()
            && let Some(level) = levels.pop()
        {
            // A bracket opened after one that closes here is indented like the line on which that one was opened.
            line_indent = level.line_indent;
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// The indentation of the line that starts with piece `at`.
fn indent(pieces: &[Piece], at: usize, levels: &[Level]) -> usize {
    // A comment is indented like the piece after it, but stays inside a bracket that closes there.
    let next = pieces[at..].iter().find(|piece| !piece.is_comment());
    let Some(level) = levels.last() else {
        return if next.is_some_and(|piece| piece.role == Role::Infix) { INDENT } else { 0 };
    };
    if pieces[at].closes() {
        return level.line_indent;
    }
    let inside = level.line_indent + INDENT;
    let Some(next) = next else { return inside };
    let before = pieces[..at].iter().rev().find(|piece| !piece.is_comment());
    let goes_on = match level.role {
        Role::Block | Role::Section => next.role == Role::Infix,
        _ => !next.closes() && !before.is_some_and(|piece| piece.opens() || piece.is(Symbol::Comma) || is_doc(piece)),
    };
    if goes_on { inside + INDENT } else { inside }
}

fn is_doc(piece: &Piece) -> bool {
    matches!(piece.kind, PieceKind::Token(TokenKind::Doc(_)))
}

/// Whether there is a space between two pieces of a line.
fn space(before: &Piece, after: &Piece) -> bool {
    use Symbol::*;
    if before.role == Role::Prefix || before.is(LParen) || before.is(LBracket) || before.is(Dot) {
        return false;
    }
    if before.role == Role::Slice || after.role == Role::Slice || after.role == Role::Suffix {
        return before.is(Comma);
    }
    if before.is(LBrace) && after.is(RBrace) {
        return false;
    }
    ![RParen, RBracket, Comma, Colon, Dot, Question].iter().any(|symbol| after.is(*symbol))
}

/// For the name of each setting on a line of its own, the width of the widest adjacent one, to align `=`.
fn widths(pieces: &[Piece]) -> Vec<Option<usize>> {
    let mut widths = vec![None; pieces.len()];
    // For each open bracket: whether it is a section, and the current run of adjacent settings.
    let mut open: Vec<(bool, Vec<usize>)> = vec![];
    for (i, piece) in pieces.iter().enumerate() {
        if let Some((true, run)) = open.last_mut()
            && piece.first
        {
            let setting = matches!(piece.kind, PieceKind::Token(TokenKind::Name(_)))
                && pieces.get(i + 1).is_some_and(|next| next.is(Symbol::Eq) && !next.first);
            let other = matches!(piece.word(), Some(Word::Let | Word::Fit | Word::Update));
            if piece.gap || other {
                align(pieces, run, &mut widths);
            }
            if setting {
                run.push(i);
            }
        }
        if piece.opens() {
            open.push((piece.role == Role::Section, vec![]));
        } else if piece.closes()
            && let Some((_, mut run)) = open.pop()
        {
            align(pieces, &mut run, &mut widths);
        }
    }
    widths
}

fn align(pieces: &[Piece], run: &mut Vec<usize>, widths: &mut [Option<usize>]) {
    let width = run.iter().map(|&i| pieces[i].text.chars().count()).max();
    for i in run.drain(..) {
        widths[i] = width;
    }
}

/// A list whose closing bracket is on a line of its own has a trailing comma, any other has none. Parentheses without a comma are left
/// alone: they may be grouping.
fn settle_commas(pieces: &mut Vec<Piece>) {
    let mut out: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut open: Vec<(bool, bool)> = vec![]; // is a list; has a comma
    for mut piece in pieces.drain(..) {
        if piece.opens() {
            open.push((!matches!(piece.role, Role::Block | Role::Section), false));
        } else if piece.closes() {
            if let Some((true, true)) = open.pop()
                && let Some(last) = out.iter().rposition(|p| !p.is_comment())
            {
                let mut end = last + 1;
                if out[last].is(Symbol::Comma) {
                    end = last;
                    if out.remove(last).first {
                        // The comma goes directly after the last element, before any comments; the bracket keeps its line.
                        end = out.iter().rposition(|p| !p.is_comment()).map_or(0, |at| at + 1);
                        piece.first = true;
                    }
                }
                if piece.first {
                    let kind = PieceKind::Token(TokenKind::Symbol(Symbol::Comma));
                    let comma = Piece { text: ",", kind, role: Role::Plain, first: false, gap: false, column: 0 };
                    out.insert(end, comma);
                }
            }
        } else if piece.is(Symbol::Comma)
            && let Some((_, comma)) = open.last_mut()
        {
            *comma = true;
        }
        out.push(piece);
    }
    *pieces = out;
}
