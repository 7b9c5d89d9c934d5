//! Handwritten functions, and errors.

use super::*;
use dlc_ir::ScalarOp;

/// A two-layer perceptron with cross-entropy.
const PERCEPTRON: &str = r#"
func @loss(%x: f64[4,3], %label: i64[4], %w1: f64[5,3], %b1: f64[5], %w2: f64[2,5], %b2: f64[2]) -> (f64[], f64[4,2]) {
  %0 = dot %x, %w1 {lhs=[1], rhs=[1]#} : f64[4,5]
  %1 = broadcast %b1 {axes=[1]} : f64[4,5]
  %2 = add %0, %1 : f64[4,5]
  %3 = tanh %2 : f64[4,5]
  %4 = dot %3, %w2 {lhs=[1], rhs=[1]#} : f64[4,2]
  %5 = broadcast %b2 {axes=[1]} : f64[4,2]
  %6 = add %4, %5 : f64[4,2]
  %7 = reduce %6 {kind=max, axes=[1]} : f64[4]
  %8 = stop_gradient %7 : f64[4]
  %9 = broadcast %8 {axes=[0]} : f64[4,2]
  %10 = sub %6, %9 : f64[4,2]
  %11 = exp %10 : f64[4,2]
  %12 = reduce %11 {kind=sum, axes=[1]} : f64[4]
  %13 = log %12 : f64[4]
  %14 = iota {axis=1} : i64[4,2]
  %15 = broadcast %label {axes=[0]} : i64[4,2]
  %16 = compare %14, %15 {dir=eq} : bool[4,2]
  %17 = constant 0.0 : f64[]
  %18 = broadcast %17 {axes=[]} : f64[4,2]
  %19 = select %16, %10, %18 : f64[4,2]
  %20 = reduce %19 {kind=sum, axes=[1]} : f64[4]
  %21 = sub %13, %20 : f64[4]
  %22 = reduce %21 {kind=sum, axes=[0]} : f64[]
  %23 = constant 0.25 : f64[]
  %24 = mul %22, %23 : f64[]
  return %24, %6
}
"#;

/// A residual block, called three times with different weights; the block calls another function.
const RESIDUAL: &str = r#"
func @act(%x: f64[2,3], %slope: f64[]) -> (f64[2,3], f64[]) {
  %0 = broadcast %slope {axes=[]} : f64[2,3]
  %1 = mul %x, %0 : f64[2,3]
  %2 = sigmoid %1 : f64[2,3]
  %3 = mul %x, %2 : f64[2,3]
  %4 = reduce %3 {kind=sum, axes=[0,1]} : f64[]
  return %3, %4
}

func @block(%x: f64[2,3], %w: f64[3,3], %slope: f64[]) -> f64[2,3] {
  %0 = dot %x, %w {lhs=[1], rhs=[1]#} : f64[2,3]
  %1:2 = call %0, %slope {func=@act} : f64[2,3], f64[]
  %2 = add %1.0, %x : f64[2,3]
  return %2
}

func @loss(%x: f64[2,3], %w1: f64[3,3], %w2: f64[3,3], %w3: f64[3,3], %slope: f64[]) -> f64[] {
  %0 = call %x, %w1, %slope {func=@block} : f64[2,3]
  %1 = call %0, %w2, %slope {func=@block} : f64[2,3]
  %2 = call %1, %w3, %slope {func=@block} : f64[2,3]
  %3 = mul %2, %2 : f64[2,3]
  %4 = reduce %3 {kind=sum, axes=[0,1]} : f64[]
  return %4
}
"#;

fn plain(_: usize) -> Role {
    Role::Plain
}

fn check_both_orders(text: &str) {
    let first = with_gradient(parse(text), plain);
    let args = arguments(first.entry(), 7, (0.1, 0.9));
    check_by_differences(&first, &args, 1e-9);
    let second = with_gradient(with_squares(first), plain);
    check_by_differences(&second, &args, 1e-8);
}

#[test]
fn a_perceptron_agrees_with_differences_to_order_two() {
    check_both_orders(PERCEPTRON);
}

#[test]
fn called_blocks_agree_with_differences_to_order_two() {
    check_both_orders(RESIDUAL);
}

#[test]
fn third_order_works() {
    let text = "func @f(%x: f64[]) -> f64[] {\n  %0 = exp %x : f64[]\n  %1 = mul %0, %x : f64[]\n  return %1\n}\n";
    let mut graph = parse(text);
    for _ in 0..3 {
        graph = with_squares(with_gradient(graph, plain));
    }
    check_by_differences(&with_gradient(graph, plain), &[Tensor::scalar(0.1)], 1e-7);
}

#[test]
fn blocks_give_the_numbers_of_their_inlined_form() {
    let graph = parse(RESIDUAL);
    for graph in [with_gradient(graph.clone(), plain), with_gradient(with_squares(with_gradient(graph, plain)), plain)]
    {
        let args = arguments(graph.entry(), 3, (-1.0, 1.0));
        let whole = differentiated(&inlined(&graph));
        assert_same_meaning("called against inlined", &differentiated(&graph), &whole, &args);
    }
}

#[test]
fn repeated_blocks_share_one_pair() {
    let out = differentiated(&with_gradient(parse(RESIDUAL), plain));
    let names: Vec<&str> = out.functions().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["act.fwd", "act.bwd", "block.fwd", "block.bwd", "step"], "{out}");
}

#[test]
fn parts_give_the_bits_of_their_joint() {
    let graph = with_gradient(parse(RESIDUAL), plain);
    assert_eq!(check_splits(&graph), 2);
    assert!(check_splits(&with_gradient(with_squares(graph), plain)) > 4);
}

#[test]
fn output_is_the_same_each_time() {
    let graph = with_gradient(with_squares(with_gradient(parse(RESIDUAL), plain)), plain);
    assert_eq!(differentiated(&graph).to_string(), differentiated(&graph).to_string());
}

#[test]
fn a_gradient_that_occurs_twice_becomes_a_function() {
    let text = r#"
func @f(%x: f64[3]) -> f64[] {
  %0 = sin %x : f64[3]
  %1 = reduce %0 {kind=sum, axes=[0]} : f64[]
  return %1
}

func @twice(%x: f64[3], %y: f64[3]) -> f64[] {
  %0:2 = gradient %x {func=@f, wrt=[0]} : f64[], f64[3]
  %1:2 = gradient %y {func=@f, wrt=[0]} : f64[], f64[3]
  %2 = mul %0.1, %1.1 : f64[3]
  %3 = reduce %2 {kind=sum, axes=[0]} : f64[]
  return %3
}
"#;
    let graph = with_gradient(parse(text), plain);
    check_by_differences(&graph, &arguments(graph.entry(), 1, (-1.0, 1.0)), 1e-9);
    let graph = parse(text);
    let out = differentiated(&graph);
    assert_eq!(out.functions().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["f.grad", "twice"]);
}

#[test]
fn an_argument_may_be_returned_twice() {
    let graph = parse(
        r#"
func @pass(%x: f64[2], %y: f64[2], %n: i64[]) -> (f64[2], f64[2], i64[], f64[2]) {
  %0 = mul %x, %y : f64[2]
  return %x, %0, %n, %x
}

func @f(%x: f64[2], %n: i64[]) -> f64[] {
  %0:4 = call %x, %x, %n {func=@pass} : f64[2], f64[2], i64[], f64[2]
  %1 = mul %0.0, %0.1 : f64[2]
  %2 = mul %1, %0.3 : f64[2]
  %3 = reduce %2 {kind=sum, axes=[0]} : f64[]
  return %3
}
"#,
    );
    let graph = with_gradient(graph, plain);
    check_by_differences(&graph, &arguments(graph.entry(), 5, (0.5, 2.0)), 1e-9);
    check_splits(&graph);
}

const CLIPPED: &str = r#"
func @clip_vjp(%x: f64[2], %n: i64[], %ct: f64[2]) -> f64[2] {
  %0 = constant [10.0, 20.0] : f64[2]
  %1 = mul %0, %ct : f64[2]
  %2 = mul %1, %x : f64[2]
  return %2
}

func @clip(%x: f64[2], %n: i64[]) -> f64[2] vjp @clip_vjp {
  %0 = tanh %x : f64[2]
  return %0
}

func @inner(%x: f64[2], %n: i64[]) -> f64[2] {
  %0 = add %x, %x : f64[2]
  %1 = call %0, %n {func=@clip} : f64[2]
  return %1
}

func @f(%x: f64[2], %n: i64[]) -> f64[] {
  %0 = call %x, %n {func=@inner} : f64[2]
  %1 = reduce %0 {kind=sum, axes=[0]} : f64[]
  return %1
}
"#;

#[test]
fn a_custom_derivative_takes_the_place_of_differentiation() {
    let graph = with_gradient(parse(CLIPPED), plain);
    let args = [Tensor::new([2], vec![0.5, 2.0]).expect("two"), Tensor::scalar(3i64)];
    assert_eq!(interpret(&differentiated(&graph), &args)[1].to_f64s(), [2.0 * 10.0, 4.0 * 2.0 * 20.0]);
    // its own derivative is an ordinary one: d/dx of 2 * 10 * (2 * x) squared is 2 * 40 x * 40 in the first place
    let second = with_gradient(with_squares(graph), plain);
    let plus_first = interpret(&differentiated(&second), &args)[1].to_f64s();
    assert_eq!(plus_first, [2.0 * 20.0 * 40.0 + 20.0, 2.0 * 160.0 * 80.0 + 160.0]);
}

#[test]
fn the_function_itself_may_have_a_custom_derivative() {
    let text = r#"
func @rule(%x: f64[], %ct: f64[]) -> f64[] {
  %0 = constant 7.0 : f64[]
  %1 = mul %0, %ct : f64[]
  return %1
}

func @f(%x: f64[]) -> f64[] vjp @rule {
  %0 = sin %x : f64[]
  return %0
}
"#;
    let out = differentiated(&with_gradient(parse(text), plain));
    assert_eq!(interpret(&out, &[Tensor::scalar(1.0)])[1].to_f64s(), [7.0]);
}

#[test]
fn optimisation_may_drop_stop_gradient_only_where_nothing_is_differentiated_again() {
    let text = r#"
func @gate(%x: f64[3], %y: f64[3]) -> f64[3] {
  %0 = sin %x : f64[3]
  %1 = stop_gradient %0 : f64[3]
  %2 = mul %1, %y : f64[3]
  %3 = mul %2, %x : f64[3]
  return %3
}

func @f(%x: f64[3]) -> f64[] {
  %0 = exp %x : f64[3]
  %1 = call %x, %0 {func=@gate} : f64[3]
  %2 = reduce %1 {kind=sum, axes=[0]} : f64[]
  return %2
}
"#;
    let mut optimised = 0;
    let mut drop_stops = |f: Function, _: &Graph| {
        optimised += 1;
        let dropped: Result<_, std::convert::Infallible> = f.try_rewrite(|new, _, node, operands| {
            if node.op() == Some(&Op::Map(ScalarOp::StopGradient)) {
                return Ok(operands.iter().copied().collect());
            }
            let id = new.copy_node(node, operands);
            Ok(dlc_ir::graph::values_of(id, node.types.len()))
        });
        match dropped {
            Ok(f) => f,
        }
    };
    let graph = with_gradient(with_squares(with_gradient(parse(text), plain)), plain);
    let args = arguments(graph.entry(), 2, (0.2, 1.0));
    let called = differentiate(graph.clone(), &mut drop_stops).expect("it can be differentiated");
    assert_same_meaning("second derivative", &called, &differentiated(&inlined(&graph)), &args);
    assert!(optimised > 0, "what is final is optimised");
}

#[test]
fn the_mask_of_relu_is_made_from_its_result() {
    let text = r#"
func @layer(%x: f64[8,8], %w: f64[8,8]) -> f64[8,8] {
  %0 = dot %x, %w {lhs=[1], rhs=[1]#} : f64[8,8]
  %1 = relu %0 : f64[8,8]
  return %1
}

func @f(%x: f64[8,8], %w: f64[8,8]) -> f64[] {
  %0 = call %x, %w {func=@layer} : f64[8,8]
  %1 = reduce %0 {kind=sum, axes=[0,1]} : f64[]
  return %1
}
"#;
    let out = differentiated(&with_gradient(parse(text), plain));
    assert_eq!(out.function(&"layer.fwd".into()).expect("there is one").results.len(), 1, "{out}");
}

#[test]
fn saving_is_weighed_against_computing_again() {
    let text = r#"
func @layer(%x: f64[8,8], %w: f64[8,8]) -> f64[8,8] {
  %0 = dot %x, %w {lhs=[1], rhs=[1]#} : f64[8,8]
  %1 = constant 2.0 : f64[]
  %2 = broadcast %1 {axes=[]} : f64[8,8]
  %3 = mul %0, %2 : f64[8,8]
  %4 = add %3, %0 : f64[8,8]
  %5 = mul %4, %4 : f64[8,8]
  %6 = relu %5 : f64[8,8]
  return %6
}

func @f(%x: f64[8,8], %w: f64[8,8]) -> f64[] {
  %0 = call %x, %w {func=@layer} : f64[8,8]
  %1 = reduce %0 {kind=sum, axes=[0,1]} : f64[]
  return %1
}
"#;
    let out = differentiated(&with_gradient(parse(text), plain));
    let forward = out.function(&"layer.fwd".into()).expect("there is one");
    assert_eq!(forward.results.len(), 2, "the product is saved, and nothing that is made of it\n{out}");
    let dots = |name: &str| {
        let f = out.function(&name.into()).expect("there is one");
        f.ops().filter(|(_, _, op)| matches!(op, Op::Dot(_))).count()
    };
    assert_eq!((dots("layer.fwd"), dots("layer.bwd")), (1, 2), "the product is not computed again\n{out}");
}

/// Builds `@f(x, w)`, whose result is `sum(x * end(w))`, and the program that differentiates it; the `end` is at bytes 10 to 20.
fn ending(end: impl Fn(&mut Builder, Value) -> Value, inside: bool, role: Role) -> Graph {
    let ty = Type::new(DType::F64, [3]);
    let loc = Loc { file: 1, start: 10, end: 20 };
    let mut graph = Graph::new();
    let mut b = Builder::new("inner", FunctionKind::Func);
    let w = b.arg("w", ty.clone(), Role::Plain);
    b.loc = loc;
    let y = end(&mut b, w);
    b.output(None, y);
    graph.insert(b.finish());
    let mut b = Builder::new("f", FunctionKind::Func);
    let (x, w) = (b.arg("x", ty.clone(), Role::Plain), b.arg("w", ty, Role::Plain));
    let ended = if inside {
        b.loc = Loc { file: 1, start: 0, end: 99 };
        b.call(graph.entry(), &[w]).expect("fits")[0]
    } else {
        b.loc = loc;
        end(&mut b, w)
    };
    b.loc = Loc::NONE;
    let y = b.mul(x, ended).expect("fits");
    let y = b.sum(y, &[0]).expect("fits");
    b.output(None, y);
    graph.insert(b.finish());
    with_gradient(graph, |i| if i == 1 { role.clone() } else { Role::Input })
}

fn param(trainable: bool) -> Role {
    Role::Param { name: "fc.weight".into(), trainable }
}

fn stop(b: &mut Builder, w: Value) -> Value {
    b.map(ScalarOp::StopGradient, &[w]).expect("fits")
}

#[test]
fn a_trainable_parameter_without_gradient_is_an_error() {
    for inside in [false, true] {
        let error = error(&ending(stop, inside, param(true)));
        let loc = Loc { file: 1, start: 10, end: 20 };
        assert_eq!(
            error,
            AutodiffError::NoGradient {
                name: "fc.weight".into(),
                ends: Some("stop_gradient"),
                loc,
                declared: Loc::NONE
            }
        );
        assert_eq!(error.to_string(), "`fc.weight` is trainable, but no gradient reaches it");
    }
}

#[test]
fn an_unused_trainable_parameter_is_an_error() {
    let error = error(&ending(|b, w| b.full_like(w, 2.0).expect("fits"), false, param(true)));
    assert_eq!(
        error,
        AutodiffError::NoGradient { name: "fc.weight".into(), ends: None, loc: Loc::NONE, declared: Loc::NONE }
    );
}

#[test]
fn anything_else_without_gradient_gets_zeros() {
    for role in [Role::Input, param(false)] {
        let out = differentiated(&ending(stop, true, role));
        let args = arguments(out.entry(), 1, (-1.0, 1.0));
        assert_eq!(interpret(&out, &args)[2].to_f64s(), [0.0; 3]);
        assert!(out.functions().all(|f| !f.name.as_str().ends_with("bwd")), "nothing comes back\n{out}");
    }
}

#[test]
fn locations_are_kept_in_derivatives() {
    let graph = ending(|b, w| b.exp(w).expect("fits"), false, Role::Input);
    let out = differentiated(&graph);
    let at_exp: Vec<&str> =
        out.entry().ops().filter(|(_, n, _)| n.loc.start == 10).map(|(_, _, op)| op.mnemonic()).collect();
    assert_eq!(at_exp, ["exp", "mul"]);
}

#[test]
fn a_custom_derivative_that_does_not_fit_is_refused() {
    let mut graph = parse(CLIPPED);
    let mut clip = graph.function(&"clip".into()).expect("there is one").clone();
    clip.vjp = Some("inner".into());
    // the verifier would reject this graph too
    graph.insert(clip);
    let found = error(&with_gradient(graph, plain));
    assert!(matches!(found, AutodiffError::NoFunction { .. } | AutodiffError::CustomGradient { .. }), "{found}");
    let mut graph = parse(CLIPPED);
    let mut clip = graph.function(&"clip".into()).expect("there is one").clone();
    clip.vjp = Some("nowhere".into());
    graph.insert(clip);
    assert_eq!(error(&with_gradient(graph, plain)), AutodiffError::NoFunction { func: "nowhere".into() });
}

#[test]
fn a_convolution_with_batch_norm_saves_little() {
    let text = r#"
func @block(%x: f32[2,4,8,8], %w: f32[4,4,3,3], %gamma: f32[4], %beta: f32[4]) -> (f32[2,4,8,8], f32[4]) {
  %0 = conv %x, %w {stride=[1,1], low=[1,1], high=[1,1], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1} : f32[2,4,8,8]
  %1 = reduce %0 {kind=sum, axes=[0,2,3]} : f32[4]
  %2 = constant 128.0 : f32[]
  %3 = broadcast %2 {axes=[]} : f32[4]
  %4 = div %1, %3 : f32[4]
  %5 = broadcast %4 {axes=[1]} : f32[2,4,8,8]
  %6 = sub %0, %5 : f32[2,4,8,8]
  %7 = mul %6, %6 : f32[2,4,8,8]
  %8 = reduce %7 {kind=sum, axes=[0,2,3]} : f32[4]
  %9 = div %8, %3 : f32[4]
  %10 = constant 0.00001 : f32[]
  %11 = broadcast %10 {axes=[]} : f32[4]
  %12 = add %9, %11 : f32[4]
  %13 = rsqrt %12 : f32[4]
  %14 = broadcast %13 {axes=[1]} : f32[2,4,8,8]
  %15 = mul %6, %14 : f32[2,4,8,8]
  %16 = broadcast %gamma {axes=[1]} : f32[2,4,8,8]
  %17 = mul %15, %16 : f32[2,4,8,8]
  %18 = broadcast %beta {axes=[1]} : f32[2,4,8,8]
  %19 = add %17, %18 : f32[2,4,8,8]
  %20 = relu %19 : f32[2,4,8,8]
  return %20, %4
}

func @f(%x: f32[2,4,8,8], %w: f32[4,4,3,3], %gamma: f32[4], %beta: f32[4]) -> f32[] {
  %0:2 = call %x, %w, %gamma, %beta {func=@block} : f32[2,4,8,8], f32[4]
  %1:2 = call %0.0, %w, %gamma, %beta {func=@block} : f32[2,4,8,8], f32[4]
  %2 = reduce %1.0 {kind=sum, axes=[0,1,2,3]} : f32[]
  return %2
}
"#;
    let out = differentiated(&with_gradient(parse(text), plain));
    let forward = out.function(&"block.fwd".into()).expect("there is one");
    let further: Vec<String> = forward.results[2..].iter().map(|r| forward.ty(r.value).to_string()).collect();
    // the result of the convolution, which is in memory anyway, and small values
    assert_eq!(further, ["f32[2,4,8,8]", "f32[4]"], "{out}");
    let (_, _, first) = forward.ops().next().expect("there is one");
    assert!(matches!(first, Op::Conv(_)) && forward.op(forward.results[2].value.node) == Some(first), "{out}");
}
