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
        ("x ** ", ""),
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

/// Sums, pipes and lists of any length are flat: they are parsed, printed, converted and lowered.
#[test]
fn a_flat_expression_of_any_length_is_not_deep() {
    use dlc_dsl::{Mode, NoFiles, Program, Request, parse, parse_ron, to_dl, to_ron};
    const TERMS: usize = 100_000;
    let model = |body: String| format!("model m(x: [B]) -> y: [B] = {body}\n");
    let sum = |operator: &str| format!("x{}", format!(" {operator} x").repeat(TERMS));
    let known = |operator: &str| format!("x * ({})", vec!["1"; TERMS].join(operator));
    for body in [
        sum("+"),
        known(" + "),
        format!("if {} {{ x }} else {{ -x }}", vec!["1 < 2"; TERMS].join(" and ")),
        format!("x{}", " |> relu".repeat(TERMS)),
        format!("x * len([{}])", vec!["1"; TERMS].join(", ")),
    ] {
        let text = model(body);
        let (file, faults) = parse(Default::default(), &text);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(to_dl(&file), text);
        let (from_ron, faults) = parse_ron(Default::default(), &to_ron(&file));
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(to_dl(&from_ron), text);
        let program = Program::load("m.dl", &text, &mut NoFiles).unwrap_or_else(|faults| panic!("{faults}"));
        let lowered = program.lower(&Request::new(Mode::Infer).dim("B", 2));
        assert!(lowered.is_ok(), "{:?}", lowered.err());
    }
}
