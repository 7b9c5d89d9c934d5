//! What groups with what, and where things end.

use dlc_dsl::{parse, to_tree};

/// The tree of an expression.
fn tree(expr: &str) -> String {
    let text = format!("fn f() = {expr}\n");
    let (file, errors) = parse(Default::default(), &text);
    assert!(errors.is_empty(), "{expr}: {errors:?}");
    let tree = to_tree(&file);
    let body = tree.trim().strip_prefix("(fn f\n  (is ").and_then(|rest| rest.strip_suffix("))"));
    body.expect("is a function's body").to_owned()
}

#[test]
fn operators_bind_as_in_python() {
    for (text, expected) in [
        ("a + b * c", "(+ a (* b c))"),
        ("a - b - c", "(- (- a b) c)"),
        ("a * b @ c / d % e", "(% (/ (@ (* a b) c) d) e)"),
        ("-a ** b", "(- (** a b))"),
        ("a ** -b", "(** a (- b))"),
        ("a ** b ** c", "(** a (** b c))"),
        ("(a ** b) ** c", "(** (** a b) c)"),
        ("-a * b", "(* (- a) b)"),
        ("not a == b", "(not (== a b))"),
        ("not a and b or c", "(or (and (not a) b) c)"),
        ("a or b and c", "(or a (and b c))"),
        ("a + b < c * d", "(< (+ a b) (* c d))"),
        ("(a < b) == (c < d)", "(== (< a b) (< c d))"),
        ("a.b[c].d", "(. (index (. a b) c) d)"),
        ("f(x).T @ y", "(@ (. (f x) T) y)"),
    ] {
        assert_eq!(tree(text), expected, "{text}");
    }
}

#[test]
fn pipes_and_names() {
    for (text, expected) in [
        ("x |> f |> g(1, a: 2) as h", "(|> x (f) (as h (g 1 a: 2)))"),
        ("f(x) as a |> g as _", "(|> (as a (f x)) (as _ (g)))"),
        ("(x |> f) + 1", "(+ (|> x (f)) 1)"),
        ("(x + 1) |> f", "(|> (+ x 1) (f))"),
        ("a + (f(x) as \"b.{i + 1}\")", "(+ a (as \"b.{i + 1}\" (f x)))"),
        ("((x |> f) |> g)", "(|> (|> x (f)) (g))"),
        ("(f(x)) as a", "(as a (f x))"),
        ("if a { x } else if b { y } else { z |> f }", "(if a x b y (|> z (f)))"),
        ("[if a { 1 } else { 2 }, (3, 4), { \"k\": -5 }]", "(list (if a 1 2) (tuple 3 4) (map (\"k\" (- 5))))"),
        ("x[:, _, ..., -1, a:b:2, ::3]", "(index x (slice _ _ _) new ... (- 1) (slice a b 2) (slice _ _ 3))"),
        ("scan t in x over T { yield t }", "(scan t x over T (yield t))"),
    ] {
        assert_eq!(tree(text), expected, "{text}");
    }
}

#[test]
fn numbers_and_strings() {
    for (text, expected) in [
        ("1_000", "1000"),
        ("18446744073709551615", "18446744073709551615"),
        ("1e-3", "1e-3"),
        ("0.1", "0.1"),
        ("2.0", "2.0"),
        ("1E6", "1e6"),
        (r#""a\n\"\\\{b\}""#, r#""a\n\"\\\{b\}""#),
        (r#""{a}{b} {f("{c}")}""#, r#""{a}{b} {f("{c}")}""#),
        ("\"πé\"", "\"πé\""),
    ] {
        assert_eq!(tree(text), expected, "{text}");
    }
}

#[test]
fn lines_end_statements_unless_they_go_on() {
    let text = "\
fn f(x: [B]) {
  let a = x
    + 1
    |> g
  let b = f(
    x,
    -1
    + 2,
  )
  (a, b) = (b, a)
  @recompute
  repeat 2 { a = b }
  if a { b = 1 }
  else { b = 2 }
  return a
}
";
    // `x + 1 |> g` needs parentheses, whatever the line breaks.
    let (file, errors) = parse(Default::default(), text);
    assert_eq!(errors.iter().map(|error| error.code).collect::<Vec<_>>(), ["needs-parentheses"]);
    insta::assert_snapshot!(to_tree(&file));
}

#[test]
fn spans_cover_what_they_name() {
    let text = "fn f(x: [B]) = g(x, (a + b) * c) as h\n";
    let (file, _) = parse(Default::default(), text);
    let dlc_dsl::ast::Body::Expr(value) = &file.definitions().next().expect("is there").body else {
        panic!("an expression")
    };
    assert_eq!(&text[value.span.range()], "g(x, (a + b) * c) as h");
    let dlc_dsl::ast::ExprKind::Call(call) = &value.kind else { panic!("a call") };
    assert_eq!(&text[call.args[1].span.range()], "(a + b) * c");
    assert_eq!(&text[call.callee.span.range()], "g");
}

#[test]
fn the_tree_of_the_first_file_of_the_tour() {
    let (file, errors) = parse(Default::default(), include_str!("tour/mnist.dl"));
    assert!(errors.is_empty());
    insta::assert_snapshot!(to_tree(&file));
}
