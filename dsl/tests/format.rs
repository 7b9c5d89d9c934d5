//! The one formatting.

use dlc_dsl::format;

fn formatted(text: &str) -> String {
    let once = format(Default::default(), text).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert_eq!(format(Default::default(), &once).expect("was formatted"), once, "formatting is settled");
    once
}

#[test]
fn settles_what_is_to_be_settled() {
    insta::assert_snapshot!(formatted(include_str!("format/messy.dl")));
}

#[test]
fn leaves_faulty_texts_alone() {
    assert!(format(Default::default(), "fn f(x: [B]) = (").is_err());
}

#[test]
fn an_empty_text_stays_empty() {
    assert_eq!(formatted(""), "");
    assert_eq!(formatted("\n\n  \n"), "");
    assert_eq!(formatted("\n// only\n\n\n// comments"), "// only\n\n// comments\n");
}

#[test]
fn line_ends_of_other_systems_become_plain() {
    assert_eq!(
        formatted("dlc 1\r\nfn f(x: [B]) {\r\n\treturn x // y\r\n}"),
        "dlc 1\nfn f(x: [B]) {\n  return x  // y\n}\n"
    );
}
