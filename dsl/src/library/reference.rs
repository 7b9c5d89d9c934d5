//! The reference of the library and the builtins, each with its signature and a sentence: LIBRARY.md and `dlc explain`.

use std::fmt::Write as _;

use super::{SETTINGS_DOCS, SettingDoc, family, library};
use crate::ast::{Body, Item};
use crate::print::signature_text;

/// A definition that needs no import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// `fn`, `block` or `builtin`.
    pub kind: &'static str,
    /// Its section of the reference: `convolution`, `loss`.
    pub family: &'static str,
    /// Its signature.
    pub signature: String,
    pub doc: String,
}

/// All entries by family: first the library, then the builtins.
pub fn entries() -> impl Iterator<Item = Entry> {
    library().names.values().filter_map(|&at| of_item(library().item(at)))
}

/// The entry with this name.
pub fn find(name: &str) -> Option<Entry> {
    entries().find(|entry| entry.name == name)
}

fn of_item(item: &Item) -> Option<Entry> {
    let Item::Definition(definition) = item else { return None };
    Some(Entry {
        name: definition.name.name.clone(),
        kind: if definition.body == Body::Builtin { "builtin" } else { definition.kind.word() },
        family: family(definition),
        signature: signature_text(definition),
        doc: definition.docs.lines.join(" "),
    })
}

/// The reference, `LIBRARY.md`.
pub fn markdown() -> String {
    let mut text = "# The library

This file is generated from the library's sources (`src/library/`) by `dlc_dsl::library::markdown`. Edit those, not this file, and run
`DLC_BLESS=1 cargo test -p dlc-dsl --test library_md`. `dlc explain NAME` prints one entry.

A `block` may have weights, a `fn` has none; an entry with neither keyword is a builtin, which the compiler implements. Arguments with a default
(`=`) are optional keyword arguments, the others are positional; a positional argument of a builtin whose type ends in `?` is optional too.
A builtin that takes data also takes numbers known at compile time, and one that takes a list, a single entry.

A formula is evaluated as written, up to the rewrites that `--math` allows: with `safe`, the default, a result may be rounded differently, but nothing
else changes; `compiler/ir/OPS.md` has the rules.
"
    .to_owned();
    let mut family = "";
    for entry in entries() {
        if entry.family != family {
            family = entry.family;
            let _ = write!(text, "\n## {family}\n\n| | |\n| --- | --- |\n");
        }
        // a table's row is one line, and a bar would end its cell
        let signature = entry.signature.split_whitespace().collect::<Vec<_>>().join(" ");
        let signature = signature.replace("( ", "(").replace(", )", ")");
        let _ = writeln!(text, "| `{}` | {} |", signature.replace('|', "\\|"), entry.doc.replace('|', "\\|"));
    }
    text.push_str("\n## settings of `train`\n\n| | | values | default | example |\n| --- | --- | --- | --- | --- |\n");
    for SettingDoc { name, doc, values, default, example } in SETTINGS_DOCS {
        let _ = writeln!(text, "| `{name}` | {doc} | {values} | {default} | `{example}` |");
    }
    text
}
