//! The seven files of the tour: they are read without a fault.

use dlc_dsl::{Sources, diagnostic, format, parse};

#[test]
fn files_of_the_tour_parse() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tour");
    let mut names: Vec<_> = std::fs::read_dir(folder).expect("exists").map(|e| e.expect("readable").path()).collect();
    names.retain(|path| path.extension().is_some_and(|e| e == "dl"));
    names.sort();
    assert_eq!(names.len(), 7);
    for path in names {
        let text = std::fs::read_to_string(&path).expect("readable");
        let name = path.file_name().expect("has a name").to_string_lossy();
        let mut sources = Sources::new();
        let source = sources.add(name.clone(), text.clone());
        let (_, faults) = parse(source, &text);
        assert!(faults.is_empty(), "{}", diagnostic::render_all(&faults, &sources, false));
        // They are formatted already.
        similar(&name, &format(source, &text).expect("has no faults"), &text);
    }
}

/// Like `assert_eq`, showing the first line that differs.
fn similar(name: &str, left: &str, right: &str) {
    for (i, (l, r)) in left.lines().zip(right.lines()).enumerate() {
        assert_eq!(l, r, "{name}:{}", i + 1);
    }
    assert_eq!(left, right, "{name}");
}
