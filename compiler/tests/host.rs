//! What generated code calls of its host.

#[path = "common/run.rs"]
mod run;

use dlc_compiler::pipeline::Level;
use dlc_compiler::program::{RunError, Spread, Workspace};
use dlc_ir::{Graph, Tensor};
use run::{NATIVE, build};

/// A host that has a bug.
struct Broken;

impl Spread for Broken {
    fn threads(&self) -> usize {
        2
    }

    fn spread(&self, _: u64, _: &(dyn Fn(u64, u64) + Sync)) {
        panic!("a bug of the host");
    }
}

#[test]
fn a_panic_of_the_host_ends_the_run_and_no_more() {
    let text = "func @f(%x: f32[1048576] input) -> f32[1048576] {\n  %0 = exp %x : f32[1048576]\n  return %0\n}\n";
    let graph: Graph = text.parse().expect("it is well-formed");
    let program = build(&graph, Level::Full, NATIVE).expect("it compiles");
    let (mut workspace, mut slots) = (Workspace::new(&program, 2), program.slots());
    let broken = program.run(&mut workspace, &mut slots, Some(&Broken));
    assert_eq!(broken, Err(RunError::Panicked));
    assert_eq!(program.run(&mut workspace, &mut slots, None), Ok(()));
}

#[test]
fn a_result_that_no_memory_holds_is_told() {
    let text = "func @f(%x: f32[] input) -> f32[35000000000000] {
  %0 = broadcast %x {axes=[]} : f32[35000000000000]
  return %0
}";
    let graph: Graph = text.parse().expect("it is well-formed");
    let program = build(&graph, Level::Full, NATIVE).expect("it compiles");
    assert!(matches!(program.evaluate(&[Tensor::scalar(1.0f32)]), Err(RunError::Memory(_))));
}
