//! Gradients of convolutions: the multiplications that they execute and those that are needed, which count neither padding nor the
//! gaps of a stride, and their speed on one thread. A rate counts the multiplications and additions that are needed.
//!
//! `cargo bench -p dlc-compiler --bench convolution`; `-- 3x3 stride 2` selects the convolutions whose descriptions contain all of these
//! words, `-- --target=x86-64-v3` the instruction set.

#[allow(dead_code, reason = "the test uses the rest")]
#[path = "../tests/common/convolution.rs"]
mod convolution;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod roofline;

use std::time::Instant;

use convolution::{Convolution, executed, kernels};
use dlc_compiler::machine::Target;
use dlc_compiler::options::Options;
use dlc_compiler::pipeline::compile;
use dlc_compiler::program::{Program, Workspace};
use dlc_ir::{DType, Scalar, Tensor};

/// Images, channels, filters, size, kernel, stride, padding, groups.
const CONVOLUTIONS: [[usize; 8]; 13] = [
    [64, 32, 64, 12, 5, 1, 0, 1],
    [64, 16, 32, 14, 5, 1, 2, 1],
    [32, 64, 64, 32, 3, 1, 1, 1],
    [32, 128, 128, 16, 3, 1, 1, 1],
    [32, 256, 256, 8, 3, 1, 1, 1],
    [32, 512, 512, 4, 3, 1, 1, 1],
    [32, 64, 128, 32, 3, 2, 1, 1],
    [32, 256, 512, 8, 3, 2, 1, 1],
    [8, 48, 96, 27, 5, 3, 2, 1],
    [32, 64, 128, 32, 1, 2, 0, 1],
    [1, 64, 64, 28, 3, 1, 1, 1],
    [8, 96, 96, 56, 3, 1, 1, 96],
    [8, 96, 96, 56, 3, 2, 1, 96],
];

fn main() {
    let named = std::env::args().find_map(|a| a.strip_prefix("--target=")?.parse().ok());
    let Some(target) = named.or_else(Target::host) else {
        println!("this machine has no target that dlc knows");
        return;
    };
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let options = Options { check: false, ..Options::new(target) };
    println!("FMA peak {:.1} GFLOP/s a core, target {target}", roofline::peak(target, DType::F32));
    println!("gradient, million multiplications: executed / needed = times, GFLOP/s");
    for [images, channels, filters, size, kernel, stride, padding, groups] in CONVOLUTIONS {
        let conv = Convolution { images, channels, filters, size, kernel, stride, padding, dilation: 1, groups };
        let name = format!(
            "{images}x{channels}x{size}x{size}, {filters} filters {kernel}x{kernel}, stride {stride}, padding {padding}, {groups} groups"
        );
        if !words.iter().all(|word| name.contains(word)) {
            continue;
        }
        println!("{name}");
        for (by_kernel, by) in [(false, "operand"), (true, "kernel")] {
            let text = conv.gradient(by_kernel);
            let executed = executed(&kernels(&text, &options)) as f64 / 1e6;
            let needed = conv.needed() as f64 / 1e6;
            let program = compile(text.parse().expect("the text is right"), &options).expect("it compiles");
            let rate = 2e-3 * needed / fastest(&program);
            println!("  by the {by}: {executed:.1} / {needed:.1} = {:.2}, {rate:.1} GFLOP/s", executed / needed);
        }
    }
}

/// The seconds of the fastest of many runs on one thread, with numbers none of which is zero.
fn fastest(program: &Program) -> f64 {
    let mut buffers = program.buffers();
    for (buffer, ty) in program.signature().buffers().enumerate() {
        let element = |i: usize| Scalar::Float(0.5 + (i % 7) as f64 / 16.0);
        buffers[buffer] = Tensor::from_fn(ty.clone(), element).memory().clone();
    }
    let mut workspace = Workspace::new(program, 1);
    let (begin, mut best) = (Instant::now(), f64::INFINITY);
    while begin.elapsed().as_secs_f64() < 0.5 {
        let start = Instant::now();
        program.run(&mut workspace, &mut buffers, None).expect("the gradient runs");
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}
