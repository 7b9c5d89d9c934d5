//! A kernel that could be: a set of operators, with what each costs where the kernel evaluates it.

use dlc_ir::NodeId;
use smallvec::SmallVec;

use super::access::Accesses;
use super::op_info::{Operators, Part};
use super::rule::Fusion;
use crate::egraph::cost::Cost;

/// An operator in a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub node: u32,
    /// How often its scalar body is evaluated.
    pub evals: u64,
    /// Its accesses, for each position of the loops that need it.
    pub accesses: Accesses,
    /// Iterations of those loops.
    pub iterations: u64,
    /// Whether every path to a root keeps positions: what a reduction's epilogue may consist of.
    pub through: bool,
    /// Whether a product reads through it.
    pub in_product: bool,
    /// Whether a reduction reads through it.
    pub in_reduction: bool,
    /// Whether its operands must be stored.
    pub frozen: bool,
}

/// A kernel that could store one value, or several with the same loops; operators join from the roots upwards, users before
/// operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FusionCandidate {
    /// The last root first, which gives the loops.
    pub members: Vec<Member>,
    /// The stored values, ascending.
    pub roots: SmallVec<[u32; 1]>,
    /// The operator that reduces, if there is one.
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
        let reduces = matches!(ops.get(root).part, Part::Reduce { .. } | Part::Scatter);
        FusionCandidate {
            members: vec![Member::stored(ops, root, root)],
            roots: smallvec::smallvec![root],
            reducer: reduces.then_some(root),
        }
    }

    /// The kernel of several operators, of which `roots`, of one shape, are stored; `None` if they cannot be one. Both are ascending.
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

    /// What `node`, which is an operand of members or a root, would be in this kernel; `None` if no rule lets it join.
    pub fn can_fuse(&self, ops: &Operators, node: u32) -> Option<Member> {
        if self.members.len() >= ops.limits.kernel_ops {
            return None;
        }
        let info = ops.get(node);
        let is_root = self.roots.contains(&node);
        let mut joined = if is_root { Member::stored(ops, self.root(), node) } else { Member::new(node) };
        // A scalar leaves every loop, a constant takes no work.
        let counted = info.elements != 1 && info.part != Part::Constant;
        let limit = ops.limits.kernel_recomputations;
        for user in &self.members {
            let user_info = ops.get(user.node);
            if !user_info.operands.contains(&node) {
                continue;
            }
            if user.frozen {
                return None;
            }
            let iterations = match (user_info.part, info.part) {
                (Part::Reduce { .. }, _) => user_info.elements.saturating_mul(user_info.reduction),
                (Part::Scatter, _) => info.elements,
                (Part::Move { affine: false }, _) if info.elements < user_info.elements => {
                    (user.iterations / user_info.elements.max(1)).max(1) * info.elements
                }
                _ => user.iterations,
            };
            joined.iterations = joined.iterations.max(iterations);
            if counted {
                ops.accesses(user.node, &user.accesses, node, limit, &mut joined.accesses);
            }
            joined.through &= user.through && matches!(user_info.part, Part::Map | Part::Reshape);
            joined.in_product |= user.in_product || user_info.part == Part::Reduce { contraction: true };
            joined.in_reduction |= user.in_reduction || matches!(user_info.part, Part::Reduce { .. } | Part::Scatter);
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

    /// How often members are evaluated beyond once, for one position of the loops that need them, slow functions counted several
    /// times.
    fn recomputations(&self, ops: &Operators) -> usize {
        self.members.iter().map(|m| m.recomputations(ops)).sum()
    }

    /// Takes in an operator of which members read. Where it reads members itself, these are looked at again; `false` if one of them
    /// could not be one then, and nothing was done.
    pub fn take(&mut self, ops: &Operators, member: Member) -> bool {
        let reads_members = ops.get(member.node).operands.iter().any(|&o| self.member(o).is_some());
        if !reads_members {
            self.join(ops, member);
            return true;
        }
        let mut nodes: Vec<u32> = self.members.iter().map(|m| m.node).chain([member.node]).collect();
        nodes.sort_unstable();
        match FusionCandidate::of(ops, &self.roots, &nodes) {
            Some(again) => {
                *self = again;
                true
            }
            None => false,
        }
    }

    /// Takes in an operator that reads no members.
    pub fn join(&mut self, ops: &Operators, member: Member) {
        if matches!(ops.get(member.node).part, Part::Reduce { .. }) {
            self.reducer = Some(member.node);
        }
        self.members.push(member);
    }

    /// The nodes that it reads, each once, with how often, in the order of their numbers.
    pub fn inputs(&self, ops: &Operators) -> SmallVec<[(u32, u64); 6]> {
        let mut inputs: SmallVec<[(u32, u64); 6]> = SmallVec::new();
        for member in &self.members {
            let info = ops.get(member.node);
            let evals = match info.part {
                Part::Reduce { .. } => info.elements.saturating_mul(info.reduction),
                Part::Scatter => u64::MAX,
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

    /// What running it costs but for storing its results: the launch, the evaluations of its members, its reads.
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

    /// What reading a value at several accesses costs beyond reading it at one.
    fn further_reads(&self, ops: &Operators, node: u32) -> Cost {
        let mut accesses = Accesses::new();
        let mut iterations = 0;
        for user in self.members.iter().filter(|u| ops.get(u.node).operands.contains(&node)) {
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
                info.part != Part::Reshape || inside.binary_search(&info.operands[0]).is_ok()
            });
            if members.len() == inside.len() {
                return members;
            }
        }
    }

    /// The rules that brought its operators together where these values are stored, by operator.
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
