//! The fusion round: which operators become one kernel.
//!
//! A class of the e-graph is a value that may be stored, an e-node a kernel form over the classes of what it reads (`language`, `form`,
//! `graph`). The rules (`rule`; `map`, `prologue`, `epilogue`, `siblings`) say what a kernel can take in of what it reads, and add the
//! kernel that this makes to the same class. Extraction (`extract`) chooses among all of them by bytes, operations, recomputation and
//! launches (`candidate`), and keeps the greedy grouping (`greedy`) where nothing is strictly cheaper. Each kernel that is
//! chosen becomes a function (`outline`).
//!
//! A kernel is a set of operators of which one value (or several with the same domain) is stored; everything else in it is
//! evaluated where it is needed. What scheduling may rely on:
//!
//! - At most one operator of a kernel reduces (`reduce`, `reduce_window`, `window_argmax`, `dot`, `conv`).
//! - Between that operator and every result there are only element-by-element operators and reshapes, so that each
//!   element of the reduction is finished where it is produced. The other operands of this epilogue may be anything.
//! - What a product (`dot`, `conv`) reads is an argument, or comes from one through `broadcast`, `transpose`, `slice`, `reverse`
//!   and element-by-element operators. What a reduction reads may come through every map.
//! - All results have as many elements as the kernel's domain, and the same shape but for reshapes.
//! - A `reshape` whose operand or result is stored anyway stands outside, in the function: it is another view of a buffer.
//! - `scatter` is the only result of its kernel and has no epilogue; what it reads may come through every map.
//! - A value that is read at several access maps or in several branches is evaluated at each, which is its price in the kernel; all
//!   operators of a kernel together are evaluated at most `Limits::kernel_recomputations` times more than once each.
//! - `call`, operators of more than 64 operands and constants of more than 64 elements stand alone in the function; small constants and `iota` are part of every
//!   kernel that uses them.

mod access;
mod candidate;
mod epilogue;
mod extract;
mod form;
mod graph;
mod greedy;
mod language;
mod map;
mod name;
mod op_info;
mod outline;
mod prologue;
mod reads;
mod rule;
mod siblings;
mod wrapper;

use dlc_ir::{Function, NodeId, Value};
use smallvec::SmallVec;

use crate::egraph::Cost;
use crate::options::PassOptions as Options;
use candidate::FusionCandidate;
use graph::FusionGraph;
use op_info::Operators;

pub use form::{FormId, Forms};
pub use outline::Outliner;
pub use rule::Fusion;

/// Operators that become one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The values that are stored, ascending.
    pub roots: Vec<NodeId>,
    /// All operators, the roots among them, ascending.
    pub members: Vec<NodeId>,
    /// What it computes of what it reads.
    pub form: FormId,
    /// What it reads, in the order of the form's inputs.
    pub inputs: SmallVec<[Value; 6]>,
    /// The rules that brought operators into it, by operator.
    pub fused: Vec<(NodeId, Fusion)>,
}

/// A function cut into kernels. What is in no group stands alone or is a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// The kernels.
    pub groups: Vec<Group>,
    /// What they cost.
    pub cost: Cost,
    /// What the kernels of the greedy grouping cost.
    pub incumbent: Cost,
}

/// Cuts a function into kernels, whose forms are noted.
pub fn group(function: &Function, options: &Options, forms: &mut Forms) -> Grouping {
    let ops = Operators::new(function, options);
    let mut graph = FusionGraph::saturated(function, &ops, forms, greedy::kernels(&ops));
    let mut extracted = extract::cheapest(&graph);
    let incumbent = extracted.incumbent;
    let chosen: Vec<_> = extracted.kernels.iter().map(|(kernel, _)| *kernel).collect();
    graph.set_incumbent(&chosen);
    if siblings::add(&mut graph, &chosen) {
        extracted = extract::cheapest(&graph);
    }
    let group = |((form, last), stored): (_, Vec<Value>)| graph.group(form, last, &stored);
    let groups = extracted.kernels.into_iter().map(group);
    Grouping { groups: groups.collect(), cost: extracted.cost, incumbent }
}

/// What a kernel costs, by the measure by which kernels are chosen; `None` if its operators are more than one kernel may have, or no
/// rule would have brought them together.
pub fn price(kernel: &Function, options: &Options) -> Option<Cost> {
    let ops = Operators::new(kernel, options);
    let members: Vec<u32> = kernel.ops().map(|(id, ..)| id.index() as u32).collect();
    let mut roots: Vec<u32> = kernel.results.iter().map(|r| r.value.node.index() as u32).collect();
    roots.sort_unstable();
    let candidate = FusionCandidate::of(&ops, &roots, &members)?;
    Some(roots.iter().fold(candidate.cost(&ops), |sum, &root| sum.saturating_add(ops.store(root))))
}
