//! What the language brings along, for people: the library that is written in it, and the builtins below that, each with its
//! signature and a sentence.

use std::fmt::Write as _;

use super::{SETTINGS_DOCS, SettingDoc, family, library};
use crate::ast::{Body, Item};
use crate::print::signature_text;

/// Something that a text may use without defining or importing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// `fn`, `block`, or `builtin`, which the compiler provides.
    pub kind: &'static str,
    /// What it is about: `convolution`, `loss`.
    pub family: &'static str,
    /// How it is called, with the types of its arguments.
    pub signature: String,
    /// What it does.
    pub doc: String,
}

/// All entries, family by family: first the library, then the builtins.
pub fn entries() -> impl Iterator<Item = Entry> {
    library().names.values().filter_map(|&at| of_item(&library().items[at as usize]))
}

/// The entry of a name.
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

This file is made from the library's texts (`src/library/`) by `dlc_dsl::library::markdown`. Edit those, not this file, and run
`DLC_BLESS=1 cargo test -p dlc-dsl --test library_md`. `dlc explain NAME` prints one entry.

A `block` may own weights, a `fn` has none; what stands without either word is a builtin, which the compiler provides. Arguments with a default
(`=`) may be left out and are given by keyword, the others by position; a positional one of a builtin whose type ends in `?` may be left out too.
Where a builtin takes data it also takes numbers known when compiling, and where it takes a list, one entry alone.

A formula is computed as its text says, up to rewrites that `--math` allows: with `safe`, the default, a result may round otherwise, and no
more; `compiler/ir/OPS.md` states the law.
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
