//! Tokens and comments of a `.dl` file in one list, each with its role.

use super::*;

pub(super) fn pieces(source: SourceId, text: &str) -> Vec<Piece<'_>> {
    let lexed = lexer::lex(source, text);
    let mut spans: Vec<(Span, PieceKind)> = vec![];
    let mut tokens = lexed.tokens.into_iter();
    while let Some(token) = tokens.next() {
        match token.kind {
            TokenKind::End => {}
            TokenKind::StrBegin => {
                // Strings are verbatim, with the expressions in them.
                let (mut span, mut open) = (token.span, 1);
                while open > 0
                    && let Some(next) = tokens.next()
                {
                    span = span.to(next.span);
                    open += match next.kind {
                        TokenKind::StrBegin => 1,
                        TokenKind::StrEnd => -1,
                        _ => 0,
                    };
                }
                spans.push((span, PieceKind::Str));
            }
            kind => spans.push((token.span, PieceKind::Token(kind))),
        }
    }
    spans.extend(lexed.comments.into_iter().map(|span| (span, PieceKind::Comment)));
    spans.sort_by_key(|(span, _)| span.start);
    let mut pieces = placed(text, spans.into_iter().map(|(span, kind)| (span.range(), kind)));
    assign_roles(&mut pieces);
    pieces
}

/// Whether a value ends with this piece.
fn is_operand(piece: &Piece) -> bool {
    match &piece.kind {
        PieceKind::Str => true,
        PieceKind::Comment => false,
        PieceKind::Token(kind) => match kind {
            TokenKind::Name(_) | TokenKind::Int(_) | TokenKind::Float(_) => true,
            TokenKind::Word(word) => matches!(word, Word::True | Word::False | Word::None | Word::Fn),
            TokenKind::Symbol(symbol) => {
                use Symbol::*;
                matches!(symbol, RParen | RBracket | RBrace | Underscore | Dots | Question)
            }
            _ => false,
        },
    }
}

fn assign_roles(pieces: &mut [Piece]) {
    // The roles of the open brackets, each with the keyword of the current statement in it.
    let mut open: Vec<(Symbol, Role, Option<Word>)> = vec![];
    let mut outer: Option<Word> = None;
    let mut before: Option<usize> = None;
    for i in 0..pieces.len() {
        if pieces[i].is_comment() {
            continue;
        }
        let (_, around, statement) =
            open.last_mut().map_or((Symbol::LBrace, Role::Block, &mut outer), |(s, r, w)| (*s, *r, w));
        let lines = matches!(around, Role::Block | Role::Section);
        let previous = before.map(|at| &pieces[at]);
        let operand = previous.is_some_and(is_operand);
        let fresh = pieces[i].first && lines;
        if fresh || previous.is_some_and(Piece::opens) {
            *statement = pieces[i].word();
        }
        let PieceKind::Token(kind) = &pieces[i].kind else {
            before = Some(i);
            continue;
        };
        let mut role = Role::Plain;
        match kind {
            TokenKind::Word(Word::And | Word::Or | Word::As) => role = Role::Infix,
            TokenKind::Symbol(symbol) => {
                use Symbol::*;
                role = match symbol {
                    Minus | Plus if !operand => Role::Prefix,
                    At if fresh || !operand => Role::Prefix,
                    Minus | Plus | Star | Slash | Percent | At | Power | EqEq | NotEq | Lt | Le | Gt | Ge | Pipe
                    | Arrow => Role::Infix,
                    LParen | LBracket if operand && !fresh && !previous.is_some_and(|p| p.is(RBrace)) => Role::Suffix,
                    LBrace if operand || previous.is_some_and(|p| p.word() == Some(Word::Else)) => match *statement {
                        Some(Word::Dataset | Word::Train | Word::Update) => Role::Section,
                        _ => Role::Block,
                    },
                    Colon if around == Role::Suffix && open.last().is_some_and(|(s, ..)| *s == LBracket) => Role::Slice,
                    _ => Role::Plain,
                };
                match symbol {
                    LParen | LBracket | LBrace => open.push((*symbol, role, None)),
                    RParen | RBracket | RBrace => {
                        open.pop();
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        pieces[i].role = role;
        before = Some(i);
    }
}
