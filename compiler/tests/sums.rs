//! Long sums are accurate: they are added in chains, the error of which is bounded.

#[allow(dead_code, reason = "shared with other test binaries")]
mod common;
#[path = "common/run.rs"]
mod run;

use dlc_compiler::options::Level;
use dlc_ir::{Blobs, Graph, Scalar, Tensor};

/// Sums of equal numbers, for which the rounding errors of a chain have the same sign for a long time.
fn check(text: &str, terms: usize) {
    let graph = Graph::parse(text, &Blobs::default()).expect("the text is right");
    let args: Vec<Tensor> =
        graph.entry().args().iter().map(|a| Tensor::full(a.ty.clone(), Scalar::Float(0.1))).collect();
    let expected = graph.interpret(&args).expect("it runs")[0].to_f64s();
    for level in [Level::O0, Level::Full] {
        let program = run::build(&graph, level, run::NATIVE).expect("it compiles");
        let found = program.evaluate(&args).expect("it runs")[0].to_f64s();
        // Two chains of √K and at least 64 additions, each of which rounds by half an ulp; the reference is rounded once.
        let additions = 2.0 * (terms as f64).sqrt().max(64.0) + 1.0;
        for (i, (w, f)) in expected.iter().zip(&found).enumerate() {
            let error = (w - f).abs() / w.abs();
            let bound = additions * f64::from(f32::EPSILON) / 2.0;
            assert!(error <= bound, "{level:?}: element {i} is {f}, not {w}: {error:e} > {bound:e}\n{text}");
        }
    }
}

#[test]
fn sums_over_one_long_axis() {
    check(
        "func @f(%x: f32[30000,3] input) -> f32[3] {\n  %0 = reduce %x {kind=sum, axes=[0]} : f32[3]\n  return %0\n}\n",
        30000,
    );
    check(
        "func @f(%x: f32[2,60001] input) -> f32[2] {\n  %0 = reduce %x {kind=sum, axes=[1]} : f32[2]\n  return %0\n}\n",
        60001,
    );
}

#[test]
fn sums_over_several_axes() {
    check(
        "func @f(%x: f32[40,3,31,29] input) -> f32[3] {\n  %0 = reduce %x {kind=sum, axes=[0,2,3]} : f32[3]\n  return %0\n}\n",
        40 * 31 * 29,
    );
    for (shape, axes, left, terms) in [
        ("1000,300", "0,1", "", 1000 * 300),
        ("4096,10", "0", "10", 4096),
        ("64,16,20,20", "0,2,3", "16", 64 * 20 * 20),
        ("2,100000", "1", "2", 100_000),
    ] {
        let reduce = format!("reduce %x {{kind=sum, axes=[{axes}]}} : f32[{left}]");
        check(&format!("func @f(%x: f32[{shape}] input) -> f32[{left}] {{\n  %0 = {reduce}\n  return %0\n}}\n"), terms);
    }
}

#[test]
fn convolutions_of_many_channels() {
    let attrs = "stride=[1,1], low=[1,1], high=[1,1], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1";
    check(
        &format!(
            "func @f(%x: f32[1,3000,4,4] input, %k: f32[2,3000,3,3] input) -> f32[1,2,4,4] {{\n  \
             %0 = conv %x, %k {{{attrs}}} : f32[1,2,4,4]\n  return %0\n}}\n"
        ),
        3000 * 9,
    );
}

#[test]
fn products_of_long_rows() {
    let dot = |m: usize, k: usize, n: usize| {
        let text = format!(
            "func @f(%x: f32[{m},{k}] input, %y: f32[{k},{n}] input) -> f32[{m},{n}] {{\n  \
             %0 = dot %x, %y {{lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]}} : f32[{m},{n}]\n  return %0\n}}\n"
        );
        check(&text, k);
    };
    dot(3, 20_000, 5);
    dot(8, 20_000, 16);
    // packed and blocked
    dot(32, 20_000, 32);
}
