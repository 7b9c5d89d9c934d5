//! The text form: what is printed parses again, and a parse error has its location and reason.

use dlc_ir::{Blobs, Builder, DType, FunctionKind, Graph, Role, Tensor, Type};

const MLP: &str = r#"func @residual(%x: f32[2,3]) -> f32[2,3] {
  %0 = relu %x : f32[2,3]
  %1 = add %0, %x : f32[2,3]
  return %1
}

func @mlp(%x: f32[2,3] input, %w: f32[4,3] param "fc.weight", %g: f32[] param "gain" frozen, %n: i64[] state "step", %k: i64[] key) -> (logits: f32[2,4], "a.b": bool[2,4], i64[] update %n, bool[] check) {
  %0 = call %x {func=@residual} : f32[2,3]
  %1 = dot %0, %w {lhs=[1], rhs=[1], lhs_batch=[], rhs_batch=[]} : f32[2,4]
  %2 = broadcast %g {axes=[]} : f32[2,4]
  %3 = mul %1, %2 : f32[2,4]
  %4 = constant [0.5, -1.0, inf, nan] : f32[4]
  %5 = broadcast %4 {axes=[1]} : f32[2,4]
  %6 = compare %3, %5 {dir=lt} : bool[2,4]
  %7 = constant 1 : i64[]
  %8 = add %n, %7 : i64[]
  %9 = check_index %n {size=9, by=gather} : bool[]
  return %3, %6, %8, %9
}
"#;

#[test]
fn a_program_comes_back_as_it_was() {
    let graph: Graph = MLP.parse().expect("it is well-formed");
    assert_eq!(graph.to_string(), MLP);
    assert_eq!(graph, graph.to_string().parse().expect("what is printed parses"));
}

/// A graph whose weights another function prepares, whatever that is called.
const PREPARED: &str = r#"func @scale(%w: f32[3] param "w" frozen) -> ("prepared.w": f32[3]) {
  %0 = mul %w, %w : f32[3]
  return %0
}

func @count(%w: f32[3] param "w" frozen) -> (lost: i64[]) {
  %0 = constant 0 : i64[]
  return %0
}

func @f(%x: f32[3] input, %w: f32[3] param "w" frozen, %p: f32[3] param "prepared.w" frozen) -> f32[3] {
  %0 = mul %x, %p : f32[3]
  return %0
}

prepare @scale lossless @count
"#;

#[test]
fn a_preparation_is_a_field_of_the_graph_and_of_its_text() {
    let graph: Graph = PREPARED.parse().expect("it is well-formed");
    let found = graph.preparation.as_ref().expect("it has one");
    assert_eq!((found.func.as_str(), found.lossless.as_ref().map(|name| name.as_str())), ("scale", Some("count")));
    assert_eq!(graph.to_string(), PREPARED);
    let other: Graph = PREPARED.replace(" lossless @count", "").parse().expect("it is well-formed");
    assert_ne!(graph, other);
    let wrong = [
        (
            PREPARED.replace("prepare @scale", "prepare @f"),
            "@f: prepares weights, but is not a function other than the entry",
        ),
        (
            PREPARED.replace("lossless @count", "lossless @lost"),
            "@lost: prepares weights, but is not a function other than the entry",
        ),
        (format!("{PREPARED}\nprepare @scale\n"), "expected the end"),
    ];
    for (text, message) in wrong {
        let error = text.parse::<Graph>().expect_err("it is malformed").to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn large_constants_follow_the_functions_or_are_kept_beside_them() {
    let mut b = Builder::new("f", FunctionKind::Func);
    let x = b.arg("x", Type::new(DType::F64, [100]), Role::Input);
    let c = b.constant(Tensor::new([100], (0..100).map(f64::from).collect()).expect("100 elements")).expect("fits");
    let y = b.add(x, c).expect("fits");
    b.output(None, y);
    let graph = Graph::from_function(b.finish());
    let whole = graph.to_string();
    assert_eq!(whole.parse::<Graph>().expect("it is whole"), graph);
    let text = graph.text_beside_blobs();
    assert!(text.contains("constant blob(\"blake3:") && whole.starts_with(&text), "{whole}");
    assert!(text.parse::<Graph>().is_err(), "a blob that is not there is an error");
    assert_eq!(Graph::parse(&text, &Blobs::of(&graph)).expect("with its blobs it parses"), graph);
    let wrong = [
        (whole.replace("63.0", "64.0"), "hash mismatch: these elements have the name"),
        (whole.replace(", 63.0", ""), "f64[100] has 100 elements, found 99"),
        (format!("{whole}{text}"), "expected `blob` or the end of the file, found `func`"),
    ];
    for (text, message) in wrong {
        let error = text.parse::<Graph>().expect_err("it is malformed").to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn odd_numbers_keep_their_bits() {
    let elements =
        vec![f32::MIN_POSITIVE / 4.0, -0.0, f32::from_bits(0xffc0_1234), f32::NEG_INFINITY, 1.0e-30, 16_777_217.0];
    let mut b = Builder::new("f", FunctionKind::Func);
    let c = b.constant(Tensor::new([6], elements).expect("six")).expect("fits");
    b.output(None, c);
    let graph = Graph::from_function(b.finish());
    assert_eq!(graph.to_string().parse::<Graph>().expect("it parses"), graph);
}

#[test]
fn errors_have_a_location_and_a_reason() {
    let cases = [
        (
            "func @f() -> f32[] {\n  %0 = constant 1 : f32[2]\n  return %0\n}",
            "2:8: found 1 elements for f32[2]; constants of more than 64 are blobs",
        ),
        ("func @f(%x: f16[]) -> f32[] {}", "1:13: unknown dtype `f16`: expected f32, f64, i32, i64, u8 or bool"),
        ("func @f(%x: f32[2]) -> f32[2] {\n  %0 = nope %x : f32[2]\n  return %0\n}", "2:8: unknown operator `nope`"),
        ("func @f(%x: f32[2]) -> f32[2] {\n  return %y\n}", "2:10: unknown value `%y`"),
        (
            "func @f(%x: f32[2]) -> f32[3] {\n  return %x\n}",
            "2:3: type mismatch: f32[2] is returned, f32[3] is declared",
        ),
        (
            "func @f(%x: f32[2]) -> f32[2] {\n  %0 = exp %x : f32[3]\n  return %0\n}",
            "2:8: exp: the inferred result type is f32[2], declared is f32[3]",
        ),
        (
            "func @f(%x: f32[2]) -> f32[2] {\n  %0 = exp %x {axis=1} : f32[2]\n  return %0\n}",
            "2:8: exp: has no attribute `axis`",
        ),
        (
            "func @f(%x: f32[2], %x: f32[2]) -> () {\n  return\n}",
            "1:21: `%x` is already defined or not a valid argument name",
        ),
        (
            "func @f(%x: f32[1000000000,1000000000]) -> () {\n  return\n}",
            "1:13: f32[1000000000,1000000000] is too large",
        ),
        (
            "func @g(%x: f32[]) -> f32[] {\n  %0 = call %x {func=@f} : f32[]\n  return %0\n}",
            "1:1: @g node 1: @f is not defined before its caller",
        ),
        ("", "1:1: expected at least one function"),
    ];
    for (text, message) in cases {
        let error = text.parse::<Graph>().expect_err("it is malformed");
        assert_eq!(error.to_string(), message, "{text}");
    }
}
