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

/// Machine code on the calling thread.
pub const NATIVE: Backend = Backend::Native { threads: 1 };

/// Compiles a graph.
pub fn build(graph: &Graph, level: Level, backend: Backend) -> Result<Program, CompileError> {
    compile(graph.clone(), &options(level, backend))
}
