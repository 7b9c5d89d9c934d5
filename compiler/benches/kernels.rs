//! The compile time of kernels: Cranelift beside the wide compiler, on the same kernels in the same run, and where the time of the
//! latter goes.
//!
//! `cargo bench -p dlc-compiler --bench kernels`

#[allow(dead_code, reason = "tests use the rest")]
#[path = "../tests/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "tests use the rest")]
#[path = "../tests/common/lenet.rs"]
mod lenet;

use std::collections::BTreeMap;
use std::time::Instant;

use dlc_compiler::codegen::{Kernels, Native};
use dlc_compiler::machine::Target;
use dlc_compiler::options::Options;
use dlc_compiler::pipeline::{differentiate, optimize, schedule};
use dlc_compiler::routine::program::KernelProgram;
use dlc_ir::Graph;

/// Compilations of all kernels; the fastest counts.
const REPEATS: usize = 30;

/// Nanoseconds of each part of the compilation, and how much it made.
type Parts = BTreeMap<&'static str, (f64, usize)>;

/// Compiles all kernels of a program; the time is that of the fastest run.
fn measure(emitter: Native, program: &KernelProgram) -> (f64, Parts) {
    let mut best = (f64::INFINITY, Parts::new());
    for _ in 0..REPEATS {
        let mut parts = Parts::new();
        let mut last = Instant::now();
        let mut after = |part: &'static str, made: usize| {
            let now = Instant::now();
            let entry = parts.entry(part).or_default();
            entry.0 += (now - last).as_secs_f64() * 1e9;
            entry.1 += made;
            last = Instant::now();
        };
        emitter.measure(program, &mut after).expect("the kernels are well-formed");
        parts.remove("begin");
        let total = parts.values().map(|(ns, _)| ns).sum();
        if total < best.0 {
            best = (total, parts);
        }
    }
    best
}

/// The kernels of graphs for a target.
fn programs(graphs: &[Graph], target: Target) -> Vec<KernelProgram> {
    let options = Options { check: false, ..Options::new(target) };
    let program = |graph: &Graph| {
        let graph = differentiate(graph.clone(), &options).expect("it has a gradient");
        let graph = optimize(&graph, &options).expect("it is right");
        schedule(&graph, &options).expect("it has kernels").program
    };
    graphs.iter().map(program).collect()
}

/// All kernels of some programs.
fn measure_all(emitter: Native, programs: &[KernelProgram]) -> (f64, Parts) {
    let mut all = (0.0, Parts::new());
    for program in programs {
        let (total, parts) = measure(emitter, program);
        all.0 += total;
        for (part, (ns, made)) in parts {
            let entry = all.1.entry(part).or_default();
            *entry = (entry.0 + ns, entry.1 + made);
        }
    }
    all
}

fn compare(name: &str, graphs: &[Graph]) {
    let portable = programs(graphs, Target::X86_64);
    let (before, _) = measure_all(Native::new(Target::X86_64), &portable);
    let count = |programs: &[KernelProgram]| programs.iter().map(|p| p.kernels.len()).sum::<usize>();
    println!("{name}: {} kernels for x86-64: {:.2} ms", count(&portable), before / 1e6);
    for target in [Target::X86_64V3, Target::X86_64V4] {
        let programs = programs(graphs, target);
        let (narrow, _) = measure_all(Native::new(target).kernels(Kernels::Cranelift), &programs);
        let (wide, parts) = measure_all(Native::new(target), &programs);
        let instructions = parts["emit"].1;
        println!(
            "  {} kernels for {target}: {} {:.2} ms, wide {:.3} ms for {instructions} instructions: {:.1} times faster",
            count(&programs),
            Kernels::Cranelift.name(),
            narrow / 1e6,
            wide / 1e6,
            narrow / wide,
        );
        for part in ["select", "allocate", "emit", "encode"] {
            let (ns, made) = parts[part];
            println!("    {part:10} {:6.1} ns per instruction, makes {made}", ns / instructions as f64);
        }
        println!("    {:10} {:6.1} ns per instruction", "all", wide / instructions as f64);
    }
}

fn main() {
    let lenet = [lenet::training_step(64)];
    let repeats: Option<usize> = std::env::args().nth(1).and_then(|n| n.parse().ok());
    if let Some(repeats) = repeats {
        // For a profiler.
        let (emitter, programs) = (Native::new(Target::X86_64V4), programs(&lenet, Target::X86_64V4));
        (0..repeats).for_each(|_| emitter.measure(&programs[0], &mut |_, _| {}).expect("the kernels are well-formed"));
        return;
    }
    compare("a training step of LeNet", &lenet);
    let random: Vec<Graph> = (0..20).map(|seed| common::random::graph(seed, 16, common::random::Kind::Real)).collect();
    compare("random graphs", &random);
}
