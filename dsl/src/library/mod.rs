//! The standard library: definitions written in the language itself, and the signatures of builtins, which `lower/builtin/` implements.
//!
//! It is parsed once per process. Its spans are never shown: an error within it is reported at the user's call.

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

/// The module index of the library in every program.
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

/// The signatures of functions for settings of `train`.
const OF_SETTINGS: &str = include_str!("settings.dl");

/// The library's definitions.
#[derive(Debug)]
pub(crate) struct Library {
    pub items: Vec<Item>,
    /// Indices of definitions by name.
    pub names: IndexMap<String, u32>,
    /// Indices of the functions for settings of `train`.
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
            assert!(errors.is_empty(), "the library does not parse: {errors:?}");
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

/// The file that a definition of the library is in.
fn family(definition: &Definition) -> &'static str {
    let file = (LIBRARY - definition.span.source.0) as usize;
    DEFINITIONS.iter().chain(SIGNATURES).nth(file).expect("a definition is in one of these files").0
}
