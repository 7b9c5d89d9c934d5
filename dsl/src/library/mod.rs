//! The standard library: definitions written in the language itself, and the signatures of builtins, which `lower/builtin/` implements.
//!
//! Its spans are never shown: an error within it is reported at the user's call.

use std::sync::OnceLock;

use indexmap::IndexMap;

use crate::ast::{Definition, Item};
use crate::parser::parse_item;
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

/// The library's definitions. Only their names are found at once; a program uses few of them, and each is parsed when it is first used.
#[derive(Debug)]
pub(crate) struct Library {
    items: Vec<LibraryItem>,
    /// Indices of definitions by name.
    pub names: IndexMap<&'static str, u32>,
    /// Indices of the functions for settings of `train`.
    pub settings: IndexMap<&'static str, u32>,
}

#[derive(Debug)]
struct LibraryItem {
    source: SourceId,
    /// Its file, up to its end.
    text: &'static str,
    /// Where it begins.
    start: usize,
    is_signature: bool,
    parsed: OnceLock<Item>,
}

impl Library {
    /// The item of an index.
    pub fn item(&self, index: u32) -> &Item {
        let LibraryItem { source, text, start, is_signature, parsed } = &self.items[index as usize];
        parsed.get_or_init(|| {
            let (item, errors) = parse_item(*source, text, *start, *is_signature);
            item.filter(|_| errors.is_empty()).unwrap_or_else(|| panic!("the library does not parse: {errors:?}"))
        })
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The definition of a name, or the function for settings.
    pub fn find(&self, name: &str) -> Option<&Item> {
        self.names.get(name).or_else(|| self.settings.get(name)).map(|&index| self.item(index))
    }
}

/// The library.
pub(crate) fn library() -> &'static Library {
    static LIBRARY_ITEMS: OnceLock<Library> = OnceLock::new();
    LIBRARY_ITEMS.get_or_init(|| {
        let definitions = DEFINITIONS.iter().map(|&(_, text)| (text, false));
        let signatures = SIGNATURES.iter().map(|&(_, text)| text).chain([OF_SETTINGS]).map(|text| (text, true));
        let mut library = Library { items: vec![], names: IndexMap::new(), settings: IndexMap::new() };
        for ((text, is_signature), file) in definitions.chain(signatures).zip(0..) {
            let source = SourceId(LIBRARY - file);
            let found = headers(text);
            for (i, &(start, name)) in found.iter().enumerate() {
                let end = found.get(i + 1).map_or(text.len(), |(next, _)| *next);
                let names = if text == OF_SETTINGS { &mut library.settings } else { &mut library.names };
                names.insert(name, library.items.len() as u32);
                let item = LibraryItem { source, text: &text[..end], start, is_signature, parsed: OnceLock::new() };
                library.items.push(item);
            }
        }
        library
    })
}

/// Where the definitions of a file of the library begin, with their documentation, and their names. A definition is what a line at
/// the margin begins with `fn` or `block`, attributes aside.
fn headers(text: &'static str) -> Vec<(usize, &'static str)> {
    let (mut found, mut at, mut docs) = (vec![], 0, None);
    for line in text.split_inclusive('\n') {
        let mut header = line;
        while header.starts_with('@') {
            header = header.split_once(' ').map_or("", |(_, rest)| rest);
        }
        let name = header.strip_prefix("fn ").or_else(|| header.strip_prefix("block "));
        if let Some(name) = name.and_then(|name| name.split('(').next()) {
            found.push((docs.unwrap_or(at), name));
        }
        docs = line.starts_with("///").then_some(docs.unwrap_or(at));
        at += line.len();
    }
    found
}

/// The file that a definition of the library is in.
fn family(definition: &Definition) -> &'static str {
    let file = (LIBRARY - definition.span.source.0) as usize;
    DEFINITIONS.iter().chain(SIGNATURES).nth(file).expect("a definition is in one of these files").0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::{parse, parse_signatures};

    /// Parsing whole files gives the same items.
    #[test]
    fn items_are_those_of_the_files() {
        let definitions = DEFINITIONS.iter().map(|&(_, text)| (text, false));
        let signatures = SIGNATURES.iter().map(|&(_, text)| text).chain([OF_SETTINGS]).map(|text| (text, true));
        let mut expected = vec![];
        for ((text, is_signature), i) in definitions.chain(signatures).zip(0..) {
            let read = if is_signature { parse_signatures } else { parse };
            let (file, errors) = read(SourceId(LIBRARY - i), text);
            assert!(errors.is_empty(), "{errors:?}");
            expected.extend(file.items);
        }
        let library = library();
        let found: Vec<&Item> = (0..library.len() as u32).map(|index| library.item(index)).collect();
        assert_eq!(found, expected.iter().collect::<Vec<_>>());
        for (&name, &index) in library.names.iter().chain(&library.settings) {
            let Item::Definition(definition) = library.item(index) else { panic!("`{name}` is no definition") };
            assert_eq!(definition.name.name, name);
        }
        assert_eq!(library.names.len() + library.settings.len(), library.len());
    }
}
