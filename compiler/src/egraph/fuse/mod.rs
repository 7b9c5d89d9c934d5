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
//! - `scatter`, `call` and constants of more than 64 elements stand alone in the function; small constants and `iota` are part of every
//!   kernel that uses them.

mod draft;
mod facts;
mod greedy;
mod name;
mod outline;

use dlc_ir::{Function, NodeId};

use crate::passes::Context;

pub use outline::Outliner;

/// Operators that become one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The values that are stored, ascending.
    pub roots: Vec<NodeId>,
    /// All operators, the roots among them, ascending.
    pub members: Vec<NodeId>,
}

/// Cuts a function into kernels. What is in no group stands alone or is a view.
pub fn group(function: &Function, context: &mut Context) -> Vec<Group> {
    let facts = facts::Facts::new(function, &context.options);
    greedy::group(&facts)
}
