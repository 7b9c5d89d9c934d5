//! The catalogue holds the codes that dlc reports, and no others.

use std::path::Path;

use dlc_dsl::diagnostic::catalogue::{CODES, explain};

fn append_sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("exists") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            append_sources(&path, text);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("diagnostic/catalogue.rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("readable"));
        }
    }
}

/// The Rust text of all parts of dlc.
fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut text = String::new();
    for folder in ["frontend/src", "dsl/src", "compiler/src", "runtime/src", "src"] {
        append_sources(&root.join(folder), &mut text);
    }
    text
}

#[test]
fn every_code_is_reported_somewhere() {
    let text = sources();
    for entry in CODES {
        assert!(text.contains(&format!("\"{}\"", entry.code)), "nothing reports `{}`", entry.code);
    }
}

#[test]
fn every_reported_code_is_explained() {
    let text = sources();
    let mut count = 0;
    for call in ["Diagnostic::error(", "Diagnostic::warning(", ".error("] {
        for (at, _) in text.match_indices(call) {
            // A code that is not written there comes from a call that is.
            let argument = text[at + call.len()..].trim_start().strip_prefix('"');
            let Some((code, _)) = argument.and_then(|rest| rest.split_once('"')) else { continue };
            assert!(explain(code).is_some(), "the catalogue lacks `{code}`");
            count += 1;
        }
    }
    assert!(count > 200);
}
