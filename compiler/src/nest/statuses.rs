//! What a failed check of a running program means, and where in the source it is.

use dlc_ir::op::CheckIndex;
use dlc_ir::{Function, Graph, Loc, NodeId, Op};
use indexmap::IndexSet;

/// What a failed check of a running program means: status `i + 1` is failure number `i`.
///
/// A status says nothing of places, so that equal kernels are one: the step that failed knows those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    failures: IndexSet<Failure>,
    /// For each step of each routine, one after the other, where the checks of what it runs come from.
    places: Vec<Vec<Loc>>,
}

/// A check that can fail while a program runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// The operator that is checked.
    pub mnemonic: &'static str,
    /// The number of elements of the indexed axis.
    pub bound: usize,
    /// Which of the kernel function's checks it is.
    pub check: usize,
}

impl Statuses {
    /// The status for a failure of a node, which is this check.
    pub(crate) fn code(&mut self, function: &Function, node: NodeId, check: &CheckIndex) -> i32 {
        let CheckIndex { size, by } = *check;
        let check = function.checks().position(|check| check == node).expect("it is one of the checks");
        self.failures.insert_full(Failure { mnemonic: by.word(), bound: size, check }).0 as i32 + 1
    }

    /// Says which node of a function the next step of the program belongs to; none if it only copies.
    pub(crate) fn step(&mut self, graph: &Graph, function: &Function, node: Option<NodeId>) {
        self.places.push(node.map_or(vec![], |node| places(graph, function, node)));
    }

    /// What a status other than 0 means when a step failed with it, and where that check comes from.
    pub fn get(&self, status: i32, step: u32) -> Option<(&Failure, Loc)> {
        let failure = self.failures.get_index(usize::try_from(status).ok()?.checked_sub(1)?)?;
        let place = self.places.get(step as usize).and_then(|places| places.get(failure.check));
        Some((failure, place.copied().unwrap_or(Loc::NONE)))
    }
}

/// Where the checks of what a node runs come from.
fn places(graph: &Graph, function: &Function, node: NodeId) -> Vec<Loc> {
    match function.op(node) {
        Some(Op::Call(call)) => match graph.function(&call.func) {
            Some(callee) => callee.checks().map(|check| call.place(callee, check)).collect(),
            None => vec![],
        },
        Some(op) if op.is_checked() => vec![function.node(node).loc],
        _ => vec![],
    }
}
