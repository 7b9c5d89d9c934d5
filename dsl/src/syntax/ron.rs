//! The RON form of a file: parses to the same tree as `.dl`, and prints it.
//!
//! A list is a pipeline, a string is an expression of the language, a call is named as in `.dl`; GRAMMAR.md defines the form. All
//! values are deserialised as borrowed `&RawValue`s, whose addresses give their spans, so that errors point into the RON source, also
//! inside of strings.
//!
//! Where a signature expects a string (a file's name, a `string` argument of a definition, also of an imported one), a RON string is
//! that text and not an expression; `text("…")` and `expr("…")` are explicit.

use crate::ast::File;
use crate::diagnostic::{Diagnostic, has_errors};
use crate::parser::MAX_DEPTH;
use crate::span::{SourceId, Span};

use lex::LexemeKind;

mod body;
mod foreign;
mod fragment;
pub(crate) mod lex;
mod raw;
mod read;
mod texts;
mod value;
mod write;

pub(crate) use write::write;

use body::is_step;
pub(crate) use texts::Texts;
use texts::{Mode, Site};

/// Parses a RON file. Its own signatures and those of `known` decide which strings are texts.
pub(crate) fn parse(source: SourceId, text: &str, known: &Texts) -> (File, Vec<Diagnostic>) {
    /// A depth that is always safe: each level of steps is up to five of RON's brackets, or a few of `.dl`.
    const SHALLOW: u32 = MAX_DEPTH / 8;
    let (file, mut diagnostics, (depth, place)) = read(source, text, known);
    // Strings are parsed one by one, but in a `.dl` file they are nested in everything around them, and printed RON nests
    // some steps a level deeper. Accept only what can be converted.
    if depth > SHALLOW && !has_errors(&diagnostics) {
        let too_deep = |errors: &[Diagnostic]| errors.iter().any(|error| error.code == "too-deep");
        if too_deep(&crate::parse(source, &crate::to_dl(&file)).1)
            || too_deep(&read(source, &write(&file, known), known).1)
        {
            diagnostics.push(raw::too_deep(place));
        }
    }
    (file, diagnostics)
}

/// Whether a RON file has the field `dlc` in its outermost parentheses, which marks it as a model. The rest may be malformed.
pub fn names_language(text: &str) -> bool {
    let mut depth = 0;
    let lexemes: Vec<_> = lex::lexemes(text).into_iter().filter(|l| l.kind != LexemeKind::Comment).collect();
    let first = lexemes.iter().find(|l| !text[l.range.clone()].starts_with("#!"));
    if first.is_none_or(|l| l.kind != LexemeKind::Sign('(')) {
        return false;
    }
    for pair in lexemes.windows(2) {
        match pair[0].kind {
            LexemeKind::Sign('(' | '[' | '{') => depth += 1,
            LexemeKind::Sign(')' | ']' | '}') => depth -= 1,
            LexemeKind::Name if depth == 1 && &text[pair[0].range.clone()] == "dlc" => {
                return pair[1].kind == LexemeKind::Sign(':');
            }
            _ => {}
        }
    }
    false
}

/// The tree and its errors, and the span of the deepest node with its depth.
fn read(source: SourceId, text: &str, known: &Texts) -> (File, Vec<Diagnostic>, (u32, Span)) {
    let mut reader = raw::Reader::new(source, text, known.clone());
    let file = reader.file();
    let deepest = reader.deepest;
    (file, reader.finish(), deepest)
}
