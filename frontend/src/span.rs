//! Spans of sources.
//!
//! Texts are handed in (this crate reads no files): a [`Sources`] keeps them, a [`SourceId`] names one of them,
//! and a [`Span`] names a range of its bytes. Imports reach further texts through a [`Loader`].

use std::fmt;
use std::sync::Arc;

/// Names one text in a [`Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// A range of bytes in one text. `start == end` is a place between two bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The text.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end` of `source`.
    pub fn new(source: SourceId, start: usize, end: usize) -> Self {
        // Texts over 4 GiB are refused by `Sources::add`; saturating keeps the arithmetic honest all the same.
        let clip = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { source, start: clip(start), end: clip(end) }
    }

    /// The smallest span that covers `self` and `other`, which lie in the same text.
    pub fn to(self, other: Span) -> Span {
        Span { source: self.source, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The empty span where `self` begins.
    pub fn before(self) -> Span {
        Span { end: self.start, ..self }
    }

    /// The empty span where `self` ends.
    pub fn after(self) -> Span {
        Span { start: self.end, ..self }
    }

    /// The bytes as a range.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The number of bytes.
    pub fn len(self) -> usize {
        self.range().len()
    }

    /// Whether the span covers no byte.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Whether `other` lies within `self`.
    pub fn contains(self, other: Span) -> bool {
        self.source == other.source && self.start <= other.start && other.end <= self.end
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}..{}", self.source.0, self.start, self.end)
    }
}

/// A value and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// `value` at `span`.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// One text with the name it goes by in messages.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    /// Byte offset of each line's first byte.
    lines: Vec<u32>,
}

impl Source {
    /// The name shown in messages, commonly a path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line of a byte, from 1.
    pub fn line(&self, offset: u32) -> usize {
        self.lines.partition_point(|&start| start <= offset).max(1)
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub fn position(&self, offset: u32) -> (usize, usize) {
        let line = self.line(offset) - 1;
        let start = self.lines[line] as usize;
        let mut end = (offset as usize).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        (line + 1, self.text[start..end].chars().count() + 1)
    }
}

/// Every text that one compilation has seen. Texts are never removed, so that spans stay good.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Every fault that is told has all of them.
    list: Vec<Arc<Source>>,
}

impl Sources {
    /// No texts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text under the name that messages shall use. A text of 4 GiB or more is cut off there: spans are 32 bits.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        let id = SourceId(self.list.len() as u32);
        let mut text = text.into();
        if u32::try_from(text.len()).is_err() {
            text.truncate(text.floor_char_boundary(u32::MAX as usize));
        }
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|&(_, b)| b == b'\n').map(|(i, _)| i as u32 + 1));
        self.list.push(Arc::new(Source { name: name.into(), text, lines }));
        id
    }

    /// The text with this id, if there is one.
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.list.get(id.0 as usize).map(|source| &**source)
    }

    /// The text of `id`; empty for an unknown one.
    pub fn text(&self, id: SourceId) -> &str {
        self.get(id).map_or("", Source::text)
    }

    /// The name of `id`; empty for an unknown one.
    pub fn name(&self, id: SourceId) -> &str {
        self.get(id).map_or("", Source::name)
    }

    /// The bytes under `span`; empty if they do not exist.
    pub fn slice(&self, span: Span) -> &str {
        self.text(span.source).get(span.range()).unwrap_or("")
    }

    /// `name:line:column` of the start of `span`.
    pub fn locate(&self, span: Span) -> String {
        match self.get(span.source) {
            Some(source) => {
                let (line, column) = source.position(span.start);
                format!("{}:{line}:{column}", source.name)
            }
            None => "?".to_owned(),
        }
    }

    /// All texts in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        self.list.iter().enumerate().map(|(i, source)| (SourceId(i as u32), &**source))
    }
}

/// Fetches the texts that imports name. The façade implements it with the file system, tests with a table.
pub trait Loader {
    /// The text at `path`, which is written in the text named `from`, together with the name that messages and the
    /// imports within it shall use (commonly the path joined to `from`'s folder). The error is a message for people.
    fn load(&mut self, from: &str, path: &str) -> Result<Loaded, String>;
}

/// What a [`Loader`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Canonical name: two imports of one file must yield the same.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A loader that has nothing: for texts that stand alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Loader for NoFiles {
    fn load(&mut self, _from: &str, path: &str) -> Result<Loaded, String> {
        Err(format!("`{path}` cannot be read: this text stands alone, without files beside it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let mut sources = Sources::new();
        let id = sources.add("a.dl", "äb\ncd\n");
        let at = |offset| sources.get(id).expect("was just added").position(offset);
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(2), (1, 2));
        assert_eq!(at(4), (2, 1));
        assert_eq!(at(7), (3, 1));
        assert_eq!(sources.locate(Span::new(id, 5, 6)), "a.dl:2:2");
    }
}
