//! The algebra round as a pass: each function becomes the cheapest program that the rules know to be equal.

use dlc_ir::{FunctionKind, Graph};

use super::weights::Weights;
use super::{Context, Options};
use crate::egraph::{Space, extract, saturate as run};

/// Saturates and extracts every function but kernels.
pub fn saturate(graph: &Graph, context: &mut Context) -> Graph {
    let mut result = Graph::new();
    context.provenance = super::Provenance::default();
    result.sources = graph.sources.clone();
    let weights = Weights::of(graph);
    for function in graph.functions() {
        if function.kind == FunctionKind::Kernel {
            result.insert_from(graph, &function.name);
            continue;
        }
        let args = weights.args(function);
        let mut space = Space::with_weights(function, &args);
        run(&mut space, &context.options);
        context.e_nodes += space.egraph.total_number_of_nodes();
        // What is prepared costs nothing here.
        let prepare = context.options.prepare && weights.all_frozen && args.contains(&true);
        let extracted = extract(function, &space, &Options { prepare, ..context.options.clone() });
        for (node, step) in extracted.steps {
            context.provenance.add(&function.name, node, [step]);
        }
        result.insert(extracted.function);
    }
    result
}
