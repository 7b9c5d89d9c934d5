//! Compiling graphs for tests.

use dlc_compiler::codegen::Target;
use dlc_compiler::passes;
use dlc_compiler::pipeline::{Backend, CompileError, Level, Options, compile};
use dlc_compiler::program::Program;
use dlc_ir::Graph;

/// Options for tests: everything is checked.
pub fn options(level: Level, backend: Backend) -> Options {
    let target = Target::host().expect("the tests run on a supported machine");
    let passes = passes::Options { prepare: true, ..passes::Options::default() };
    Options { level, backend, passes, check: true, ..Options::new(target) }
}

/// Machine code on the calling thread.
pub const NATIVE: Backend = Backend::Cranelift { threads: 1 };

/// Compiles a graph.
pub fn build(graph: &Graph, level: Level, backend: Backend) -> Result<Program, CompileError> {
    compile(graph.clone(), &options(level, backend))
}
