//! The branch that a `select` does not choose has no influence on derivatives, whatever its slopes are.

use super::*;

/// `sum(weights * select(c, f(x), 0))`, with `f` of `x`, or of a `guarded` operand that is 1 where it is not chosen.
fn objective(body: &str, guarded: bool) -> Graph {
    let operand = if guarded { "%3" } else { "%x" };
    let body = body.replace("%in", operand);
    parse(&numbered(&format!(
        "func @f(%x: f64[2,3], %y: f64[2,3]) -> f64[] {{
  %0 = constant 0.0 : f64[]
  %1 = broadcast %0 {{axes=[]}} : f64[2,3]
  %2 = compare %y, %1 {{dir=gt}} : bool[2,3]
  %30 = constant 1.0 : f64[]
  %31 = broadcast %30 {{axes=[]}} : f64[2,3]
  %3 = select %2, %x, %31 : f64[2,3]
{body}
  %8 = select %2, %7, %1 : f64[2,3]
  %9 = mul %8, %y : f64[2,3]
  %10 = reduce %9 {{kind=sum, axes=[0,1]}} : f64[]
  return %10
}}"
    )))
}

/// The text with its values renumbered consecutively.
fn numbered(text: &str) -> String {
    let mut names: Vec<&str> = vec![];
    let mut out = String::new();
    for (i, piece) in text.split('%').enumerate() {
        let end = piece.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(piece.len());
        let (name, rest) = piece.split_at(end);
        if i > 0 && rest.starts_with(" = ") {
            names.push(name);
        }
        // the last one of that name, since parts of the text define names of their own
        match names.iter().rposition(|n| *n == name).filter(|_| i > 0) {
            Some(number) => out += &format!("%{number}{rest}"),
            None => out += &format!("{}{piece}", if i > 0 { "%" } else { "" }),
        }
    }
    out
}

/// Functions whose slope or value is infinite or NaN where `x` is 0, negative, infinite or NaN; the result is `%7`.
const BODIES: &[(&str, &str)] = &[
    ("sqrt", "  %7 = sqrt %in : f64[2,3]"),
    ("log", "  %7 = log %in : f64[2,3]"),
    ("rsqrt", "  %7 = rsqrt %in : f64[2,3]"),
    ("exp", "  %7 = exp %in : f64[2,3]"),
    ("tanh", "  %7 = tanh %in : f64[2,3]"),
    ("abs", "  %4 = sin %in : f64[2,3]\n  %7 = abs %4 : f64[2,3]"),
    ("square", "  %7 = mul %in, %in : f64[2,3]"),
    ("quotient", "  %7 = div %31, %in : f64[2,3]"),
    ("own quotient", "  %4 = sin %in : f64[2,3]\n  %7 = div %4, %in : f64[2,3]"),
    ("power", "  %4 = constant 0.5 : f64[]\n  %5 = broadcast %4 {axes=[]} : f64[2,3]\n  %7 = pow %in, %5 : f64[2,3]"),
    ("entropy", "  %4 = log %in : f64[2,3]\n  %7 = mul %4, %in : f64[2,3]"),
    (
        "under sums",
        "  %4 = sqrt %in : f64[2,3]\n  %5 = neg %4 : f64[2,3]\n  %6 = add %5, %31 : f64[2,3]\n  %7 = exp %6 : f64[2,3]",
    ),
    (
        "moved",
        "  %4 = sqrt %in : f64[2,3]
  %5 = transpose %4 {perm=[1,0]} : f64[3,2]
  %50 = reshape %5 : f64[6]
  %51 = reverse %50 {axes=[0]} : f64[6]
  %52 = reverse %51 {axes=[0]} : f64[6]
  %53 = reshape %52 : f64[3,2]
  %7 = transpose %53 {perm=[1,0]} : f64[2,3]",
    ),
    (
        "within another choice",
        "  %4 = log %in : f64[2,3]
  %5 = compare %y, %31 {dir=lt} : bool[2,3]
  %6 = rsqrt %in : f64[2,3]
  %7 = select %5, %4, %6 : f64[2,3]",
    ),
];

/// Values and derivatives of both orders equal those of the function that is guarded by hand.
#[test]
fn what_select_does_not_choose_has_no_derivative() {
    let y = Tensor::new([2, 3], vec![0.5, -1.0, 2.0, -0.5, -2.0, 0.25]).expect("six");
    for bad in [0.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        let x = Tensor::new([2, 3], vec![0.7, bad, 1.5, bad, bad, 0.3]).expect("six");
        for (name, body) in BODIES {
            let by_x = |guarded| {
                let mut graph = objective(body, guarded);
                let mut found = vec![];
                for _ in 0..2 {
                    graph = with_gradient(graph, |_| Role::Plain);
                    found.push(interpret(&differentiated(&graph), &[x.clone(), y.clone()])[1].to_f64s());
                    graph = with_squares(graph);
                }
                found
            };
            let (found, expected) = (by_x(false), by_x(true));
            for (order, (found, expected)) in found.iter().zip(&expected).enumerate() {
                for (i, (a, b)) in found.iter().zip(expected).enumerate() {
                    let what = format!("{name} at {bad}, order {}, element {i}", order + 1);
                    assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{what}: {a} instead of {b}");
                }
            }
        }
    }
}

/// Rows of zeros have no direction: the norm of a row is broadcast, so that its cotangent is a sum.
#[test]
fn the_condition_passes_a_broadcast() {
    let graph = parse(
        "func @f(%x: f64[3,2]) -> f64[] {
  %0 = mul %x, %x : f64[3,2]
  %1 = reduce %0 {kind=sum, axes=[1]} : f64[3]
  %2 = sqrt %1 : f64[3]
  %3 = broadcast %2 {axes=[0]} : f64[3,2]
  %4 = constant 0.0 : f64[]
  %5 = broadcast %4 {axes=[]} : f64[3,2]
  %6 = compare %3, %5 {dir=gt} : bool[3,2]
  %7 = div %x, %3 : f64[3,2]
  %8 = select %6, %7, %5 : f64[3,2]
  %9 = constant [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] : f64[3,2]
  %10 = mul %8, %9 : f64[3,2]
  %11 = reduce %10 {kind=sum, axes=[0,1]} : f64[]
  return %11
}",
    );
    let x = Tensor::new([3, 2], vec![3.0, 4.0, 0.0, 0.0, 1.0, -1.0]).expect("six");
    let found = interpret(&differentiated(&with_gradient(graph, |_| Role::Plain)), &[x]).remove(1).to_f64s();
    let half = 11.0 / 2f64.sqrt() / 2.0;
    let expected = [(1.0 * 16.0 - 2.0 * 12.0) / 125.0, (2.0 * 9.0 - 1.0 * 12.0) / 125.0, 0.0, 0.0, half, half];
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-14, "{found:?}");
    }
}

/// A program without `select`, and one whose branches need no guard, get no additional operators.
#[test]
fn only_what_a_select_does_not_choose_is_guarded() {
    let count = |body: &str| {
        let graph = differentiated(&with_gradient(objective(body, false), |_| Role::Plain));
        let mut functions = graph.functions().flat_map(Function::ops);
        functions.by_ref().filter(|(_, _, op)| op.mnemonic() == "select").count()
    };
    // the two of the program, one of which is the guard by hand and dead, and that of the derivative
    let bare = count("  %7 = neg %x : f64[2,3]");
    assert_eq!(count("  %4 = add %x, %31 : f64[2,3]\n  %7 = sub %31, %4 : f64[2,3]"), bare);
    let by_a_number = |op: &str, operands: &str| {
        format!(
            "  %4 = constant 3.0 : f64[]\n  %5 = broadcast %4 {{axes=[]}} : f64[2,3]\n  %7 = {op} {operands} : f64[2,3]"
        )
    };
    for (op, operands, further) in
        [("mul", "%x, %5", 0), ("mul", "%5, %x", 0), ("div", "%x, %5", 0), ("div", "%5, %x", 1), ("mul", "%x, %1", 1)]
    {
        assert_eq!(count(&by_a_number(op, operands)), bare + further, "{op} {operands}");
    }
    assert_eq!(count("  %7 = sqrt %x : f64[2,3]"), bare + 1);
    let plain = "func @f(%x: f64[2]) -> f64[] {
  %0 = sqrt %x : f64[2]
  %1 = log %0 : f64[2]
  %2 = reduce %1 {kind=sum, axes=[0]} : f64[]
  return %2
}";
    let graph = differentiated(&with_gradient(parse(plain), |_| Role::Plain));
    assert!(!graph.to_string().contains("select"), "{graph}");
}

/// Conditions that nest deeper than any recursion may go.
#[test]
fn conditions_nest_deeply() {
    let mut b = Builder::new("f", FunctionKind::Func);
    let x = b.arg("x", Type::new(DType::F64, [2]), Role::Plain);
    let zero = b.zeros_like(x).expect("fits");
    let mut y = x;
    for i in 0..3000 {
        let bound = b.full_like(x, -f64::from(i)).expect("fits");
        let chosen = b.compare(dlc_ir::Direction::Gt, x, bound).expect("fits");
        y = b.select(chosen, y, zero).expect("fits");
    }
    let y = b.sum(y, &[0]).expect("fits");
    b.output(None, y);
    let graph = with_gradient(Graph::from_function(b.finish()), |_| Role::Plain);
    let x = Tensor::new([2], vec![1.0, -1.0]).expect("two");
    assert_eq!(interpret(&differentiated(&graph), &[x])[1].to_f64s(), [1.0, 0.0]);
}
