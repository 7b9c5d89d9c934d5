//! The fusion round: which operators become one kernel.
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
mod candidates;
mod draft;
mod facts;
mod greedy;
mod name;
mod outline;
mod reads;
mod rule;
mod siblings;
mod wrapper;

use dlc_ir::{Function, NodeId};

use crate::egraph::Cost;
use crate::passes::Context;

pub use outline::Outliner;
pub use rule::Fusion;

/// Operators that become one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The values that are stored, ascending.
    pub roots: Vec<NodeId>,
    /// All operators, the roots among them, ascending.
    pub members: Vec<NodeId>,
}

/// A function cut into kernels. What is in no group stands alone or is a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// The kernels.
    pub groups: Vec<Group>,
    /// What they cost, kernels with several results counted apart.
    pub cost: Cost,
    /// What the kernels of the greedy grouping cost.
    pub incumbent: Cost,
}

/// Cuts a function into kernels.
pub fn group(function: &Function, context: &mut Context) -> Grouping {
    let facts = facts::Facts::new(function, &context.options);
    let (drafts, cost, incumbent) = candidates::cheapest(&facts, greedy::drafts(&facts));
    let clusters = siblings::merge(&facts, &drafts);
    let groups = clusters.into_iter().map(|c| facts.group(c.roots, c.members)).collect();
    Grouping { groups, cost, incumbent }
}
