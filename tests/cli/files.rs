//! Files that do not fit: what is said of data, weights and artefacts.

use super::{classifier, complaint};

/// The classifier with another text in place of one that it has.
fn changed(from: &str, to: &str) -> (tempfile::TempDir, String) {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    let model = std::fs::read_to_string(&path).expect("it was written");
    assert!(model.contains(from), "{model}");
    std::fs::write(&path, model.replace(from, to)).expect("again");
    let file = path.to_str().expect("UTF-8").to_owned();
    (folder, file)
}

#[test]
fn a_column_that_is_left_out_must_be_there() {
    let (folder, file) = changed("skip: [\"label\"]", "skip: [\"Label\"]");
    let said = complaint(&folder, &["check", &file]);
    assert!(said.contains("error[unknown-column]") && said.contains("do you mean `label`?"), "{said}");
    assert!(said.contains("m.dl:3:11"), "{said}");
}
