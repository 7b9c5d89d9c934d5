//! The RON form of a file: the same tree as from `.dl`, and back.
//!
//! A list is a pipeline, a string is an expression of the language, a call has the words of `.dl`. GRAMMAR.md says
//! it all. Everything is read by serde through borrowed `&RawValue`s, whose addresses tell where they stand, so that
//! faults point into the RON text, also inside of strings.
//!
//! Where a string is wanted (a file's name, a `string` argument of a definition in the same file), a RON string is that
//! text and not an expression; `text("…")` and `expr("…")` say outright which is meant.

use std::collections::BTreeMap;

use crate::ast::{Definition, File, Item, Param, Type, TypeKind};
use crate::diagnostic::{Diagnostic, has_errors};
use crate::parser::MAX_DEPTH;
use crate::span::{SourceId, Span};

use lex::LexemeKind;

mod body;
mod fragment;
pub(crate) mod lex;
mod mixture;
mod raw;
mod read;
mod value;
mod write;

pub use write::to_ron;

/// Reads a RON text, as [`crate::parse`] reads a `.dl` one.
pub fn parse_ron(source: SourceId, text: &str) -> (File, Vec<Diagnostic>) {
    /// How deep a text may lie for certain: each level of steps is up to five of RON's brackets, or a few of `.dl`.
    const SHALLOW: u32 = MAX_DEPTH / 8;
    let (file, mut diagnostics, (depth, place)) = read(source, text);
    // Strings are read one by one, but in a `.dl` file they would stand within everything around, and in the RON that is written
    // some steps take a level more. What is read here can be converted.
    if depth > SHALLOW && !has_errors(&diagnostics) {
        let too_deep = |faults: &[Diagnostic]| faults.iter().any(|fault| fault.code == "too-deep");
        if too_deep(&crate::parse(source, &crate::to_dl(&file)).1) || too_deep(&read(source, &to_ron(&file)).1) {
            diagnostics.push(raw::too_deep(place));
        }
    }
    (file, diagnostics)
}

/// Whether a RON text names the language that it is in, by a field `dlc` of its outermost brackets. What follows may be wrong.
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

/// The tree and its faults, and the deepest place with the number of levels that it lies below the outermost.
fn read(source: SourceId, text: &str) -> (File, Vec<Diagnostic>, (u32, Span)) {
    let mut reader = raw::Reader::new(source, text);
    let file = reader.file();
    let deepest = reader.deepest;
    (file, reader.finish(), deepest)
}

/// Whether a RON string at some place is a text or an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Text,
    Expr,
}

/// Names of steps that are no calls; a definition of such a name is called through `call("name", …)`.
const STEPS: &[&str] = &[
    "let",
    "set",
    "layer",
    "param",
    "state",
    "assert",
    "if",
    "cond",
    "repeat",
    "scan",
    "while",
    "return",
    "yield",
    "attributes",
    "doc",
    "call",
    "text",
    "expr",
];

/// Arguments of the library that take text, with their place if they may go without a name.
const LIBRARY_TEXTS: &[(&str, &str, Option<usize>)] = &[
    ("idx", "file", Some(0)),
    ("npy", "file", Some(0)),
    ("npz", "file", Some(0)),
    ("csv", "file", Some(0)),
    ("images", "file", Some(0)),
    ("corpus", "file", Some(0)),
    ("safetensors", "file", Some(0)),
    ("safetensors", "skip", None),
    ("safetensors", "rename", None),
    ("safetensors", "prefix", None),
    ("safetensors", "transpose", None),
    ("best", "score", Some(0)),
    ("best", "better", None),
];

/// Settings of `train` that take text.
const TEXT_SETTINGS: &[&str] = &["trainable"];

/// Which arguments of which definitions take text.
#[derive(Debug, Default)]
struct Texts {
    /// By name of the definition: its arguments, and whether each takes text.
    own: BTreeMap<String, Vec<(String, bool)>>,
}

impl Texts {
    fn of(file: &File) -> Self {
        let mut texts = Self::default();
        for item in &file.items {
            match item {
                Item::Definition(Definition { name, params, .. }) => texts.add(name, params),
                Item::Dataset(dataset) => texts.add(&dataset.name, &dataset.params),
                Item::Import(_) | Item::Train(_) => {}
            }
        }
        texts
    }

    fn add(&mut self, name: &str, params: &[Param]) {
        let params = params.iter().map(|param| (param.name.name.clone(), takes_text(&param.ty)));
        self.own.insert(name.to_owned(), params.collect());
    }

    fn named(&self, callee: &str, argument: &str) -> Mode {
        let text = match self.own.get(callee) {
            Some(params) => params.iter().any(|(name, text)| *text && name == argument),
            None => LIBRARY_TEXTS.iter().any(|(name, arg, _)| *name == callee && *arg == argument),
        };
        if text { Mode::Text } else { Mode::Expr }
    }

    fn placed(&self, callee: &str, place: usize) -> Mode {
        let text = match self.own.get(callee) {
            Some(params) => params.get(place).is_some_and(|(_, text)| *text),
            None => LIBRARY_TEXTS.iter().any(|(name, _, at)| *name == callee && *at == Some(place)),
        };
        if text { Mode::Text } else { Mode::Expr }
    }

    fn setting(name: &str) -> Mode {
        if TEXT_SETTINGS.contains(&name) { Mode::Text } else { Mode::Expr }
    }
}

fn takes_text(ty: &Type) -> bool {
    match &ty.kind {
        TypeKind::Value { name, of: None, .. } => name.name == "string",
        TypeKind::Value { name, of: Some(of), .. } => name.name == "list" && takes_text(of),
        TypeKind::Data { .. } => false,
    }
}
