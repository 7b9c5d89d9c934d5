//! What the verifier rejects, and its messages.

use dlc_ir::Graph;

/// Each text breaks one rule; the message that follows names it.
const WRONG: &[(&str, &str)] = &[
    (
        "func @f(%x: f32[2] input) -> f32[3] {\n  %0 = neg %x : f32[3]\n  return %0\n}",
        "the inferred result type is f32[2], declared is f32[3]",
    ),
    ("func @f(%x: f32[2] input, %y: f32[3] input) -> f32[2] {\n  %0 = add %x, %y : f32[2]\n  return %0\n}", "add"),
    (
        "func @f(%x: f32[1099511627776,1099511627776] input) -> f32[] {\n  %0 = constant 1.0 : f32[]\n  return %0\n}",
        "too large",
    ),
    (
        "func @f(%x: f32[0,1099511627776,1099511627776] input) -> f32[] {\n  %0 = constant 1.0 : f32[]\n  return %0\n}",
        "too large",
    ),
    (
        "func @f(%x: f32[2] input) -> f32[2] {\n  %0 = call %x {func=@g} : f32[2]\n  return %0\n}",
        "is not defined before",
    ),
    (
        "func @g(%x: f32[3]) -> f32[3] {\n  return %x\n}\n\nfunc @f(%x: f32[2] input) -> f32[2] {\n  %0 = call %x {func=@g} : f32[2]\n  return %0\n}",
        "type mismatch: arguments or results of @g",
    ),
    (
        "func @g(%x: f32[2]) -> f32[2] {\n  return %x\n}\n\nkernel @k(%x: f32[2]) -> f32[2] {\n  %0 = call %x {func=@g} : f32[2]\n  return %0\n}",
        "a kernel must not call functions",
    ),
    (
        "func @f(%x: f32[2] param \"w\", %y: f32[2] param \"w\") -> f32[2] {\n  %0 = add %x, %y : f32[2]\n  return %0\n}",
        "duplicate argument name \"w\"",
    ),
    ("func @f(%x: f32[2] input) -> (a: f32[2], a: f32[2]) {\n  return %x, %x\n}", "duplicate result name \"a\""),
    (
        "func @f(%x: f32[2] input) -> (f32[2] update %x) {\n  return %x\n}",
        "is updated, but is neither a parameter nor a state",
    ),
    ("func @f(%x: f32[2] state \"s\", %y: f32[3] input) -> (f32[3] update %x) {\n  return %y\n}", "updates %x: f32[2]"),
    ("func @f(%x: f32[2] state \"s\") -> (f32[2] update %x, f32[2] update %x) {\n  return %x, %x\n}", "updated twice"),
    (
        "func @g(%s: f32[4] state \"s\") -> (f32[4] update %s) {\n  %0 = exp %s : f32[4]\n  return %0\n}\n\nfunc @f(%x: f32[4] input) -> f32[4] {\n  %0 = call %x {func=@g} : f32[4]\n  return %0\n}",
        "@g updates its arguments: only the entry may",
    ),
    (
        "func @g(%i: i64[2]) -> (i64[2], bool[] check) {\n  %0 = check_index %i {size=3, by=gather} : bool[]\n  return %i, %0\n}\n\nfunc @f(%i: i64[2] input) -> i64[2] {\n  %0:2 = call %i {func=@g} : i64[2], bool[]\n  return %0.0\n}",
        "@g has a check among its results: only the entry may",
    ),
    ("func @f(%i: i64[2] input) -> (i64[2] check) {\n  return %i\n}", "is a check: expected bool[], found i64[2]"),
    (
        "func @f(%i: i32[2] input) -> bool[] {\n  %0 = check_index %i {size=3, by=gather} : bool[]\n  return %0\n}",
        "expected i64 indices",
    ),
    // a window of 10^12 elements is verified without visiting each
    (
        "func @f(%x: f32[4] input) -> i64[5] {\n  %0 = window_argmax %x {axes=[0], size=[1099511627776], stride=[1], low=[1099511627776], high=[0], base_dilation=[1], window_dilation=[1]} : i64[5]\n  return %0\n}",
        "may hold padding only",
    ),
];

#[test]
fn violations_are_rejected() {
    for (text, message) in WRONG {
        let text = format!("{text}\n");
        match text.parse::<Graph>() {
            Ok(_) => panic!("this should be rejected, since {message}:\n{text}"),
            Err(e) => assert!(e.to_string().contains(message), "{e}\nshould say: {message}\n{text}"),
        }
    }
}

#[test]
fn the_number_of_operators_of_a_kernel_is_limited() {
    let kernel = |operators: usize| {
        let mut text = "kernel @k(%x: f32[2]) -> f32[2] {\n  %0 = neg %x : f32[2]\n".to_owned();
        for i in 1..operators {
            text += &format!("  %{i} = neg %{} : f32[2]\n", i - 1);
        }
        text + &format!("  return %{}\n}}\n", operators - 1)
    };
    let most = dlc_ir::MAX_KERNEL_OPS;
    assert!(kernel(most).parse::<Graph>().is_ok());
    let error = kernel(most + 1).parse::<Graph>().expect_err("one too many");
    assert!(error.to_string().contains("a kernel may have at most 1024 operators"), "{error}");
}

#[test]
fn windows_larger_than_any_memory_are_typed_and_evaluated_at_once() {
    let attributes = "{axes=[0], size=[1099511627776], stride=[1], low=[1099511627775], high=[0], base_dilation=[1], window_dilation=[1]}";
    let text = format!(
        "func @f(%x: f32[4] input) -> (i64[4], f32[4]) {{\n  %0 = window_argmax %x {attributes} : i64[4]\n  %1 = reduce_window %x {}, {} : f32[4]\n  return %0, %1\n}}\n",
        "{kind=sum",
        &attributes[1..]
    );
    let graph: Graph = text.parse().expect("each window holds an element");
    let x = dlc_ir::Tensor::new([4], vec![1f32, 3.0, 2.0, 4.0]).expect("four");
    let results = graph.interpret(&[x]).expect("it runs");
    assert_eq!(results[0].to_f64s(), [0.0, 1.0, 1.0, 3.0]);
    assert_eq!(results[1].to_f64s(), [1.0, 4.0, 6.0, 10.0]);
}
