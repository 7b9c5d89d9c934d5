//! What the language brings along, for people: the library that is written in it, and the builtins below that, each with its
//! signature and a sentence.

use std::fmt::Write as _;

use crate::ast::Item;
use crate::layers::{FILES, library};
use crate::lower::builtin::{self, Builtin};
use crate::lower::settings::{SETTINGS_DOCS, SettingDoc};
use crate::print::signature_text;
use crate::resolve::LIBRARY;

/// Something that a text may use without defining or importing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// `fn`, `block`, or `builtin`, which the compiler provides.
    pub kind: &'static str,
    /// What it is about: `convolution`, `loss`.
    pub family: &'static str,
    /// How it is called. Arguments of a builtin that stand in brackets may be left out.
    pub signature: String,
    /// What it does.
    pub doc: String,
}

/// All entries, family by family: first the library, then the builtins.
pub fn entries() -> impl Iterator<Item = Entry> {
    let builtins =
        builtin::groups().into_iter().flat_map(|(family, rows)| rows.iter().map(move |b| of_builtin(family, b)));
    library().items.iter().filter_map(of_item).chain(builtins)
}

/// The entry of a name.
pub fn find(name: &str) -> Option<Entry> {
    entries().find(|entry| entry.name == name)
}

fn of_item(item: &Item) -> Option<Entry> {
    let Item::Definition(definition) = item else { return None };
    let (file, _) = FILES[(LIBRARY - definition.span.source.0) as usize];
    Some(Entry {
        name: definition.name.name.clone(),
        kind: definition.kind.word(),
        family: file.trim_end_matches(".dl"),
        signature: signature_text(definition),
        doc: definition.docs.lines.join(" "),
    })
}

fn of_builtin(family: &'static str, builtin: &Builtin) -> Entry {
    let (given, optional) = builtin.place.split_at(builtin.place.len() - builtin.optional);
    let given = given.iter().map(|name| (*name).to_owned());
    let optional = optional.iter().map(|name| format!("[{name}]"));
    let named = builtin.named.iter().map(|name| format!("[{name}: …]"));
    let arguments: Vec<String> = given.chain(optional).chain(named).collect();
    Entry {
        name: builtin.name.to_owned(),
        kind: "builtin",
        family,
        signature: format!("{}({})", builtin.name, arguments.join(", ")),
        doc: builtin.doc.to_owned(),
    }
}

/// The reference, `LIBRARY.md`.
pub fn markdown() -> String {
    let mut text = "# The library

This file is made from the library's texts (`src/layers/`) and the tables of builtins (`src/lower/builtin/`) by `dlc_dsl::library::markdown`. Edit those, not this
file, and run `DLC_BLESS=1 cargo test -p dlc-dsl --test library_md`. `dlc explain NAME` prints one entry.

A `block` may own weights, a `fn` has none, and a builtin is what the compiler provides. `=` gives an argument's value where it is left out;
builtins' arguments in brackets may be left out too. Arguments with a `:` go by name only.

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
