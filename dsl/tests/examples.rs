//! The models under `examples/`: both forms parse without errors and are formatted.

use dlc_dsl::{Sources, diagnostic, format, format_ron, parse, parse_ron};

#[test]
fn examples_are_read_and_formatted() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("exists") {
        let path = entry.expect("readable").path();
        let ron = match path.extension().and_then(|e| e.to_str()) {
            Some("dl") => false,
            Some("ron") => true,
            _ => continue,
        };
        count += 1;
        let text = std::fs::read_to_string(&path).expect("readable");
        let name = path.file_name().expect("has a name").to_string_lossy();
        let mut sources = Sources::new();
        let source = sources.add(name.clone(), text.clone());
        let (_, errors) = if ron { parse_ron(source, &text) } else { parse(source, &text) };
        assert!(errors.is_empty(), "{}", diagnostic::render_all(&errors, &sources, false));
        let formatted = if ron { format_ron(source, &text) } else { format(source, &text) };
        assert_eq!(formatted.expect("has no errors"), text, "{name}");
    }
    assert!(count >= 7);
}
