//! Reports `linear(2, as: "fc")`, which RON rejects: either all entries of a group have names or none has.

use std::ops::Range;

use super::lex::{Lexeme, LexemeKind, lexemes};

/// A call that mixes positional and keyword arguments.
pub(super) struct Mixture {
    /// The first argument of the other kind.
    pub at: Range<usize>,
    /// The call as it has to be written.
    pub mended: String,
}

/// A group in parentheses while it is scanned.
struct Group<'a> {
    name: &'a str,
    open: usize,
    /// Its entries, each with whether it has a name.
    entries: Vec<(Range<usize>, bool)>,
}

/// The innermost mixture around the byte `at` of a text.
pub(super) fn mixture(text: &str, at: usize) -> Option<Mixture> {
    let mut lexemes = lexemes(text);
    lexemes.retain(|lexeme| lexeme.kind != LexemeKind::Comment);
    let mut open: Vec<Group> = vec![];
    let mut begins = false;
    for (i, Lexeme { kind, range }) in lexemes.iter().enumerate() {
        let sign = if let LexemeKind::Sign(sign) = kind { *sign } else { ' ' };
        if let (')' | ']' | '}', Some(group)) = (sign, open.pop_if(|_| ")]}".contains(sign))) {
            if sign == ')' && (group.open..range.end).contains(&at) && group.is_mixed() {
                return Some(group.mend(text));
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
    fn is_mixed(&self) -> bool {
        self.entries.iter().any(|(_, named)| *named) && self.entries.iter().any(|(_, named)| !named)
    }

    /// The positional arguments, then the others in parentheses of their own.
    fn mend(&self, text: &str) -> Mixture {
        let list = |has_name: bool| {
            let entries = self.entries.iter().filter(|(_, named)| *named == has_name);
            entries.map(|(range, _)| &text[range.clone()]).collect::<Vec<_>>().join(", ")
        };
        let change = self.entries.iter().find(|(_, named)| *named != self.entries[0].1);
        let at = change.map_or(self.open..self.open + 1, |(range, _)| range.clone());
        Mixture { at, mended: format!("{}({}, ({}))", self.name, list(false), list(true)) }
    }
}
