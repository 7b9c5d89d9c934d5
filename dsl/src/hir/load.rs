//! A whole text at once: what `dlc check` and the tests of messages run.

use crate::ast::File;
use crate::diagnostic::Diagnostic;
use crate::span::{Loader, SourceId, Sources};
use crate::{Program, parse, parse_ron};

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
