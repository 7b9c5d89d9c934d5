//! The form for people, rendered by annotate-snippets.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Diagnostic, Label, Severity};
use crate::span::{SourceId, Sources, Span};

pub(super) fn render(diagnostic: &Diagnostic, sources: &Sources, color: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(&diagnostic.message).id(diagnostic.code));
    for source in order_of_sources(diagnostic, sources) {
        let text = sources.text(source);
        let labels = || diagnostic.labels.iter().filter(|label| label.span.source == source);
        let lines = lines_of(labels(), text);
        let first = sources.get(source).map_or(1, |source| source.line(lines.start as u32));
        let mut snippet = Snippet::source(&text[lines.clone()]).path(sources.name(source)).line_start(first);
        for label in labels() {
            snippet = snippet.annotation(annotation(label, text, lines.start));
        }
        group = group.element(snippet);
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let drawn = renderer.render(&[group]);
    let mut out = String::with_capacity(drawn.len() + 64);
    for line in drawn.lines().filter(|line| !is_empty_gutter(line)) {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    for note in &diagnostic.notes {
        out.extend(["  ", note, "\n"]);
    }
    let (on, off) = if color { ("\u{1b}[1m\u{1b}[96m", "\u{1b}[0m") } else { ("", "") };
    for help in &diagnostic.help {
        out.extend([on, "help", off, ": ", help, "\n"]);
    }
    out
}

/// The source of the error first, then those of related locations, without duplicates.
fn order_of_sources(diagnostic: &Diagnostic, sources: &Sources) -> Vec<SourceId> {
    let mut order: Vec<SourceId> = diagnostic.span().map(|span| span.source).into_iter().collect();
    for label in &diagnostic.labels {
        if !order.contains(&label.span.source) {
            order.push(label.span.source);
        }
    }
    order.retain(|&id| sources.get(id).is_some());
    order
}

/// The lines of the labels and those between them, without the rest of the source: the renderer scans everything that it gets,
/// for each diagnostic anew. A label beyond the end gets the whole source, since only the renderer knows where to show it.
fn lines_of<'l>(labels: impl Iterator<Item = &'l Label> + Clone, text: &str) -> Range<usize> {
    let ranges = labels.map(|label| clip(label.span, text));
    let (start, end) = ranges.fold((text.len(), 0), |(start, end), range| (start.min(range.start), end.max(range.end)));
    if start > end || end >= text.len() {
        return 0..text.len();
    }
    let start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    start..text[end..].find('\n').map_or(text.len(), |at| end + at + 1)
}

/// A label on lines of a source that begin at byte `start`.
fn annotation<'a>(label: &'a Label, text: &str, start: usize) -> annotate_snippets::Annotation<'a> {
    let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
    let range = clip(label.span, text);
    let annotation = kind.span(range.start - start..range.end - start);
    if label.text.is_empty() { annotation } else { annotation.label(&label.text) }
}

/// The range clipped to the source and to character boundaries: the renderer panics on any other.
fn clip(span: Span, text: &str) -> Range<usize> {
    let start = text.floor_char_boundary(span.start as usize);
    let end = text.ceil_char_boundary(span.end as usize).max(start);
    start..end
}

/// `   |` alone: the renderer emits one such line above and below each source, without information.
fn is_empty_gutter(line: &str) -> bool {
    let mut rest = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // An escape code ends with its letter.
            chars.by_ref().find(|c| c.is_ascii_alphabetic());
        } else {
            rest.push(c);
        }
    }
    rest.trim() == "|"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_as_in_the_tour() {
        let mut sources = Sources::new();
        let text = "dlc 1\nmodel lenet(image: [B, 28, 28]) {\n  return image |> conv2d(6, 5, strides: 2) as c1\n}\n";
        let id = sources.add("lenet.dl", text);
        let find = |what: &str| {
            let start = text.find(what).expect("is in the text");
            Span::new(id, start, start + what.len())
        };
        let diagnostic = Diagnostic::error("unknown-argument", "`conv2d` has no argument `strides`")
            .primary(find("strides"), "do you mean `stride`?")
            .secondary(find("28, 28"), "one, \"two\"")
            .help("see the list of arguments")
            .fix(find("strides"), "stride");
        insta::assert_snapshot!(diagnostic.render(&sources, false));
        insta::assert_snapshot!(diagnostic.render(&sources, true).replace('\u{1b}', "ESC"));
        insta::assert_snapshot!(serde_json::to_string(&diagnostic.to_json(&sources)).expect("is plain data"));
    }

    #[test]
    fn spans_outside_the_text_are_harmless() {
        let mut sources = Sources::new();
        let id = sources.add("a.dl", "ä");
        for (start, end) in [(0, 1), (1, 1), (1, 9), (7, 9), (2, 2)] {
            let d = Diagnostic::error("unexpected-token", "m").primary(Span::new(id, start, end), "x");
            assert!(d.render(&sources, false).contains("a.dl:1"));
            d.to_json(&sources);
        }
        let nowhere = Span::new(SourceId(9), 0, 1);
        assert!(Diagnostic::error("unexpected-token", "m").primary(nowhere, "x").render(&sources, false).contains('m'));
    }
}
