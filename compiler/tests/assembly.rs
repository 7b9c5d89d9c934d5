//! The assembly text of a small kernel, with its statements beside the instructions.

use dlc_compiler::codegen::Kernels;
use dlc_compiler::machine::Target;
use dlc_compiler::options::Options;
use dlc_compiler::pipeline::{Stage, text_at};
use dlc_ir::Graph;

/// The text of the only kernel.
fn kernel(target: Target) -> String {
    let source = "func @f(%x: f32[20] input, %y: f32[20] input) -> f32[20] {
  %0 = mul %x, %y : f32[20]
  %1 = relu %0 : f32[20]
  return %1
}";
    let graph: Graph = source.parse().unwrap_or_else(|e| panic!("{e}\n{source}"));
    let options = Options { check: true, ..Options::new(target) };
    let text = text_at(graph, Stage::Asm, &options, &|_| Some("f.dlir:2".to_owned())).expect("the graph compiles");
    text.split("; routine").next().expect("there is a kernel").to_owned()
}

#[test]
fn statements_are_beside_vectors_of_256_bits() {
    insta::assert_snapshot!(kernel(Target::X86_64V3));
}

#[test]
fn statements_are_beside_vectors_of_512_bits() {
    insta::assert_snapshot!(kernel(Target::X86_64V4));
}

#[test]
fn every_target_names_the_compiler_of_its_kernels() {
    for target in Target::ALL {
        let compiler = Kernels::best(target).name();
        let text = kernel(target);
        assert!(text.starts_with("; kernel @") && text.contains(&format!(", by {compiler} for {target}")), "{text}");
        assert!(text.contains("; launched at f.dlir:2"), "{text}");
    }
}
