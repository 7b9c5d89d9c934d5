//! The algebra round as a pass: each function becomes the cheapest program that the rules know to be equal.

use dlc_ir::{FunctionKind, Graph};

use super::Context;
use crate::egraph::{Space, extract, saturate as run};

/// Saturates and extracts every function but kernels.
pub fn saturate(graph: &Graph, context: &mut Context) -> Graph {
    let mut result = Graph::new();
    context.provenance = super::Provenance::default();
    result.sources = graph.sources.clone();
    for function in graph.functions() {
        if function.kind == FunctionKind::Kernel {
            result.insert(function.clone());
            continue;
        }
        let mut space = Space::new(function);
        run(&mut space, &context.options);
        context.e_nodes += space.egraph.total_number_of_nodes();
        let extracted = extract(function, &space, &context.options);
        for (node, step) in extracted.steps {
            context.provenance.add(&function.name, node, [step]);
        }
        result.insert(extracted.function);
    }
    result
}
