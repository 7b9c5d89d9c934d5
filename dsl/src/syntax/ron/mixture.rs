//! `linear(2, as: "fc")`: what ron refuses to read, since a group has either names or none.

use std::ops::Range;

use super::lex::{Lexeme, LexemeKind, lexemes};

/// A call whose brackets hold arguments with and without a name.
pub(super) struct Mixture {
    /// The argument where one kind changes to the other.
    pub at: Range<usize>,
    /// The call as it is written.
    pub mended: String,
}

/// A group in round brackets while it is read.
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

    /// What goes by place, then the rest in brackets of its own.
    fn mend(&self, text: &str) -> Mixture {
        let list = |wanted: bool| {
            let entries = self.entries.iter().filter(|(_, named)| *named == wanted);
            entries.map(|(range, _)| &text[range.clone()]).collect::<Vec<_>>().join(", ")
        };
        let change = self.entries.iter().find(|(_, named)| *named != self.entries[0].1);
        let at = change.map_or(self.open..self.open + 1, |(range, _)| range.clone());
        Mixture { at, mended: format!("{}({}, ({}))", self.name, list(false), list(true)) }
    }
}
