//! The machine description decides: each of its numbers, if changed, changes the compilation of some program.

#[path = "common/lenet.rs"]
mod lenet;

use dlc_compiler::autodiff::differentiate;
use dlc_compiler::cpu::cost::{estimate, runs_in_parallel};
use dlc_compiler::machine::Machine;
use dlc_compiler::options::PassOptions;
use dlc_compiler::{passes, routine};
use dlc_ir::Graph;

/// A packed product; convolutions whose filters are permuted, one of them with rows shorter than a vector, one of small padded images
/// that are a power of two apart; reductions to a scalar and over columns; a scatter; a gather; a transpose.
const PROGRAMS: [&str; 8] = [
    "func @f(%x: f32[512,512] input, %w: f32[512,512] input) -> f32[512,512] {
  %0 = dot %x, %w {lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[512,512]
  return %0
}",
    "func @f(%x: f32[4,8,12,7] input, %w: f32[16,8,3,3] input) -> f32[4,16,10,5] {
  %0 = conv %x, %w {stride=[1,1], low=[0,0], high=[0,0], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1} : f32[4,16,10,5]
  return %0
}",
    "func @f(%x: f32[4,8,12,5] input, %w: f32[16,8,3,3] input) -> f32[4,16,10,3] {
  %0 = conv %x, %w {stride=[1,1], low=[0,0], high=[0,0], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1} : f32[4,16,10,3]
  return %0
}",
    "func @f(%x: f32[8,256,4,4] input, %w: f32[64,256,3,3] input) -> f32[8,64,4,4] {
  %0 = conv %x, %w {stride=[1,1], low=[1,1], high=[1,1], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1} : f32[8,64,4,4]
  return %0
}",
    "func @f(%x: f32[7,90] input, %i: i64[30,50] input) -> f32[50,30] {
  %0 = reshape %x : f32[630]
  %1 = gather %0, %i {axis=0, batch=0} : f32[30,50]
  %2 = transpose %1 {perm=[1,0]} : f32[50,30]
  return %2
}",
    "func @f(%x: f32[8,40000] input) -> (f32[], f32[40000]) {
  %0 = reduce %x {kind=sum, axes=[0,1]} : f32[]
  %1 = reduce %x {kind=sum, axes=[0]} : f32[40000]
  return %0, %1
}",
    "func @f(%x: f32[1000,64] input, %i: i64[4000] input, %u: f32[4000,64] input) -> f32[1000,64] {
  %0 = scatter %x, %i, %u {axis=0, batch=0, kind=add} : f32[1000,64]
  return %0
}",
    "func @f(%x: f32[64,48,500] input) -> f32[500,48,64] {
  %0 = transpose %x {perm=[2,1,0]} : f32[500,48,64]
  %1 = exp %0 : f32[500,48,64]
  return %1
}",
];

/// The kernels of all programs, their estimated costs, and which of them run in parallel.
fn made_for(machine: &Machine) -> String {
    let options = PassOptions { machine: *machine, ..PassOptions::default() };
    let step = differentiate(lenet::training_step(8), &mut |function, _| function).expect("LeNet has gradients");
    let programs = PROGRAMS.map(|text| text.parse::<Graph>().unwrap_or_else(|e| panic!("{e}\n{text}")));
    let texts = programs.into_iter().chain([step]).map(|graph| {
        let graph = passes::optimize(&graph, &options).graph;
        let program = routine::schedule(&graph, machine, 1).expect("the programs can be scheduled").program;
        let kernels = program.kernels.iter();
        let spread: Vec<_> = kernels.map(|k| (estimate(k, machine), runs_in_parallel(k, machine))).collect();
        format!("{program}{spread:?}\n")
    });
    texts.collect()
}

/// A number of the machine, by its name, and another value for it.
type Change = (&'static str, fn(&mut Machine));

#[test]
fn every_number_of_the_machine_decides_something() {
    let changes: [Change; 34] = [
        ("vector_bytes", |m| m.vector_bytes = 8),
        ("vector_registers", |m| m.vector_registers = 8),
        ("fma_chains", |m| m.fma_chains = 4),
        ("unrolled_vectors", |m| m.unrolled_vectors = 4),
        ("line_bytes", |m| m.line_bytes *= 16),
        ("l1_bytes", |m| m.l1_bytes /= 4),
        ("l2_bytes", |m| m.l2_bytes /= 4),
        ("llc_bytes", |m| m.llc_bytes = 0),
        ("threads", |m| m.threads = 2),
        ("launch", |m| m.costs.launch *= 1000),
        ("wake", |m| m.costs.wake = 0),
        ("chunk", |m| m.costs.chunk /= 16),
        ("packing", |m| m.costs.packing *= 1000),
        ("block", |m| m.costs.block *= 1000),
        ("byte", |m| m.costs.byte *= 1000),
        ("simple", |m| m.costs.simple *= 10_000),
        ("mac", |m| m.costs.mac /= 40),
        ("operation", |m| m.costs.operation *= 16),
        ("tiled_operation", |m| m.costs.tiled_operation *= 64),
        ("scatter_update", |m| m.costs.scatter_update *= 16),
        ("tick", |m| m.costs.tick *= 100),
        ("instruction", |m| m.costs.instruction *= 10),
        ("fma", |m| m.costs.fma *= 10),
        ("fma_latency", |m| m.costs.fma_latency *= 10),
        ("load", |m| m.costs.load *= 10),
        ("line", |m| m.costs.line *= 100),
        ("bounded_loop", |m| m.costs.bounded_loop *= 1000),
        ("strided_lane", |m| m.costs.strided_lane *= 100_000),
        ("gathered_lane", |m| m.costs.gathered_lane *= 100_000),
        ("divided_lane", |m| m.costs.divided_lane *= 100_000),
        ("untiled", |m| m.costs.untiled = 0),
        ("moved", |m| m.costs.moved *= 1000),
        ("strided", |m| m.costs.strided *= 1000),
        ("combined_lanes", |m| m.costs.combined_lanes *= 1000),
    ];
    let all = format!("{:#?}", Machine::PORTABLE);
    let numbers = all.lines().filter(|line| line.ends_with(',') && line.contains(char::is_numeric));
    let mut named: Vec<&str> = numbers.filter_map(|line| line.trim().split_once(": ")).map(|(name, _)| name).collect();
    let mut tried: Vec<&str> = changes.iter().map(|(name, _)| *name).collect();
    named.sort_unstable();
    tried.sort_unstable();
    assert_eq!(named, tried, "a number of the machine without a change, or the reverse");

    let portable = made_for(&Machine::PORTABLE);
    let idle: Vec<&str> = changes
        .into_iter()
        .filter(|(_, change)| {
            let mut machine = Machine::PORTABLE;
            change(&mut machine);
            made_for(&machine) == portable
        })
        .map(|(name, _)| name)
        .collect();
    assert!(idle.is_empty(), "these numbers decide nothing: {idle:?}");
}
