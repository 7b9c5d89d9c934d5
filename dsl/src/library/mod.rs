//! What the language brings along: definitions written in the language itself, and the signatures of builtins, whose bodies are in
//! `lower/builtin/`.
//!
//! It is read once a process. Its spans are never shown: what goes wrong within it is reported at the call that the
//! user wrote.

use std::sync::OnceLock;

use indexmap::IndexMap;

use crate::ast::{Definition, File, Item};
use crate::diagnostic::Diagnostic;
use crate::parser::{parse, parse_signatures};
use crate::span::SourceId;

mod reference;
mod settings;

pub use reference::{Entry, entries, find, markdown};
pub(crate) use settings::SETTINGS_OF_UPDATE;
pub use settings::{SETTINGS, SETTINGS_DOCS, SettingDoc};

/// The number of the library among the modules of a program.
pub(crate) const LIBRARY: u32 = u32::MAX;

/// The files of definitions with their names.
const DEFINITIONS: &[(&str, &str)] = &[
    ("activation", include_str!("activation.dl")),
    ("initial", include_str!("initial.dl")),
    ("linear", include_str!("linear.dl")),
    ("convolution", include_str!("convolution.dl")),
    ("norm", include_str!("norm.dl")),
    ("loss", include_str!("loss.dl")),
    ("metric", include_str!("metric.dl")),
    ("optimizer", include_str!("optimizer.dl")),
    ("schedule", include_str!("schedule.dl")),
];

/// The files of builtins' signatures with their names.
const SIGNATURES: &[(&str, &str)] = &[
    ("elementwise", include_str!("builtin/elementwise.dl")),
    ("arithmetic", include_str!("builtin/arithmetic.dl")),
    ("reduction", include_str!("builtin/reduction.dl")),
    ("shape", include_str!("builtin/shape.dl")),
    ("window", include_str!("builtin/window.dl")),
    ("random", include_str!("builtin/random.dl")),
    ("list", include_str!("builtin/list.dl")),
    ("file", include_str!("builtin/file.dl")),
    ("later", include_str!("builtin/later.dl")),
];

/// The signatures of what only settings of `train` call.
const OF_SETTINGS: &str = include_str!("settings.dl");

/// The library's definitions.
#[derive(Debug)]
pub(crate) struct Library {
    /// All definitions, file after file.
    pub items: Vec<Item>,
    /// Their places by name.
    pub names: IndexMap<String, u32>,
    /// The places of what only settings of `train` call.
    pub settings: IndexMap<String, u32>,
}

type Read = fn(SourceId, &str) -> (File, Vec<Diagnostic>);

/// The library.
pub(crate) fn library() -> &'static Library {
    static LIBRARY_ITEMS: OnceLock<Library> = OnceLock::new();
    LIBRARY_ITEMS.get_or_init(|| {
        let definitions = DEFINITIONS.iter().map(|&(_, text)| (text, parse as Read));
        let signatures = SIGNATURES.iter().map(|&(_, text)| text).chain([OF_SETTINGS]);
        let signatures = signatures.map(|text| (text, parse_signatures as Read));
        let (mut items, mut ends) = (vec![], vec![]);
        for ((text, read), i) in definitions.chain(signatures).zip(0..) {
            let (file, errors) = read(SourceId(LIBRARY - i), text);
            assert!(errors.is_empty(), "a text of the library does not parse: {errors:?}");
            ends.push(items.len());
            items.extend(file.items);
        }
        let names = items.iter().zip(0..).filter_map(|(item, at)| match item {
            Item::Definition(x) => Some((x.name.name.clone(), at)),
            _ => None,
        });
        let of_settings = ends.last().map_or(0, |&end| end as u32);
        let (names, settings) = names.partition(|(_, at)| *at < of_settings);
        Library { items, names, settings }
    })
}

/// The name of the file of a definition of the library.
fn family(definition: &Definition) -> &'static str {
    let file = (LIBRARY - definition.span.source.0) as usize;
    DEFINITIONS.iter().chain(SIGNATURES).nth(file).expect("it is of one of these files").0
}
