//! Syntax that RON does not have: strings in single quotation marks, comments after `#`, and `linear(2, as: "fc")`: either all
//! entries of a group have names or none has.

use std::ops::Range;

use super::lex::{Lexeme, LexemeKind, lexemes};

/// The first foreign syntax before the byte at which parsing failed, what is wrong with it, and what to write instead.
pub(super) fn foreign(text: &str, failed: usize) -> Option<(Range<usize>, &'static str, String)> {
    let before = lexemes(text).into_iter().take_while(|lexeme| lexeme.range.start <= failed);
    before.filter(|lexeme| lexeme.kind == LexemeKind::Atom).find_map(|lexeme| {
        let (start, word) = (lexeme.range.start, &text[lexeme.range]);
        if let Some(quoted) = word.strip_prefix('\'') {
            let inner = quoted.strip_suffix('\'').unwrap_or(quoted);
            let at = start..start + word.len();
            return Some((at, "strings are in double quotation marks", format!("\"{inner}\"")));
        }
        if word.starts_with('#') && !word.starts_with("#!") {
            let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
            let instead = format!("// {}", text[start..end].trim_start_matches('#').trim());
            return Some((start..end, "comments start with `//`", instead));
        }
        None
    })
}

/// A group in parentheses while it is scanned.
struct Group<'a> {
    name: &'a str,
    open: usize,
    /// Its entries, each with whether it has a name.
    entries: Vec<(Range<usize>, bool)>,
}

/// The innermost call around the byte `at` of a text that mixes positional and keyword arguments: the first argument of the other
/// kind, and how the call has to be written.
pub(super) fn mixture(text: &str, at: usize) -> Option<(Range<usize>, String)> {
    let mut lexemes = lexemes(text);
    lexemes.retain(|lexeme| lexeme.kind != LexemeKind::Comment);
    let mut open: Vec<Group> = vec![];
    let mut begins = false;
    for (i, Lexeme { kind, range }) in lexemes.iter().enumerate() {
        let sign = if let LexemeKind::Sign(sign) = kind { *sign } else { ' ' };
        if let (')' | ']' | '}', Some(group)) = (sign, open.pop_if(|_| ")]}".contains(sign))) {
            if sign == ')'
                && (group.open..range.end).contains(&at)
                && let Some(mended) = group.mend(text)
            {
                return Some(mended);
            }
        } else if let (true, Some(group)) = (begins && sign != ',', open.last_mut()) {
            let named = lexemes.get(i + 1).is_some_and(|next| next.kind == LexemeKind::Sign(':'));
            group.entries.push((range.clone(), named && *kind == LexemeKind::Name));
        }
        begins = "([{,".contains(sign);
        if begins && sign != ',' {
            let before = i.checked_sub(1).map(|before| &lexemes[before]);
            let name = before.filter(|before| before.kind == LexemeKind::Name);
            let name = name.map_or("", |name| &text[name.range.clone()]);
            open.push(Group { name, open: range.start, entries: vec![] });
        } else if let (false, Some((entry, _))) = (begins, open.last_mut().and_then(|group| group.entries.last_mut())) {
            entry.end = range.end;
        }
    }
    None
}

impl Group<'_> {
    /// The positional arguments, then the others in parentheses of their own.
    fn mend(&self, text: &str) -> Option<(Range<usize>, String)> {
        let (change, _) = self.entries.iter().find(|(_, named)| *named != self.entries[0].1)?;
        let list = |has_name: bool| {
            let entries = self.entries.iter().filter(|(_, named)| *named == has_name);
            entries.map(|(range, _)| &text[range.clone()]).collect::<Vec<_>>().join(", ")
        };
        Some((change.clone(), format!("{}({}, ({}))", self.name, list(false), list(true))))
    }
}
