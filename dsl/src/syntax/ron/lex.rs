//! A lexer of RON, for blanks, comments and brackets, which serde does not report.

use std::ops::Range;

/// A lexeme with its span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lexeme {
    pub kind: LexemeKind,
    pub range: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LexemeKind {
    /// A bracket, a comma or a colon.
    Sign(char),
    /// A name: of a field or of a call.
    Name,
    /// A string, a number or the line of an extension.
    Atom,
    Comment,
}

/// The lexemes up to the first error, without blanks.
pub(crate) fn lexemes(text: &str) -> Vec<Lexeme> {
    let (mut lexemes, mut at) = (vec![], 0);
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        let Some(first) = text[at..].chars().next() else { return lexemes };
        let (kind, length) = if let Some(length) = comment_length(&text[at..]) {
            (LexemeKind::Comment, length)
        } else if "()[]{},:".contains(first) {
            (LexemeKind::Sign(first), 1)
        } else {
            let length = atom_length(&text[at..]);
            let named = name_length(&text[at..]) == length;
            (if named { LexemeKind::Name } else { LexemeKind::Atom }, length)
        };
        lexemes.push(Lexeme { kind, range: at..at + length });
        at += length;
    }
}

/// The length up to the next blank, comment or symbol: a name, a number, a string, or `#![enable(…)]`.
fn atom_length(text: &str) -> usize {
    if text.starts_with("#!") {
        return text.find(']').map_or(text.len(), |end| end + 1);
    }
    let mut length = 0;
    while let Some(c) = text[length..].chars().next() {
        let ends = c.is_whitespace() || "()[]{},:".contains(c) || comment_length(&text[length..]).is_some();
        if ends {
            break;
        }
        length += token_length(&text[length..]);
    }
    length
}

pub(super) fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
}

/// The first byte from `at` on that is neither blank nor comment.
pub(super) fn skip_blank(text: &str, mut at: usize) -> usize {
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        match comment_length(&text[at..]) {
            Some(length) => at += length,
            None => return at,
        }
    }
}

/// The length of the comment at the start of a text, up to the end of its line for a line comment.
fn comment_length(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    // Block comments nest.
    let (mut depth, mut inside) = (0, 0);
    while let Some(c) = text[inside..].chars().next() {
        let next = &text[inside..];
        if next.starts_with("/*") {
            (depth, inside) = (depth + 1, inside + 2);
        } else if next.starts_with("*/") {
            (depth, inside) = (depth - 1, inside + 2);
        } else {
            inside += c.len_utf8();
        }
        if depth == 0 {
            return Some(inside);
        }
    }
    Some(text.len())
}

/// A value without the blanks and comments around it.
pub(super) fn trim(text: &str) -> &str {
    let start = skip_blank(text, 0);
    let (mut at, mut end) = (start, start);
    while at < text.len() {
        at += token_length(&text[at..]);
        end = at;
        at = skip_blank(text, at);
    }
    &text[start..end]
}

/// The length of the string, character or symbol at the start of a text.
fn token_length(text: &str) -> usize {
    let quoted = |quote: char| {
        let mut escaped = false;
        let end = text[1..].find(|c| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        end.map_or(text.len(), |end| end + 2)
    };
    let hashes = text.bytes().skip(1).take_while(|b| *b == b'#').count();
    match text.chars().next() {
        Some('"') => quoted('"'),
        Some('\'') => quoted('\''),
        Some('r') if text[1 + hashes..].starts_with('"') => {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = hashes + 2;
            text[open..].find(&close).map_or(text.len(), |end| open + end + close.len())
        }
        Some(c) if c.is_ascii_alphanumeric() => name_length(text).max(1),
        Some(c) => c.len_utf8(),
        None => 0,
    }
}

/// The innermost bracket that is open at the end of the text, and its closing bracket.
pub(super) fn unclosed(text: &str) -> Option<(usize, char)> {
    let mut open = vec![];
    let mut at = skip_blank(text, 0);
    while at < text.len() {
        match text.as_bytes()[at] {
            b'(' => open.push((at, ')')),
            b'[' => open.push((at, ']')),
            b'{' => open.push((at, '}')),
            b')' | b']' | b'}' => drop(open.pop()),
            _ => {}
        }
        at = skip_blank(text, at + token_length(&text[at..]));
    }
    open.pop()
}
