//! Extraction from the fusion e-graph: the cheapest set of kernels that stores everything it reads.

use dlc_ir::Value;

use super::form::FormId;
use super::graph::FusionGraph;
use super::language::{Head, KernelNode};
use super::op_info::KernelRole;
use crate::egraph::cost::Cost;
use crate::egraph::dag::{Choice, Dag, Search};
use crate::egraph::numbering::Numbering;

/// A grouping of a function's operators.
pub(super) struct Extracted {
    /// The kernels, ascending by their last values, each with the needed ones of its values, ascending.
    pub kernels: Vec<((FormId, Value), Vec<Value>)>,
    pub cost: Cost,
    pub incumbent: Cost,
}

/// The cheapest kernels that the search finds in the e-graph; the incumbent unless strictly cheaper.
pub(super) fn cheapest(graph: &FusionGraph<'_>, search: Search) -> Extracted {
    let numbering = Numbering::new(&graph.egraph);
    let (mut dag, mut nodes, mut incumbent) = (Dag::default(), vec![], Choice::new());
    for &id in numbering.ids() {
        let class = dag.begin_class();
        incumbent.push(None);
        for node in &graph.egraph[id].nodes {
            let Some(cost) = cost(graph, node) else { continue };
            let children = node.children.iter().filter(|&&child| !is_argument(graph, graph.egraph[child].data));
            if is_incumbent(graph, node) {
                incumbent[class as usize] = Some(nodes.len() as u32);
            }
            dag.add(children.map(|&child| numbering.of(child)).collect(), cost);
            nodes.push(node);
        }
    }
    let results = graph.function.results.iter().filter_map(|result| graph.known_class(result.value));
    dag.finish(results.map(|id| numbering.of(id)).collect());
    let (choice, cost, incumbent) = dag.cheapest(incumbent, search);
    let needed = dag.needed(&choice);
    let chosen = (0..dag.classes()).filter(|&c| needed[c]).filter_map(|c| choice[c]).map(|node| nodes[node as usize]);
    let mut stored: Vec<((FormId, Value), Value)> = chosen.filter_map(|node| stored(graph, node)).collect();
    stored.sort_unstable_by_key(|&((form, last), value)| (last, form, value));
    let kernels = stored.chunk_by(|a, b| a.0 == b.0).map(|k| (k[0].0, k.iter().map(|s| s.1).collect())).collect();
    Extracted { kernels, cost, incumbent }
}

fn is_argument(graph: &FusionGraph<'_>, value: Value) -> bool {
    graph.ops.get(value.node.index() as u32).role == KernelRole::Argument
}

/// The cost of an e-node without its operands; `None` if it is a leaf. The results of a kernel with several are stored by e-nodes
/// of their own, so that an unneeded one costs nothing.
fn cost(graph: &FusionGraph<'_>, node: &KernelNode) -> Option<Cost> {
    let store = |value: Value| graph.ops.store(value.node.index() as u32);
    match node.head {
        Head::Value(value) => is_argument(graph, value).then_some(0),
        Head::Outside(_) => Some(0),
        Head::Result(value) => Some(store(value)),
        Head::Kernel(form, last) => {
            let store = if graph.is_shared(form, last) { 0 } else { store(last) };
            Some(graph.cost(form).saturating_add(store))
        }
    }
}

/// The kernel by which an e-node stores a value, and the value.
fn stored(graph: &FusionGraph<'_>, node: &KernelNode) -> Option<((FormId, Value), Value)> {
    match node.head {
        Head::Value(_) | Head::Outside(_) => None,
        Head::Kernel(form, last) => (!graph.is_shared(form, last)).then_some(((form, last), last)),
        // The class of a kernel with several results has only that kernel.
        Head::Result(value) => graph.egraph[node.children[0]].nodes.iter().find_map(|kernel| match kernel.head {
            Head::Kernel(form, last) => Some(((form, last), value)),
            _ => None,
        }),
    }
}

fn is_incumbent(graph: &FusionGraph<'_>, node: &KernelNode) -> bool {
    match (node.head, stored(graph, node)) {
        (Head::Value(_) | Head::Outside(_), _) => true,
        // All e-nodes of the class of several values.
        (Head::Kernel(..), None) => true,
        (_, Some(((form, last), value))) => graph.is_incumbent(value, form, last),
        (Head::Result(_), None) => false,
    }
}
