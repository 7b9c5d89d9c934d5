//! The seven files of the tour: they parse without errors.

use dlc_dsl::{Sources, diagnostic, format, parse, parse_ron, to_dl, to_ron};

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
        let (file, errors) = parse(source, &text);
        assert!(errors.is_empty(), "{}", diagnostic::render_all(&errors, &sources, false));
        // RON parses to the same tree.
        let ron = to_ron(&file);
        let ron_source = sources.add("printed.ron", ron.clone());
        let (again, errors) = parse_ron(ron_source, &ron);
        assert!(errors.is_empty(), "{ron}\n{}", diagnostic::render_all(&errors, &sources, false));
        assert!(again.same(&file), "{name}: {ron}");
        insta::assert_snapshot!(name.replace(".dl", "_ron"), ron);
        let dl = to_dl(&again);
        let dl_source = sources.add("printed.dl", dl.clone());
        let (back, errors) = parse(dl_source, &dl);
        assert!(errors.is_empty(), "{dl}\n{}", diagnostic::render_all(&errors, &sources, false));
        assert!(back.same(&file), "{name}: {dl}");
        insta::assert_snapshot!(name.replace(".dl", "_dl"), dl);
        // They are formatted already.
        similar(&name, &format(source, &text).expect("has no errors"), &text);
    }
}

#[test]
fn the_ron_file_of_the_tour_parses() {
    let text = include_str!("tour/mnist.ron");
    let mut sources = Sources::new();
    let source = sources.add("mnist.ron", text);
    let (file, errors) = parse_ron(source, text);
    assert!(errors.is_empty(), "{}", diagnostic::render_all(&errors, &sources, false));
    insta::assert_snapshot!("ron_as_dl", to_dl(&file));
}

/// Like `assert_eq`, showing the first line that differs.
fn similar(name: &str, left: &str, right: &str) {
    for (i, (l, r)) in left.lines().zip(right.lines()).enumerate() {
        assert_eq!(l, r, "{name}:{}", i + 1);
    }
    assert_eq!(left, right, "{name}");
}
