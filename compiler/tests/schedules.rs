//! The kernels of a few small graphs, as text: what the scheduler makes of an epilogue, of convolutions, of reductions along
//! either axis, and of an update in place.

use dlc_compiler::machine::Target;
use dlc_compiler::options::Options;
use dlc_compiler::pipeline::{Stage, text};
use dlc_ir::Graph;

fn kernels(source: &str) -> String {
    let graph: Graph = source.parse().unwrap_or_else(|e| panic!("{e}\n{source}"));
    let options = Options { check: true, ..Options::new(Target::X86_64) };
    text(graph, Stage::Kernels, &options).expect("the graph compiles")
}

#[test]
fn product_with_bias_and_activation() {
    insta::assert_snapshot!(kernels(
        "func @f(%x: f32[32,64] input, %w: f32[16,64] input, %b: f32[16] input) -> f32[32,16] {
  %0 = dot %x, %w {lhs=[1], rhs=[1], lhs_batch=[], rhs_batch=[]} : f32[32,16]
  %1 = broadcast %b {axes=[1]} : f32[32,16]
  %2 = add %0, %1 : f32[32,16]
  %3 = relu %2 : f32[32,16]
  return %3
}"
    ));
}

#[test]
fn padded_convolution() {
    insta::assert_snapshot!(kernels(
        "func @f(%x: f32[2,3,8,8] input, %w: f32[4,3,3,3] input) -> f32[2,4,8,8] {
  %0 = conv %x, %w {stride=[1,1], low=[1,1], high=[1,1], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1} : f32[2,4,8,8]
  return %0
}"
    ));
}

/// The rows of the result have five elements and fill vectors badly: the filters are permuted first, and vectors run along the
/// channels of the result.
#[test]
fn convolution_with_vectors_along_channels() {
    insta::assert_snapshot!(kernels(
        "func @f(%x: f32[4,8,12,7] input, %w: f32[16,8,3,3] input) -> f32[4,16,10,5] {
  %0 = conv %x, %w {stride=[1,1], low=[0,0], high=[0,0], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1} : f32[4,16,10,5]
  return %0
}"
    ));
}

#[test]
fn row_sums_and_maxima() {
    insta::assert_snapshot!(kernels(
        "func @f(%x: f32[40,37] input) -> (f32[40], f32[37]) {
  %0 = reduce %x {kind=sum, axes=[1]} : f32[40]
  %1 = reduce %x {kind=max, axes=[0]} : f32[37]
  return %0, %1
}"
    ));
}

#[test]
fn rows_of_many_vectors_have_several_accumulators() {
    insta::assert_snapshot!(kernels(
        "func @f(%x: f32[5,291] input) -> f32[5] {
  %0 = reduce %x {kind=sum, axes=[1]} : f32[5]
  return %0
}"
    ));
}

/// The product that is a result too is computed once.
#[test]
fn a_sum_with_one_product_is_a_multiply_add() {
    insta::assert_snapshot!(kernels(
        "func @f(%x: f32[64] input, %y: f32[64] input, %z: f32[64] input) -> (f32[64], f32[64], f32[64]) {
  %0 = mul %x, %y : f32[64]
  %1 = add %0, %z : f32[64]
  %2 = mul %x, %z : f32[64]
  %3 = add %2, %y : f32[64]
  return %0, %1, %3
}"
    ));
}

#[test]
fn an_update_in_place() {
    insta::assert_snapshot!(kernels(
        r#"func @step(%g: f32[100] input, %w: f32[100] param "w") -> (f32[100] update %w) {
  %0 = constant 0.5 : f32[]
  %1 = broadcast %0 {axes=[]} : f32[100]
  %2 = mul %1, %g : f32[100]
  %3 = sub %w, %2 : f32[100]
  return %3
}"#
    ));
}

/// A concatenation of computed parts is a kernel for each, which computes nothing of the others; one as short as the third is a branch.
#[test]
fn a_concatenation_in_pieces() {
    insta::assert_snapshot!(kernels(
        "func @f(%x: f32[64,32] input, %y: f32[64,48] input, %z: f32[2,2] input) -> (f32[64,80], f32[2,4]) {
  %0 = exp %x : f32[64,32]
  %1 = relu %y : f32[64,48]
  %2 = concat %0, %1 {axis=1} : f32[64,80]
  %3 = relu %z : f32[2,2]
  %4 = concat %3, %z {axis=1} : f32[2,4]
  return %2, %4
}"
    ));
}
