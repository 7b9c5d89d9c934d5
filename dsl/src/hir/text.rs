//! Texts to trees and back, with the signatures of the library, which decide what a string of a RON file is.

use std::sync::OnceLock;

use super::Program;
use crate::ast::{File, Item};
use crate::diagnostic::Diagnostic;
use crate::library::library;
use crate::parser::parse;
use crate::ron::{self, Texts};
use crate::span::{Loader, SourceId, Sources};

/// The signatures of the library, and of what settings call.
pub(super) fn signatures() -> Texts {
    static EVERYWHERE: OnceLock<Texts> = OnceLock::new();
    Texts::above(EVERYWHERE.get_or_init(|| {
        let mut texts = Texts::default();
        let library = library();
        for (name, &at) in library.settings.iter().chain(&library.names) {
            texts.add(name, &library.items[at as usize]);
        }
        texts
    }))
}

/// Reads a RON text, as [`crate::parse`] reads a `.dl` one. Strings for what it imports are taken for texts; to read them right,
/// load the file with its imports: [`crate::Program::load`], [`crate::read_file`].
pub fn parse_ron(source: SourceId, text: &str) -> (File, Vec<Diagnostic>) {
    ron::parse(source, text, &signatures())
}

/// Reads a RON text that imports these items under these names.
pub(super) fn parse_importing<'a>(
    source: SourceId,
    text: &str,
    imported: impl Iterator<Item = (&'a str, &'a Item)>,
) -> (File, Vec<Diagnostic>) {
    let mut known = signatures();
    imported.for_each(|(name, item)| known.add(name, item));
    ron::parse(source, text, &known)
}

/// The tree as a RON text: what `dlc fmt --to=ron` writes.
pub fn to_ron(file: &File) -> String {
    ron::write(file, &signatures())
}

/// The RON text in its one formatting, or the faults that keep it from being read.
///
/// # Errors
/// What is wrong with the text.
pub fn format_ron(source: SourceId, text: &str) -> Result<String, Vec<Diagnostic>> {
    crate::format::format_ron(source, text, &signatures())
}

/// Reads a text in the form that its name tells: RON if it ends with `.ron`, `.dl` otherwise.
pub fn parse_named(source: SourceId, name: &str, text: &str) -> (File, Vec<Diagnostic>) {
    if name.ends_with(".ron") { parse_ron(source, text) } else { parse(source, text) }
}

/// Everything that is wrong with a text, in the order of the text, as far as it shows without sizes. Imports go
/// through `loader`.
pub fn check(sources: &mut Sources, name: &str, text: &str, loader: &mut dyn Loader) -> Vec<Diagnostic> {
    match Program::load(name, text, loader) {
        Ok(program) => {
            *sources = program.sources;
            vec![]
        }
        Err(faults) => {
            *sources = faults.sources;
            faults.diagnostics
        }
    }
}
