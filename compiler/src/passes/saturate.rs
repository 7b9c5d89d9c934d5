//! The algebra round as a pass: each function becomes the cheapest program that the rules prove equal.

use dlc_ir::{Function, FunctionKind, Graph};

use super::Context;
use super::weights::Weights;
use crate::egraph::{AlgebraGraph, Extracted, extract, saturate as run};
use crate::options::PassOptions;
use crate::parallel;

/// Saturates and extracts every function other than kernels.
pub fn saturate(graph: &Graph, context: &mut Context) -> Graph {
    let mut result = graph.like();
    let before = std::mem::take(&mut context.provenance);
    let weights = Weights::of(graph);
    let functions: Vec<&Function> = graph.functions().filter(|f| f.kind != FunctionKind::Kernel).collect();
    let size = |function: &&Function| function.op_count();
    let extracted = parallel::map_largest_first(context.options.threads, &functions, size, |function| {
        let args = weights.args(function);
        // Prepared values cost nothing here.
        let prepare = context.options.prepare && weights.all_frozen && args.contains(&true);
        // Moving factors into weights is checked when they are loaded, which requires preparation.
        let weights = prepare && context.options.weights;
        saturated(function, &args, &PassOptions { prepare, weights, ..context.options.clone() })
    });
    let mut extracted = extracted.into_iter();
    for function in graph.functions() {
        if function.kind == FunctionKind::Kernel {
            result.insert_from(graph, &function.name);
            continue;
        }
        let (extracted, e_nodes) = extracted.next().expect("there is one of each function");
        context.e_nodes += e_nodes;
        for (node, step) in extracted.steps {
            context.provenance.add(&function.name, node, [step]);
        }
        for (node, own) in extracted.kept {
            context.provenance.inherit(&function.name, node, before.origin(&function.name, own));
        }
        result.insert(extracted.function);
    }
    result
}

/// The extracted form of one function, given which of its arguments are weights; and the number of e-nodes.
pub(super) fn saturated(function: &Function, weights: &[bool], options: &PassOptions) -> (Extracted, usize) {
    let mut algebra = AlgebraGraph::with_weights(function, weights);
    run(&mut algebra, options);
    (extract(function, &algebra, options), algebra.egraph.total_number_of_nodes())
}
