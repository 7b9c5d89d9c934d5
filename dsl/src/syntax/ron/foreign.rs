//! Syntax that RON does not have: strings in single quotation marks, comments after `#`.

use std::ops::Range;

use super::lex::{LexemeKind, lexemes};

/// Syntax of another language.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    pub at: Range<usize>,
    pub message: &'static str,
    /// What to write instead.
    pub instead: String,
}

/// The first foreign syntax before the byte at which parsing failed.
pub(super) fn foreign(text: &str, failed: usize) -> Option<Foreign> {
    let before = lexemes(text).into_iter().take_while(|lexeme| lexeme.range.start <= failed);
    before.filter(|lexeme| lexeme.kind == LexemeKind::Atom).find_map(|lexeme| {
        let (start, word) = (lexeme.range.start, &text[lexeme.range]);
        if let Some(quoted) = word.strip_prefix('\'') {
            let inner = quoted.strip_suffix('\'').unwrap_or(quoted);
            let instead = format!("\"{inner}\"");
            return Some(Foreign {
                at: start..start + word.len(),
                message: "strings are in double quotation marks",
                instead,
            });
        }
        if word.starts_with('#') && !word.starts_with("#!") {
            let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
            let instead = format!("// {}", text[start..end].trim_start_matches('#').trim());
            return Some(Foreign { at: start..end, message: "comments start with `//`", instead });
        }
        None
    })
}
