//! Sources nested twenty thousand levels deep.

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
        let (_, errors) = dlc_dsl::parse(Default::default(), &text);
        assert!(errors.iter().any(|error| error.code == "too-deep"), "{open} {close}: {errors:?}");
        assert!(errors.len() < 4, "{open} {close}: {} errors", errors.len());
    }
    let blocks = format!("fn f(x: [B]) {{\n{}{}\n}}\n", "repeat 2 {\n".repeat(20_000), "}\n".repeat(20_000));
    let types = format!("fn f(x: {}int{}) = x\n", "list(".repeat(20_000), ")".repeat(20_000));
    for text in [blocks, types] {
        let (_, errors) = dlc_dsl::parse(Default::default(), &text);
        assert!(errors.iter().any(|error| error.code == "too-deep"), "{errors:?}");
    }
    let ron = format!("(model: (name: \"m\", body: {}{}))", "[".repeat(20_000), "]".repeat(20_000));
    let (_, errors) = dlc_dsl::parse_ron(Default::default(), &ron);
    assert_eq!(errors[0].code, "too-deep");
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
        let (file, errors) = parse(Default::default(), &text);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(to_dl(&file), text);
        let (from_ron, errors) = parse_ron(Default::default(), &to_ron(&file));
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(to_dl(&from_ron), text);
        let program = Program::load("m.dl", &text, &mut NoFiles).unwrap_or_else(|errors| panic!("{errors}"));
        let lowered = program.lower(&Request::new(Mode::Infer).dim("B", 2));
        assert!(lowered.is_ok(), "{:?}", lowered.err());
    }
}
