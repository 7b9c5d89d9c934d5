//! The fusion round: which operators become one kernel.
//!
//! A class of the e-graph is a value that may be stored, an e-node a kernel form over the classes of what it reads (`language`,
//! `form`, `graph`). The rules (`rule`; `map`, `prologue`, `epilogue`, `siblings`) decide which operators a kernel can fuse, and
//! add the result to the same class. Extraction (`extract`) chooses among all of them by memory traffic, operations,
//! rematerialisation and launches (`candidate`), and keeps the greedy grouping (`greedy`) where nothing is strictly cheaper. Each
//! chosen kernel becomes a function (`outline`).
//!
//! A kernel is a set of operators of which one value (or several with the same iteration space) is stored; the others are
//! evaluated where they are needed. Scheduling relies on:
//!
//! - At most one operator of a kernel is a reduction (`reduce`, `reduce_window`, `window_argmax`, `dot`, `conv`).
//! - Between the reduction and every result there are only elementwise operators and reshapes, so that each element is finished
//!   where it is produced. The other operands of this epilogue are arbitrary.
//! - An operand of a product (`dot`, `conv`) is an argument, or computed from one by `broadcast`, `transpose`, `slice`, `reverse`
//!   and elementwise operators. An operand of a reduction may be computed by any map.
//! - All results have as many elements as the kernel's iteration space, and the same shape up to reshapes.
//! - A `reshape` whose operand or result is stored is outside of kernels, in the function: it is a view of a buffer.
//! - `scatter` is the only result of its kernel and has no epilogue; its operands may be computed by any map.
//! - A value that is read at several access maps or in several branches is evaluated at each, which is part of the kernel's cost;
//!   all operators of a kernel together are evaluated redundantly at most `Limits::kernel_recomputations` times.
//! - `call`, operators of more than 64 operands and constants of more than 64 elements are never fused; small constants and
//!   `iota` are duplicated into every kernel that uses them.

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
use crate::egraph::dag::Search;
use crate::options::PassOptions as Options;
use candidate::FusionCandidate;
use form::Forms;
use graph::FusionGraph;
use op_info::Operators;

pub use outline::Outliner;
pub use rule::Fusion;

/// The operators of one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The values that are stored, ascending.
    pub roots: Vec<NodeId>,
    /// All operators, including the roots, ascending.
    pub members: Vec<NodeId>,
    /// What it reads, in the order of the inputs of its form.
    pub inputs: SmallVec<[Value; 6]>,
    /// The rule that fused each operator.
    pub fused: Vec<(NodeId, Fusion)>,
}

/// A function divided into kernels. Operators in no group are views or never fused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    pub groups: Vec<Group>,
    /// The cost of the kernels.
    pub cost: Cost,
    /// The cost of the kernels of the greedy grouping.
    pub incumbent: Cost,
}

/// Divides a function into kernels.
pub fn group(function: &Function, options: &Options) -> Grouping {
    let ops = Operators::new(function, options);
    let mut forms = Forms::default();
    let mut graph = FusionGraph::saturated(function, &ops, &mut forms, greedy::kernels(&ops));
    let mut extracted = extract::cheapest(&graph, Search::Everywhere);
    let incumbent = extracted.incumbent;
    let chosen: Vec<_> = extracted.kernels.iter().map(|(kernel, _)| *kernel).collect();
    graph.set_incumbent(&chosen);
    if siblings::add(&mut graph, &chosen) {
        extracted = extract::cheapest(&graph, Search::NearIncumbent);
    }
    let group = |((form, last), stored): (_, Vec<Value>)| graph.group(form, last, &stored);
    let groups = extracted.kernels.into_iter().map(group);
    Grouping { groups: groups.collect(), cost: extracted.cost, incumbent }
}

/// The cost of a kernel by the model of the fusion round; `None` if it exceeds a limit or no rule would make it.
pub fn price(kernel: &Function, options: &Options) -> Option<Cost> {
    let ops = Operators::new(kernel, options);
    let members: Vec<u32> = kernel.ops().map(|(id, ..)| id.index() as u32).collect();
    let mut roots: Vec<u32> = kernel.results.iter().map(|r| r.value.node.index() as u32).collect();
    roots.sort_unstable();
    let candidate = FusionCandidate::of(&ops, &roots, &members)?;
    Some(roots.iter().fold(candidate.cost(&ops), |sum, &root| sum.saturating_add(ops.store(root))))
}
