//! LIBRARY.md is generated from the library.

use std::path::Path;

use dlc_dsl::library;

#[test]
fn library_md_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("LIBRARY.md");
    let made = library::markdown();
    if std::env::var_os("DLC_BLESS").is_some() {
        std::fs::write(&path, &made).expect("LIBRARY.md can be written");
    }
    let kept = std::fs::read_to_string(&path).expect("LIBRARY.md can be read");
    let difference = kept.lines().zip(made.lines()).enumerate().find(|(_, (a, b))| a != b);
    assert!(kept == made, "LIBRARY.md differs from the library, first at {difference:?}; DLC_BLESS=1 writes it anew");
}

#[test]
fn every_entry_is_documented_and_found_by_its_name() {
    for entry in library::entries() {
        assert!(entry.doc.ends_with('.'), "{}: {}", entry.name, entry.doc);
        assert!(entry.signature.contains(&format!("{}(", entry.name)), "{entry:?}");
        assert_eq!(library::find(&entry.name), Some(entry));
    }
    assert!(library::find("conv3d").is_none());
}
