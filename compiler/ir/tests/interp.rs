//! The interpreter on whole programs.

use dlc_ir::{Graph, InterpError, Tensor};

#[test]
fn callees_run_and_values_are_rounded() {
    let graph: Graph = "func @double(%x: f32[2]) -> f32[2] {
  %0 = add %x, %x : f32[2]
  return %0
}

func @main(%x: f32[2] input) -> (y: f32[2], z: f32[2]) {
  %0 = call %x {func=@double} : f32[2]
  %1 = call %0 {func=@double} : f32[2]
  %2 = exp %1 : f32[2]
  return %1, %2
}
"
    .parse()
    .expect("it is well-formed");
    let x = Tensor::new([2], vec![0.25f32, 0.1]).expect("two");
    let results = graph.interpret(&[x]).expect("it runs");
    assert_eq!(results[0].as_slice::<f32>().expect("f32"), [1.0, 0.4]);
    assert_eq!(results[1].as_slice::<f32>().expect("f32"), [1f64.exp() as f32, f64::from(0.4f32).exp() as f32]);
    let mut seen = vec![];
    let x = Tensor::new([2], vec![1f32, 2.0]).expect("two");
    graph
        .interpret_function(graph.entry(), &[x], &mut |f, id, _| seen.push((f.name.to_string(), id.index())))
        .expect("it runs");
    let seen: Vec<_> = seen.iter().map(|(f, i)| (f.as_str(), *i)).collect();
    assert_eq!(seen, [("@double", 1), ("@main", 1), ("@double", 1), ("@main", 2), ("@main", 3)]);
}

#[test]
fn arguments_of_other_types_are_refused() {
    let graph: Graph = "func @f(%x: f32[2]) -> f32[2] {\n  return %x\n}\n".parse().expect("it is well-formed");
    let error = graph.interpret(&[Tensor::scalar(1f32)]).expect_err("a scalar is no vector");
    assert!(matches!(error, InterpError::Arguments { .. }));
    assert_eq!(error.to_string(), "type mismatch: @f expects (f32[2]), found (f32[])");
}

#[test]
fn of_two_nearest_integers_the_even_one_is_taken() {
    let text = "func @f(%x: f32[6] input) -> f32[6] {\n  %0 = round %x : f32[6]\n  return %0\n}\n";
    let graph: Graph = text.parse().expect("it is well-formed");
    let x = Tensor::new([6], vec![0.5f32, 1.5, 2.5, -0.5, -1.5, 0.75]).expect("six");
    let result = graph.interpret(&[x]).expect("it runs");
    assert_eq!(result[0].as_slice::<f32>().expect("f32"), [0.0, 2.0, 2.0, 0.0, -2.0, 1.0]);
}

#[test]
fn integers_are_rounded_to_floats_once() {
    let text = "func @f(%x: i64[] input) -> f32[] {\n  %0 = convert %x : f32[]\n  return %0\n}\n";
    let graph: Graph = text.parse().expect("it is well-formed");
    // By way of f64, this becomes a tie that f32 rounds down.
    let x = (1i64 << 60) + (1 << 36) + 1;
    let result = graph.interpret(&[Tensor::scalar(x)]).expect("it runs");
    assert_eq!(result[0].as_slice::<f32>().expect("f32"), [x as f32]);
    assert_ne!(x as f32, x as f64 as f32);
}
