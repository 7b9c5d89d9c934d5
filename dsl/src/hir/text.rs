//! Parsing and printing with the signatures of the library, which decide whether a RON string is a text or an expression.

use super::Program;
use crate::ast::{File, Item};
use crate::diagnostic::Diagnostic;
use crate::library::library;
use crate::parser::parse;
use crate::ron::{self, Texts};
use crate::span::{Loader, SourceId, Sources};

/// The signatures of the library, those of functions for settings included.
pub(super) fn signatures() -> Texts {
    Texts::above(|name| library().find(name))
}

/// Parses a RON file. The signatures of its imports are unknown here, so strings passed to imported definitions are taken for texts; to parse
/// them as declared, load the file with its imports: [`crate::Program::load`], [`crate::read_file`].
pub fn parse_ron(source: SourceId, text: &str) -> (File, Vec<Diagnostic>) {
    ron::parse(source, text, &signatures())
}

/// Parses a RON file that imports these items under these names.
pub(super) fn parse_importing<'a>(
    source: SourceId,
    text: &str,
    imported: impl Iterator<Item = (&'a str, &'a Item)>,
) -> (File, Vec<Diagnostic>) {
    let mut known = signatures();
    imported.for_each(|(name, item)| known.add(name, item));
    ron::parse(source, text, &known)
}

/// Prints the tree as RON, for `dlc fmt --to=ron`.
pub fn to_ron(file: &File) -> String {
    ron::write(file, &signatures())
}

/// Formats a RON file.
///
/// # Errors
/// The syntax errors of the file.
pub fn format_ron(source: SourceId, text: &str) -> Result<String, Vec<Diagnostic>> {
    crate::format::format_ron(source, text, &signatures())
}

/// Parses RON if the name ends with `.ron`, `.dl` otherwise.
pub fn parse_named(source: SourceId, name: &str, text: &str) -> (File, Vec<Diagnostic>) {
    if name.ends_with(".ron") { parse_ron(source, text) } else { parse(source, text) }
}

/// All diagnostics of a file that do not depend on sizes, in source order. Imports are read through `loader`.
pub fn check(sources: &mut Sources, name: &str, text: &str, loader: &mut dyn Loader) -> Vec<Diagnostic> {
    let (read, diagnostics) = match Program::load(name, text, loader) {
        Ok(program) => (program.sources, vec![]),
        Err(errors) => (errors.sources, errors.diagnostics),
    };
    *sources = read;
    diagnostics
}
