//! RON strings and the fragments of the language in them, with spans in the RON source.

use super::raw::{Raw, Reader, Shape};
use crate::ast::*;
use crate::lexer::Word;
use crate::parser::{Parsed, Parser};
use crate::span::Span;

/// A decoded string that maps each byte to its offset in the source.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub value: String,
    pub span: Span,
    /// Whether it is a raw string, without escapes.
    plain: bool,
    /// Pairs of an offset in `value` and in the source; between two entries both advance alike.
    places: Vec<(usize, usize)>,
}

impl Text {
    fn place(&self, at: usize) -> usize {
        let i = self.places.partition_point(|(decoded, _)| *decoded <= at).saturating_sub(1);
        let (decoded, raw) = self.places[i];
        raw + (at - decoded)
    }

    fn map(&self, span: &mut Span) {
        let (start, end) = (self.place(span.start as usize), self.place(span.end as usize));
        *span = Span::new(self.span.source, start, end.max(start));
    }
}

impl<'a> Reader<'a> {
    /// A string.
    pub fn text(&mut self, raw: Raw<'a>, what: &str) -> Option<Text> {
        self.expect(raw, Shape::Str, what)?;
        // The file has parsed as RON, so this should not fail; an error is still better than a panic.
        let Ok(value) = ron::from_str::<String>(raw.text) else { return self.wrong(raw, what) };
        let plain = raw.text.starts_with('r');
        let (mut decoded, mut at) = (0, raw.text.find('"').unwrap_or(0) + 1);
        let mut places = vec![(0, raw.start + at)];
        while !plain && decoded < value.len() {
            let (from, to) = character(&raw.text[at..]);
            at += from;
            decoded += to;
            if from != to {
                places.push((decoded, raw.start + at));
            }
        }
        Some(Text { value, span: self.span(raw), plain, places })
    }

    /// Parses `text` as a fragment of the language.
    pub fn fragment<T: Spans>(
        &mut self,
        text: &Text,
        parse: impl for<'b> FnOnce(&mut Parser<'b>) -> Parsed<T>,
    ) -> Option<T> {
        let mut parser = Parser::fragment(self.source, &text.value);
        let parsed = parse(&mut parser);
        self.finish_fragment(text, parser, parsed)
    }

    /// A string as a fragment of the language.
    pub fn parsed<T: Spans>(
        &mut self,
        raw: Raw<'a>,
        what: &str,
        parse: impl for<'b> FnOnce(&mut Parser<'b>) -> Parsed<T>,
    ) -> Option<T> {
        let text = self.text(raw, what)?;
        self.fragment(&text, parse)
    }

    /// Parses `text` as the inside of a string of the language.
    pub fn string_body(&mut self, text: &Text) -> Option<Str> {
        let mut parser = Parser::string_body(self.source, &text.value);
        let parsed = parser.string();
        self.finish_fragment(text, parser, parsed)
    }

    fn finish_fragment<T: Spans>(&mut self, text: &Text, parser: Parser<'_>, parsed: Parsed<T>) -> Option<T> {
        self.reached(parser.reach(), text.span);
        let (mut result, errors) = parser.finish_fragment(parsed);
        result.each_span(&mut |span| text.map(span));
        for mut error in errors {
            error.labels.iter_mut().for_each(|label| text.map(&mut label.span));
            for fix in &mut error.fixes {
                text.map(&mut fix.span);
                if !text.plain {
                    fix.text = fix.text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                }
            }
            self.report(error);
        }
        result
    }

    pub fn expr_in(&mut self, raw: Raw<'a>, what: &str) -> Option<Expr> {
        self.parsed(raw, what, |p| p.expr())
    }

    /// A new name: lower case, no reserved word.
    pub fn name_in(&mut self, raw: Raw<'a>, what: &str) -> Option<Ident> {
        self.parsed(raw, what, |p| p.new_name(what))
    }

    /// A reference to a name.
    pub fn reference_in(&mut self, raw: Raw<'a>, what: &str) -> Option<Ident> {
        self.parsed(raw, what, |p| p.name(what))
    }

    /// Checks that an identifier of RON is a name of the language too.
    pub fn reference(&mut self, name: &Ident, what: &str) -> Option<Ident> {
        let places = vec![(0, name.span.start as usize)];
        let text = Text { value: name.name.clone(), span: name.span, plain: true, places };
        self.fragment(&text, |p| p.name(what))
    }

    pub fn docs_in(&mut self, raw: Raw<'a>) -> Docs {
        let text = self.text(raw, "the documentation, a string");
        Docs { lines: text.map_or(vec![], |text| text.value.lines().map(|line| line.trim_end().to_owned()).collect()) }
    }

    pub fn attributes_in(&mut self, raw: Raw<'a>) -> Vec<Attribute> {
        let list = self.list(raw, "a list of attributes, like `[\"allow(unused_parameter)\"]`").unwrap_or_default();
        let what = "an attribute, like `\"allow(unused_parameter)\"`";
        list.into_iter().filter_map(|raw| self.parsed(raw, what, |p| p.attribute())).collect()
    }

    /// The name after `as`: a plain name, `_`, or a verbatim text.
    pub fn instance_name_in(&mut self, raw: Raw<'a>) -> Option<InstanceName> {
        let span = self.span(raw);
        if raw.shape() == Shape::Call("text") {
            let inner = self.only_argument(raw, "text")?;
            let text = self.text(inner, "a name")?;
            return Some(InstanceName { kind: InstanceNameKind::Text(self.string_body(&text)?), span });
        }
        let text = self.text(raw, "a name in the tree of weights, a string")?;
        let kind = if text.value == "_" {
            InstanceNameKind::Inline
        } else if is_plain_name(&text.value) {
            InstanceNameKind::Word(text.value)
        } else {
            InstanceNameKind::Text(self.string_body(&text)?)
        };
        Some(InstanceName { kind, span })
    }
}

/// Whether `as` parses this as a plain name.
pub(super) fn is_plain_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && Word::of(text).is_none()
}

/// The length of the first character inside of a RON string, as written and decoded.
fn character(text: &str) -> (usize, usize) {
    let mut chars = text.chars();
    let first = chars.next().unwrap_or('\0');
    if first != '\\' {
        return (first.len_utf8(), first.len_utf8());
    }
    let code = |digits: &str| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).map_or(1, char::len_utf8);
    match chars.next() {
        Some('x') => (4, code(text.get(2..4).unwrap_or("0"))),
        Some('u') => {
            let end = text.find('}').unwrap_or(text.len() - 1);
            (end + 1, code(text.get(3..end).unwrap_or("0")))
        }
        _ => (2, 1),
    }
}
