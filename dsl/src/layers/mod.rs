//! The layer library, written in the language itself.
//!
//! It is read once a process. Its spans are never shown: what goes wrong within it is reported at the call that the
//! user wrote.

use std::sync::OnceLock;

use indexmap::IndexMap;

use crate::ast::Item;
use crate::resolve::LIBRARY;
use crate::span::SourceId;

/// The files of the library with their names.
pub const FILES: &[(&str, &str)] = &[
    ("activation.dl", include_str!("activation.dl")),
    ("initial.dl", include_str!("initial.dl")),
    ("linear.dl", include_str!("linear.dl")),
    ("convolution.dl", include_str!("convolution.dl")),
    ("norm.dl", include_str!("norm.dl")),
    ("loss.dl", include_str!("loss.dl")),
    ("metric.dl", include_str!("metric.dl")),
    ("optimizer.dl", include_str!("optimizer.dl")),
    ("schedule.dl", include_str!("schedule.dl")),
];

/// The library's definitions.
#[derive(Debug)]
pub(crate) struct Library {
    /// All definitions, file after file.
    pub items: Vec<Item>,
    /// Their places by name.
    pub names: IndexMap<String, u32>,
}

/// The library.
pub(crate) fn library() -> &'static Library {
    static LIBRARY_ITEMS: OnceLock<Library> = OnceLock::new();
    LIBRARY_ITEMS.get_or_init(|| {
        let mut items = vec![];
        for (i, (name, text)) in FILES.iter().enumerate() {
            let (file, faults) = crate::parse(SourceId(LIBRARY - i as u32), text);
            assert!(faults.is_empty(), "the library's {name} does not parse: {faults:?}");
            items.extend(file.items);
        }
        let names = items.iter().zip(0..).filter_map(|(item, at)| match item {
            Item::Definition(x) => Some((x.name.name.clone(), at)),
            _ => None,
        });
        let names = names.collect();
        Library { items, names }
    })
}
