//! Every code of the catalogue is one that some part of dlc reports. (That every reported code is in the catalogue,
//! [`dlc_dsl::Diagnostic`] asserts itself.)

use std::path::Path;

use dlc_dsl::diagnostic::catalogue::CODES;

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

#[test]
fn every_code_is_reported_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut text = String::new();
    for folder in ["dsl/src", "compiler/src", "runtime/src", "src"] {
        append_sources(&root.join(folder), &mut text);
    }
    for entry in CODES {
        assert!(text.contains(&format!("\"{}\"", entry.code)), "nothing reports `{}`", entry.code);
    }
}
