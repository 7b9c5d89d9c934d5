//! RON values with their spans: the layer between serde and the tree.

use std::fmt;
use std::ops::Range;

use ron::extensions::Extensions;
use ron::value::RawValue;
use rustc_hash::FxHashMap;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Texts;
use super::foreign::{foreign, mixture};
use super::lex::{name_length, skip_blank, trim, unclosed};
use crate::ast::Ident;
use crate::diagnostic::{Diagnostic, did_you_mean, tidy};
use crate::parser::MAX_DEPTH;
use crate::span::{SourceId, Span};

/// A value, not yet deserialised.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a> {
    pub text: &'a str,
    /// Its offset in the source.
    pub start: usize,
}

impl<'a> Raw<'a> {
    /// The form of the value, from its first characters.
    pub fn shape(self) -> Shape<'a> {
        let text = self.text;
        let bytes = text.as_bytes();
        match bytes.first() {
            Some(b'"') => Shape::Str,
            Some(b'r') if bytes.get(1) == Some(&b'"') || text.starts_with("r#\"") || text.starts_with("r##") => {
                Shape::Str
            }
            Some(b'[') => Shape::List,
            Some(b'{') => Shape::Map,
            Some(b'(') => {
                let inside = skip_blank(text, 1);
                let name = name_length(&text[inside..]);
                let after = skip_blank(text, inside + name);
                let named = name > 0 && text[after..].starts_with(':') && !text[after..].starts_with("::");
                if named || text[inside..].starts_with(')') { Shape::Fields } else { Shape::Tuple }
            }
            Some(b'0'..=b'9' | b'+' | b'-' | b'.') => Shape::Number,
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => match &text[..name_length(text)] {
                "true" => Shape::Bool(true),
                "false" => Shape::Bool(false),
                "None" => Shape::Null,
                "b" if text[1..].starts_with(['"', '\'']) => Shape::Other,
                name => Shape::Call(name),
            },
            _ => Shape::Other,
        }
    }
}

/// The syntactic form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape<'a> {
    Str,
    List,
    Map,
    /// `(a: 1)` or `()`.
    Fields,
    /// `(1, 2)`.
    Tuple,
    /// `name` or `name(…)`, with the name.
    Call(&'a str),
    Number,
    Bool(bool),
    Null,
    /// A character or byte string, which is never valid here.
    Other,
}

impl Shape<'_> {
    pub fn describe(self) -> &'static str {
        match self {
            Shape::Str => "a string",
            Shape::List => "a list",
            Shape::Map => "a map",
            Shape::Fields => "a group of fields",
            Shape::Tuple => "a tuple",
            Shape::Call(_) => "a call",
            Shape::Number => "a number",
            Shape::Bool(_) => "`true` or `false`",
            Shape::Null => "`None`",
            Shape::Other => "a character or bytes",
        }
    }
}

pub(super) struct Reader<'a> {
    pub source: SourceId,
    pub root: &'a str,
    pub texts: Texts,
    /// Whether `yield` is within a `scan`.
    pub in_scan: bool,
    pub diagnostics: Vec<Diagnostic>,
    depth: u32,
    /// The deepest level so far, and its span.
    pub deepest: (u32, Span),
}

/// Collects the entries of a group of this shape: values as they are written, each with the key before it, if there is one.
struct Entries(Shape<'static>);

impl<'de> DeserializeSeed<'de> for Entries {
    type Value = Vec<(&'de str, &'de str)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            Shape::List => deserializer.deserialize_seq(self),
            Shape::Map => deserializer.deserialize_map(self),
            Shape::Tuple => deserializer.deserialize_tuple(0, self),
            _ => deserializer.deserialize_struct("", &[], self),
        }
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(&'de str, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.describe())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut entries = vec![];
        while let Some(value) = seq.next_element::<&RawValue>()? {
            entries.push(("", value.get_ron()));
        }
        Ok(entries)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = vec![];
        loop {
            let key = match self.0 {
                Shape::Map => map.next_key::<&RawValue>()?.map(RawValue::get_ron),
                _ => map.next_key::<&str>()?,
            };
            let Some(key) = key else { return Ok(entries) };
            entries.push((key, map.next_value::<&RawValue>()?.get_ron()));
        }
    }
}

impl<'a> Reader<'a> {
    pub fn new(source: SourceId, root: &'a str, texts: Texts) -> Self {
        Self { source, root, texts, in_scan: false, diagnostics: vec![], depth: 0, deepest: (0, Span::default()) }
    }

    pub fn finish(mut self) -> Vec<Diagnostic> {
        tidy(&mut self.diagnostics);
        self.diagnostics
    }

    /// Parses a level deeper.
    pub fn deeper<T>(&mut self, raw: Raw<'a>, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= MAX_DEPTH {
            return self.fail(too_deep(self.span(raw)));
        }
        self.depth += 1;
        self.reached(0, self.span(raw));
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Records a node at this many levels below the current one.
    pub fn reached(&mut self, levels: u32, span: Span) {
        let depth = self.depth.saturating_add(levels);
        if depth > self.deepest.0 {
            self.deepest = (depth, span);
        }
    }

    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports an error in a value, which is missing then.
    pub fn fail<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.report(diagnostic);
        None
    }

    pub fn span(&self, raw: Raw<'_>) -> Span {
        Span::new(self.source, raw.start, raw.start + raw.text.len())
    }

    /// The entries of a group of this shape; in a list or a tuple, the keys are empty.
    fn entries_of(&mut self, raw: Raw<'a>, shape: Shape<'static>) -> Option<Vec<(Raw<'a>, Raw<'a>)>> {
        let options = ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME);
        match options.from_str_seed(raw.text, Entries(shape)) {
            Ok(entries) => Some(entries.into_iter().map(|(key, value)| (self.at(key), self.at(value))).collect()),
            Err(error) => self.syntax_error(raw, &error),
        }
    }

    fn syntax_error<T>(&mut self, raw: Raw<'a>, error: &ron::error::SpannedError) -> Option<T> {
        use ron::Error::*;
        let (start, end) = (offset(raw.text, error.span.start), offset(raw.text, error.span.end));
        let part = |at: Range<usize>| Span::new(self.source, raw.start + at.start, raw.start + at.end);
        let span = part(start..end.max(start));
        let at_end = matches!(error.code, Eof) || start >= raw.text.trim_end().len();
        let open = if at_end { unclosed(raw.text) } else { None };
        if let Some((at, closing)) = open {
            let error = Diagnostic::error("unclosed-bracket", format!("unclosed `{}`", &raw.text[at..=at]));
            return self.fail(error.primary(part(at..at + 1), format!("expected a matching `{closing}`")));
        }
        if let Some((at, message, instead)) = foreign(raw.text, end.max(start)) {
            let error =
                Diagnostic::error("ron-syntax", message).primary(part(at.clone()), format!("write `{instead}`"));
            return self.fail(error.fix(part(at), instead));
        }
        if let Some((at, mended)) = mixture(raw.text, start) {
            let message = "positional and keyword arguments need separate parentheses";
            let error = Diagnostic::error("ron-syntax", message).primary(part(at), format!("write `{mended}`"));
            return self.fail(error);
        }
        let message = match &error.code {
            // `RawValue` fails on deep nesting with an unspecific error.
            ExceededRecursionLimit | ExpectedRawValue => return self.fail(too_deep(span)),
            Eof => "unclosed bracket at the end of the input".to_owned(),
            TrailingCharacters => "unexpected characters after the last bracket".to_owned(),
            ExpectedStructLike | ExpectedNamedStructLike(_) => "expected `(`".to_owned(),
            ExpectedComma => "expected `,` or the closing bracket".to_owned(),
            ExpectedStructLikeEnd => "expected `,` or `)`".to_owned(),
            ExpectedArrayEnd => "expected `,` or `]`".to_owned(),
            ExpectedMapEnd => "expected `,` or `}`".to_owned(),
            ExpectedMapColon => "expected `:`".to_owned(),
            ExpectedStringEnd => "unterminated string".to_owned(),
            ExpectedIdentifier => "expected the name of a field".to_owned(),
            InvalidEscape(what) => format!("unknown escape: {what}"),
            UnexpectedChar(c) => format!("unexpected character `{c}`"),
            UnclosedBlockComment => "unterminated comment".to_owned(),
            other => other.to_string(),
        };
        self.fail(Diagnostic::error("ron-syntax", message).primary(span, "valid RON up to here"))
    }

    /// A borrowed part of the source, without the blanks and comments around it.
    fn at(&self, text: &'a str) -> Raw<'a> {
        // not `RawValue::trim`, which parses the value again at every level
        let text = trim(text);
        let start = (text.as_ptr() as usize).wrapping_sub(self.root.as_ptr() as usize);
        Raw { text, start: if start <= self.root.len() { start } else { 0 } }
    }

    pub fn list(&mut self, raw: Raw<'a>, what: &str) -> Option<Vec<Raw<'a>>> {
        self.expect(raw, Shape::List, what)?;
        Some(self.entries_of(raw, Shape::List)?.into_iter().map(|(_, value)| value).collect())
    }

    pub fn tuple(&mut self, raw: Raw<'a>) -> Option<Vec<Raw<'a>>> {
        Some(self.entries_of(raw, Shape::Tuple)?.into_iter().map(|(_, value)| value).collect())
    }

    pub fn map(&mut self, raw: Raw<'a>, what: &str) -> Option<Vec<(Raw<'a>, Raw<'a>)>> {
        self.expect(raw, Shape::Map, what)?;
        self.entries_of(raw, Shape::Map)
    }

    pub fn fields(&mut self, raw: Raw<'a>) -> Option<Vec<(Ident, Raw<'a>)>> {
        let list = self.entries_of(raw, Shape::Fields)?.into_iter();
        let list: Vec<_> = list.map(|(name, value)| (Ident::new(name.text, self.span(name)), value)).collect();
        let mut seen: FxHashMap<&str, Span> = FxHashMap::default();
        for (name, _) in &list {
            match seen.get(name.name.as_str()) {
                None => drop(seen.insert(&name.name, name.span)),
                Some(&first) => self.report(
                    Diagnostic::error("duplicate-field", format!("duplicate field `{}`", name.name))
                        .primary(name.span, "second occurrence")
                        .secondary(first, "first occurrence"),
                ),
            }
        }
        Some(list)
    }

    /// The fields of a group that may only have `known` ones.
    pub fn record(&mut self, raw: Raw<'a>, of: &str, known: &[&str]) -> Option<Record<'a>> {
        let fields = self.fields(raw)?.into_iter();
        let (fields, unknown): (Vec<_>, Vec<_>) = fields.partition(|(name, _)| known.contains(&name.name.as_str()));
        for (name, _) in unknown {
            let error = Diagnostic::error("unknown-field", format!("{of} has no field `{}`", name.name));
            self.report(match did_you_mean(&name, known.iter().copied()) {
                Some(meant) => error.primary(name.span, format!("do you mean `{meant}`?")).fix(name.span, meant),
                None => error.primary(name.span, "").help(format!("its fields are {}", known.join(", "))),
            });
        }
        Some(Record(fields))
    }

    pub fn expect(&mut self, raw: Raw<'a>, shape: Shape<'static>, what: &str) -> Option<()> {
        let found = raw.shape();
        if found == shape {
            return Some(());
        }
        if shape == Shape::Str && found == Shape::Call(raw.text) {
            return self.unquoted(raw, "write");
        }
        self.wrong(raw, what)
    }

    /// Reports a name without quotation marks; `advice` introduces the fix.
    pub fn unquoted<T>(&mut self, raw: Raw<'a>, advice: &str) -> Option<T> {
        let (name, span) = (raw.text, self.span(raw));
        self.fail(
            Diagnostic::error("ron-type", format!("missing quotation marks around `{name}`"))
                .primary(span, format!("{advice} `\"{name}\"`"))
                .fix(span, format!("\"{name}\"")),
        )
    }

    /// Reports that `raw` is not `what`.
    pub fn wrong<T>(&mut self, raw: Raw<'a>, what: &str) -> Option<T> {
        let message = format!("expected {what}, found {}", raw.shape().describe());
        self.fail(Diagnostic::error("ron-type", message).primary(self.span(raw), ""))
    }
}

/// The fields of a group in parentheses.
pub(super) struct Record<'a>(pub Vec<(Ident, Raw<'a>)>);

impl<'a> Record<'a> {
    /// The values of a field: at most one, except after the error that it is repeated.
    pub fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = Raw<'a>> {
        self.0.iter().filter(move |(field, _)| field.name == name).map(|(_, value)| *value)
    }
}

pub fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error("too-deep", format!("nested more than {MAX_DEPTH} levels deep"))
        .primary(span, "name parts of it with `let`")
}

/// The offset of a position that ron reports.
fn offset(text: &str, position: ron::error::Position) -> usize {
    let start: usize = text.split_inclusive('\n').take(position.line.saturating_sub(1)).map(str::len).sum();
    let line = &text[start..];
    start + line.char_indices().nth(position.col.saturating_sub(1)).map_or(line.len(), |(at, _)| at)
}
