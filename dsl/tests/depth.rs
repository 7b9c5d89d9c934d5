//! Texts of twenty thousand levels.

#[test]
fn depth_is_an_error_and_not_an_overflow() {
    let deep = |open: &str, close: &str| format!("fn f(x: [B]) = {}x{}\n", open.repeat(20_000), close.repeat(20_000));
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{ 1: ", " }"),
        ("f(", ")"),
        ("x[", "]"),
        ("-", ""),
        ("not ", ""),
        ("if a { ", " } else { 1 }"),
        ("x + ", ""),
        ("x ** ", ""),
        ("", " + x"),
        ("", "[0]"),
        ("", ".T"),
        ("\"{", "}\""),
        ("(x |> f) + (", ")"),
    ] {
        let text = deep(open, close);
        let (_, faults) = dlc_dsl::parse(Default::default(), &text);
        assert!(faults.iter().any(|fault| fault.code == "too-deep"), "{open} {close}: {faults:?}");
        assert!(faults.len() < 4, "{open} {close}: {} faults", faults.len());
    }
    let blocks = format!("fn f(x: [B]) {{\n{}{}\n}}\n", "repeat 2 {\n".repeat(20_000), "}\n".repeat(20_000));
    let types = format!("fn f(x: {}int{}) = x\n", "list(".repeat(20_000), ")".repeat(20_000));
    for text in [blocks, types] {
        let (_, faults) = dlc_dsl::parse(Default::default(), &text);
        assert!(faults.iter().any(|fault| fault.code == "too-deep"), "{faults:?}");
    }
    let ron = format!("(model: (name: \"m\", body: {}{}))", "[".repeat(20_000), "]".repeat(20_000));
    let (_, faults) = dlc_dsl::parse_ron(Default::default(), &ron);
    assert_eq!(faults[0].code, "too-deep");
}
