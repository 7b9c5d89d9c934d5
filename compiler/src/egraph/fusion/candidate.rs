//! A candidate kernel: a set of operators, with the cost of evaluating each.

use dlc_ir::NodeId;
use smallvec::SmallVec;

use super::access::Accesses;
use super::op_info::{KernelRole, Operators};
use super::rule::Fusion;
use crate::egraph::cost::Cost;

/// An operator in a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub node: u32,
    /// The number of evaluations of its scalar body.
    pub evals: u64,
    /// Its accesses per iteration of the loops around them.
    pub accesses: Accesses,
    /// The iterations of those loops.
    pub iterations: u64,
    /// Whether every path to a root is elementwise: a condition for a reduction's epilogue.
    pub through: bool,
    /// Whether it is in the prologue of a product.
    pub in_product: bool,
    /// Whether it is in the prologue of a reduction.
    pub in_reduction: bool,
    /// Whether its operands must be stored.
    pub frozen: bool,
}

/// A kernel that stores one value, or several with the same loops; operators are added from the roots upwards, users before
/// operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FusionCandidate {
    /// The last root first, which determines the loops.
    pub members: Vec<Member>,
    /// The stored values, ascending.
    pub roots: SmallVec<[u32; 1]>,
    /// The reduction, if there is one.
    pub reducer: Option<u32>,
}

impl Member {
    fn new(node: u32) -> Self {
        Member {
            node,
            evals: 0,
            accesses: Accesses::new(),
            iterations: 0,
            through: true,
            in_product: false,
            in_reduction: false,
            frozen: false,
        }
    }

    /// A value that is stored by a kernel with the loops of `root`.
    fn stored(ops: &Operators, root: u32, node: u32) -> Self {
        let elements = ops.get(node).elements;
        let accesses = smallvec::smallvec![ops.stored(root, node)];
        Member { evals: elements, accesses, iterations: elements, ..Member::new(node) }
    }

    fn recomputations(&self, ops: &Operators) -> usize {
        self.accesses.len().saturating_sub(1) * ops.get(self.node).code
    }
}

impl FusionCandidate {
    /// The kernel of one operator.
    pub fn new(ops: &Operators, root: u32) -> Self {
        let reduces = matches!(ops.get(root).role, KernelRole::Reduce { .. } | KernelRole::Scatter);
        FusionCandidate {
            members: vec![Member::stored(ops, root, root)],
            roots: smallvec::smallvec![root],
            reducer: reduces.then_some(root),
        }
    }

    /// The kernel of several operators that stores `roots`, of one shape; `None` if they cannot be one kernel. Both are
    /// ascending.
    pub fn of(ops: &Operators, roots: &[u32], members: &[u32]) -> Option<Self> {
        let last = *roots.last()?;
        let mut candidate = FusionCandidate::new(ops, last);
        candidate.roots = SmallVec::from_slice(roots);
        for &node in members.iter().rev().filter(|&&n| n != last) {
            let member = candidate.can_fuse(ops, node)?;
            candidate.join(ops, member);
        }
        Some(candidate)
    }

    /// The last stored value.
    pub fn root(&self) -> u32 {
        self.members[0].node
    }

    pub fn member(&self, node: u32) -> Option<&Member> {
        self.members.iter().find(|m| m.node == node)
    }

    /// The member that `node`, an operand of members or a root, becomes in this kernel; `None` if no rule fuses it.
    pub fn can_fuse(&self, ops: &Operators, node: u32) -> Option<Member> {
        if self.members.len() >= ops.limits.kernel_ops {
            return None;
        }
        let info = ops.get(node);
        let is_root = self.roots.contains(&node);
        let mut joined = if is_root { Member::stored(ops, self.root(), node) } else { Member::new(node) };
        // A scalar is hoisted out of every loop, a constant takes no work.
        let counted = info.elements != 1 && info.role != KernelRole::Constant;
        let limit = ops.limits.kernel_recomputations;
        let users = &ops.users[node as usize];
        for user in self.members.iter().filter(|member| users.binary_search(&member.node).is_ok()) {
            let user_info = ops.get(user.node);
            if user.frozen {
                return None;
            }
            let iterations = match (user_info.role, info.role) {
                (KernelRole::Reduce { .. }, _) => user_info.elements.saturating_mul(user_info.reduction),
                (KernelRole::Scatter, _) => info.elements,
                (KernelRole::Move { affine: false }, _) if info.elements < user_info.elements => {
                    (user.iterations / user_info.elements.max(1)).max(1) * info.elements
                }
                _ => user.iterations,
            };
            joined.iterations = joined.iterations.max(iterations);
            if counted {
                ops.accesses(user.node, &user.accesses, node, limit, &mut joined.accesses);
            }
            joined.through &= user.through && matches!(user_info.role, KernelRole::Map | KernelRole::Reshape);
            joined.in_product |= user.in_product || user_info.role == KernelRole::Reduce { contraction: true };
            joined.in_reduction |=
                user.in_reduction || matches!(user_info.role, KernelRole::Reduce { .. } | KernelRole::Scatter);
        }
        if info.elements == 1 {
            joined.iterations = 1;
        }
        joined.evals = joined.iterations.saturating_mul(ops.multiplicity(&joined.accesses));
        if self.recomputations(ops) + joined.recomputations(ops) > limit {
            return None;
        }
        Fusion::of(ops, self, &joined).join(ops, self, joined)
    }

    /// The redundant evaluations of members per iteration of the loops around them, weighted by the cost of slow functions.
    fn recomputations(&self, ops: &Operators) -> usize {
        self.members.iter().map(|m| m.recomputations(ops)).sum()
    }

    /// Fuses an operator that members read. Members that it reads in turn are re-evaluated; returns `false`, without a change, if
    /// one of them could no longer be a member.
    pub fn take(&mut self, ops: &Operators, member: Member) -> bool {
        let read = self.read_through(ops, member.node);
        if read.is_empty() {
            self.join(ops, member);
            return true;
        }
        let (again, rest) = self.members.iter().cloned().partition(|m| read.contains(&m.node));
        let again: Vec<Member> = again;
        let mut fused = FusionCandidate { members: rest, roots: self.roots.clone(), reducer: self.reducer };
        fused.reducer = fused.reducer.filter(|reducer| !read.contains(reducer));
        fused.join(ops, member);
        for old in again {
            let Some(member) = fused.can_fuse(ops, old.node) else { return false };
            fused.join(ops, member);
        }
        *self = fused;
        true
    }

    /// The members that an operator reads, directly or through others.
    fn read_through(&self, ops: &Operators, node: u32) -> SmallVec<[u32; 8]> {
        let mut read: SmallVec<[u32; 8]> = SmallVec::new();
        let mut open: SmallVec<[u32; 8]> = smallvec::smallvec![node];
        while let Some(node) = open.pop() {
            for &operand in &ops.get(node).operands {
                if self.member(operand).is_some() && !read.contains(&operand) {
                    read.push(operand);
                    open.push(operand);
                }
            }
        }
        read
    }

    /// Fuses an operator that reads no members.
    pub fn join(&mut self, ops: &Operators, member: Member) {
        if matches!(ops.get(member.node).role, KernelRole::Reduce { .. }) {
            self.reducer = Some(member.node);
        }
        self.members.push(member);
    }

    /// The nodes that it reads, without duplicates, with the number of reads, ascending.
    pub fn inputs(&self, ops: &Operators) -> SmallVec<[(u32, u64); 6]> {
        let mut inputs: SmallVec<[(u32, u64); 6]> = SmallVec::new();
        for member in &self.members {
            let info = ops.get(member.node);
            let evals = match info.role {
                KernelRole::Reduce { .. } => info.elements.saturating_mul(info.reduction),
                KernelRole::Scatter => u64::MAX,
                _ => member.evals,
            };
            for &operand in &info.operands {
                if self.member(operand).is_some() {
                    continue;
                }
                match inputs.iter_mut().find(|(n, _)| *n == operand) {
                    Some((_, most)) => *most = evals.max(*most),
                    None => inputs.push((operand, evals)),
                }
            }
        }
        inputs.sort_unstable();
        inputs
    }

    /// The cost of running it without storing its results: the launch, the evaluations, the reads.
    pub fn cost(&self, ops: &Operators) -> Cost {
        let work = |member: &Member| {
            let info = ops.get(member.node);
            info.step.saturating_mul(member.evals).saturating_mul(info.reduction)
        };
        let work = self.members.iter().map(work).fold(ops.costs.launch, Cost::saturating_add);
        self.inputs(ops).iter().fold(work, |sum, &(node, evals)| {
            sum.saturating_add(ops.read(node, evals)).saturating_add(self.further_reads(ops, node))
        })
    }

    /// The cost of reading a value at several accesses instead of one.
    fn further_reads(&self, ops: &Operators, node: u32) -> Cost {
        let mut accesses = Accesses::new();
        let mut iterations = 0;
        let users = &ops.users[node as usize];
        for user in self.members.iter().filter(|member| users.binary_search(&member.node).is_ok()) {
            ops.accesses(user.node, &user.accesses, node, usize::MAX, &mut accesses);
            iterations = user.iterations.max(iterations);
        }
        ops.further_reads(&accesses).saturating_mul(iterations)
    }

    /// The members, ascending, without reshapes at the leaves, which are views of stored values.
    pub fn trimmed(&self, ops: &Operators) -> Vec<u32> {
        let mut members: Vec<u32> = self.members.iter().map(|m| m.node).collect();
        members.sort_unstable();
        loop {
            let inside = members.clone();
            members.retain(|&m| {
                let info = ops.get(m);
                info.role != KernelRole::Reshape || inside.binary_search(&info.operands[0]).is_ok()
            });
            if members.len() == inside.len() {
                return members;
            }
        }
    }

    /// The rule that fused each operator if these values are stored.
    pub fn fused(&self, ops: &Operators, stored: &[NodeId]) -> Vec<(NodeId, Fusion)> {
        let fused = |&node: &u32| {
            if Some(node) == self.reducer {
                return None;
            }
            let id = ops.ids[node as usize];
            match Fusion::of(ops, self, self.member(node)?) {
                Fusion::MapIntoMap if id == stored[0] => None,
                Fusion::MapIntoMap if stored.contains(&id) => Some((id, Fusion::Siblings)),
                rule => Some((id, rule)),
            }
        };
        self.trimmed(ops).iter().filter_map(fused).collect()
    }
}
