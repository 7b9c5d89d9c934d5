//! Spans of sources.
//!
//! This crate reads no files: sources are passed in. [`Sources`] keeps them, a [`SourceId`] identifies one, and a [`Span`] is a
//! range of its bytes. A [`Loader`] finds the sources of imports.

use std::fmt;
use std::sync::Arc;

/// Identifies a source in [`Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// A range of bytes in a source. `start == end` is a position between two bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    pub source: SourceId,
    pub start: u32,
    /// Exclusive.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end` of `source`.
    pub fn new(source: SourceId, start: usize, end: usize) -> Self {
        // `Sources::add` truncates sources over 4 GiB; saturating keeps the arithmetic consistent.
        let clip = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { source, start: clip(start), end: clip(end) }
    }

    /// The smallest span that covers `self` and `other`, which are in the same source.
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

/// A value and its span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

impl<T> Spanned<T> {
    /// `value` at `span`.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// A source with its name in messages.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    /// Byte offset of each line's first byte.
    lines: Vec<u32>,
}

impl Source {
    /// The name in messages, commonly a path.
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

/// The sources of a compilation. Sources are never removed, so that spans stay valid.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Shared: every diagnostic has all of them.
    list: Vec<Arc<Source>>,
}

impl Sources {
    /// No texts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a source with its name in messages. A source of 4 GiB or more is truncated: spans are 32 bits.
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

/// Loads imported sources. The façade implements it with the file system, tests with a map.
pub trait Loader {
    /// The source at `path`, as written in the source `from`, together with its name in messages and in its own imports (commonly
    /// the path joined to `from`'s folder). The error is a message for people.
    fn load(&mut self, from: &str, path: &str) -> Result<Loaded, String>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Canonical name: two imports of one file must yield the same.
    pub name: String,
    pub text: String,
}

/// A loader without files: for sources without imports.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Loader for NoFiles {
    fn load(&mut self, _from: &str, path: &str) -> Result<Loaded, String> {
        Err(format!("cannot read `{path}`: this source has no files"))
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
