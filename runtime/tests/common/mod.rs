//! Programs for tests of the runtime.

use std::sync::Arc;

use dlc_compiler::codegen::Target;
use dlc_compiler::passes;
use dlc_compiler::pipeline::{Options, compile};
use dlc_compiler::program::Program;
use dlc_ir::Graph;

/// The graph of a text, and its program, which prepares.
pub fn program(text: &str) -> (Arc<Graph>, Arc<Program>) {
    let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    graph.verify().unwrap();
    let passes = passes::Options { prepare: true, ..passes::Options::default() };
    let options = Options { passes, ..Options::new(Target::host().expect("a machine that dlc has code for")) };
    let compiled = compile(graph.clone(), &options).unwrap();
    (Arc::new(graph), Arc::new(compiled))
}
