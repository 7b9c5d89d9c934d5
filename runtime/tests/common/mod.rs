//! Programs for tests of the runtime.

use std::sync::Arc;

use dlc_compiler::machine::Target;
use dlc_compiler::options::{Options, PassOptions};
use dlc_compiler::pipeline::compile;
use dlc_compiler::program::Program;
use dlc_ir::bounds::Bounded;
use dlc_ir::{Graph, Tensor};

/// The graph of a text, and its program, with a preparation.
pub fn program(text: &str) -> (Arc<Graph>, Arc<Program>) {
    let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    graph.verify().unwrap();
    let passes = PassOptions { prepare: true, ..PassOptions::default() };
    let options = Options { passes, ..Options::new(Target::host().expect("a machine that dlc has code for")) };
    let compiled = compile(graph.clone(), &options).unwrap();
    (Arc::new(graph), Arc::new(compiled))
}

/// Checks that a result is within the reference's bound.
///
/// # Panics
/// If an element is not, or if more than one of twenty has no bound.
pub fn assert_within(found: &Tensor, expected: &Bounded, what: &str) {
    assert_eq!(found.ty(), expected.value.ty(), "{what}");
    for (i, (f, w)) in found.scalars().zip(expected.value.scalars()).enumerate() {
        let (x, y, radius) = (f.as_f64(), w.as_f64(), expected.radius[i]);
        assert!(f == w || (x - y).abs() <= radius, "{what}: element {i} is {x}, not {y} ± {radius:e}");
    }
    let open = expected.radius.iter().filter(|r| r.is_infinite()).count();
    assert!(20 * open <= expected.radius.len(), "{what}: {open} of {} elements have no bound", expected.radius.len());
}
