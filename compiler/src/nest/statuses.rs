//! Maps the status of a failed check to what was checked and where in the source.

use dlc_ir::op::CheckIndex;
use dlc_ir::{Function, Graph, Loc, NodeId, Op};
use indexmap::IndexSet;

/// The failures that a program can report: status `i + 1` is failure number `i`.
///
/// A status has no source location, so that equal kernels are shared: the step that failed has the locations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    failures: IndexSet<Failure>,
    /// For the steps of all routines, in order, the locations of the checks that they run.
    locs: Vec<Vec<Loc>>,
}

/// A check that can fail at run time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    pub mnemonic: &'static str,
    /// The size of the indexed axis.
    pub bound: usize,
    /// Its number among the kernel function's checks.
    pub check: usize,
}

impl Statuses {
    /// The status for a failure of this check at a node.
    pub(crate) fn code(&mut self, function: &Function, node: NodeId, check: &CheckIndex) -> i32 {
        let CheckIndex { size, by } = *check;
        let check = function.checks().position(|check| check == node).expect("it is one of the checks");
        self.failures.insert_full(Failure { mnemonic: by.word(), bound: size, check }).0 as i32 + 1
    }

    /// Records the node that the next step of the program belongs to; `None` if it only copies.
    pub(crate) fn step(&mut self, graph: &Graph, function: &Function, node: Option<NodeId>) {
        self.locs.push(node.map_or(vec![], |node| locs(graph, function, node)));
    }

    /// The failure that a nonzero status of a step denotes, and its location.
    pub fn get(&self, status: i32, step: u32) -> Option<(&Failure, Loc)> {
        let failure = self.failures.get_index(usize::try_from(status).ok()?.checked_sub(1)?)?;
        let loc = self.locs.get(step as usize).and_then(|locs| locs.get(failure.check));
        Some((failure, loc.copied().unwrap_or(Loc::NONE)))
    }
}

/// The locations of the checks that a node runs.
fn locs(graph: &Graph, function: &Function, node: NodeId) -> Vec<Loc> {
    match function.op(node) {
        Some(Op::Call(call)) => match graph.function(&call.func) {
            Some(callee) => callee.checks().map(|check| call.loc_of(callee, check)).collect(),
            None => vec![],
        },
        Some(op) if op.is_checked() => vec![function.node(node).loc],
        _ => vec![],
    }
}
