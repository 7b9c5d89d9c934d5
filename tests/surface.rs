//! The public surface: the names that an embedding program may use.

use std::collections::BTreeSet;

/// The names of the tour of the library, and after them the names in their signatures.
const SURFACE: &[&str] = &[
    "Compiler",
    "DType",
    "Diagnostic",
    "Error",
    "Graph",
    "Model",
    "Program",
    "Session",
    "Stage",
    "Step",
    "Tensor",
    "Tensors",
    "Trainer", //
    "Argument",
    "Level",
    "Math",
    "ParseError",
    "SessionError",
    "Snapshot",
    "Type",
];

/// The names that the statements of a crate's root make public, but for those that the documentation hides.
fn public_names(root: &str) -> BTreeSet<String> {
    let (mut names, mut hidden) = (BTreeSet::new(), false);
    let lines = root.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    for line in lines {
        if line == "#[doc(hidden)]" {
            hidden = true;
            continue;
        }
        if let Some(used) = line.strip_prefix("pub ").filter(|_| !hidden) {
            let used = used.trim_end_matches(';').trim_start_matches("use ").trim_start_matches("mod ");
            let list = match used.split_once('{') {
                Some((_, list)) => list.trim_end_matches('}'),
                None => used.rsplit("::").next().unwrap_or(used),
            };
            names.extend(list.split(',').map(|name| name.trim().to_owned()));
        }
        hidden &= line.starts_with('#');
    }
    names
}

#[test]
fn the_public_surface_is_the_list() {
    let expected: BTreeSet<String> = SURFACE.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(public_names(include_str!("../src/lib.rs")), expected);
}

#[test]
fn added_and_hidden_names_are_detected() {
    let root = "pub use a::b::{C, D};\n#[doc(hidden)]\npub use e::F;\npub mod g;\nmod h;\npub use i::J;";
    assert_eq!(public_names(root).into_iter().collect::<Vec<_>>(), ["C", "D", "J", "g"]);
}
