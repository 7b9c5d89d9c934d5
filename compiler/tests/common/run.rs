//! Compiling graphs for tests.

use dlc_compiler::machine::Target;
use dlc_compiler::options::{Backend, Level, Options, PassOptions};
use dlc_compiler::pipeline::{CompileError, compile};
use dlc_compiler::program::Program;
use dlc_ir::Graph;

/// Options for tests: everything is checked.
pub fn options(level: Level, backend: Backend) -> Options {
    let target = Target::host().expect("the tests run on a supported machine");
    let passes = PassOptions { prepare: true, ..PassOptions::default() };
    Options { level, backend, passes, check: true, ..Options::new(target) }
}

/// The ways to run what these back ends make: machine code for every instruction set that the machine has.
#[allow(dead_code, reason = "not every test needs it")]
pub fn ways(backends: &[Backend]) -> Vec<(Target, Backend)> {
    let targets = |backend: Backend| match backend {
        Backend::Native { .. } => Target::ALL.into_iter().filter(|target| target.runs_here()).collect(),
        _ => Vec::from_iter(Target::host()),
    };
    backends.iter().flat_map(|&backend| targets(backend).into_iter().map(move |target| (target, backend))).collect()
}

/// Options for a way to run.
#[allow(dead_code, reason = "not every test needs it")]
pub fn options_for((target, backend): (Target, Backend), level: Level) -> Options {
    Options { target, ..options(level, backend) }
}

/// Machine code on the calling thread.
pub const NATIVE: Backend = Backend::Native { threads: 1 };

/// Compiles a graph.
#[allow(dead_code, reason = "not every test needs it")]
pub fn build(graph: &Graph, level: Level, backend: Backend) -> Result<Program, CompileError> {
    compile(graph.clone(), &options(level, backend))
}
