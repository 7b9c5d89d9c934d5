//! The one formatting.

use dlc_dsl::{format, format_ron};

fn formatted(text: &str) -> String {
    let once = format(Default::default(), text).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(format(Default::default(), &once).expect("was formatted"), once, "formatting is settled");
    once
}

#[test]
fn formats_an_untidy_text() {
    insta::assert_snapshot!(formatted(include_str!("format/messy.dl")));
}

#[test]
fn ron_keeps_its_comments_and_line_breaks() {
    let once = format_ron(Default::default(), include_str!("format/messy.ron")).unwrap_or_else(|f| panic!("{f:?}"));
    assert_eq!(format_ron(Default::default(), &once).expect("was formatted"), once, "formatting is settled");
    insta::assert_snapshot!(once);
}

#[test]
fn rejects_sources_with_errors() {
    assert!(format(Default::default(), "fn f(x: [B]) = (").is_err());
    assert!(format_ron(Default::default(), "(model: (name: \"m\", body: [)").is_err());
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

/// The text means the same with and without them.
#[test]
fn brackets_around_named_calls_go() {
    for (text, expected) in [
        ("x + (linear(h, D) as o)", "x + linear(h, D) as o"),
        ("((f(x) as a)) + (g(x, (1 + 2)) as \"b.c\") ** 2", "f(x) as a + g(x, (1 + 2)) as \"b.c\" ** 2"),
        ("-(f(x) as _)", "-f(x) as _"),
        ("(f(x) as a) |> g", "f(x) as a |> g"),
        ("f((g(x) as a), b: (h(x) as c))", "f(g(x) as a, b: h(x) as c)"),
        // these are needed
        ("(f(x) as a).T", "(f(x) as a).T"),
        ("(f(x) as a)[0]", "(f(x) as a)[0]"),
        ("(f(x) as a, g(x))", "(f(x) as a, g(x))"),
        ("(f(x) + 1)", "(f(x) + 1)"),
        ("(x |> f as a) + 1", "(x |> f as a) + 1"),
        ("(\n    f(x) as a\n  )", "(\n    f(x) as a\n  )"),
        ("(f(x) as a // here\n  )", "(f(x) as a  // here\n  )"),
    ] {
        let body = |expr: &str| format!("fn m(x: [B]) {{\n  return {expr}\n}}\n");
        let tree = |text: &str| dlc_dsl::to_ron(&dlc_dsl::parse(Default::default(), text).0);
        assert_eq!(formatted(&body(text)), body(expected));
        assert_eq!(tree(&body(text)), tree(&body(expected)), "{text}");
        let printed = dlc_dsl::to_dl(&dlc_dsl::parse(Default::default(), &body(text)).0);
        assert_eq!(tree(&printed), tree(&body(expected)), "{printed}");
    }
}

/// Settings are one a line, or several on one line with commas between them.
#[test]
fn settings_on_one_line_have_commas_between_them() {
    let text = "train m { data = d(), epochs = 2, update \"a.**\" { loss = x, optimizer = sgd(lr: 1), every = 2 } }\n";
    let lines = "train m {\n  data = d()\n  epochs = 2\n  update \"a.**\" {\n    loss = x\n    optimizer = sgd(lr: 1)\n    every = 2\n  }\n}\n";
    let tree = |text: &str| {
        let (file, errors) = dlc_dsl::parse(Default::default(), text);
        assert!(errors.is_empty(), "{errors:?}");
        file
    };
    assert!(tree(text).same(&tree(lines)));
    assert_eq!(dlc_dsl::format(Default::default(), text).expect("it is right"), text);
    assert!(!dlc_dsl::parse(Default::default(), "fn f() { let a = 1, let b = 2 return a }\n").1.is_empty());
}
