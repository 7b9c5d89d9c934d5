//! Kernels with several results: two kernels over the same iteration space are merged if that saves a launch and common reads, or
//! a common reduction; and a kernel stores a value that it evaluates anyway if that saves others from rematerialising it.

use dlc_ir::Value;
use smallvec::SmallVec;

use super::candidate::{FusionCandidate, Member};
use super::form::FormId;
use super::graph::FusionGraph;
use super::op_info::{KernelRole, Operators};
use crate::egraph::cost::Cost;

/// Most results of one kernel.
const MAX_RESULTS: usize = 8;
/// Most candidates for merging with one kernel, of those that read what it reads or stores.
const MAX_PARTNERS: usize = 256;
/// Limit, in visits, of the search for a merged kernel that depends on itself; if it is exceeded, the kernels are not merged.
const MAX_VISITS: usize = 1 << 12;

/// A kernel, of one result or merged from several.
#[derive(Clone, Debug)]
struct MergedGroup {
    kernel: FusionCandidate,
    /// Its operators, ascending, without reshapes that are views.
    members: Vec<u32>,
    /// What it reads, ascending.
    reads: SmallVec<[u32; 6]>,
    /// Without storing its results.
    cost: Cost,
}

impl MergedGroup {
    fn new(ops: &Operators, kernel: FusionCandidate, cost: Cost) -> Self {
        let members = kernel.trimmed(ops);
        let operands = members.iter().flat_map(|&m| ops.get(m).operands.iter().copied());
        let mut reads: SmallVec<[u32; 6]> = operands.filter(|n| members.binary_search(n).is_err()).collect();
        reads.sort_unstable();
        reads.dedup();
        MergedGroup { kernel, members, reads, cost }
    }

    fn roots(&self) -> &[u32] {
        &self.kernel.roots
    }

    fn scatters(&self, ops: &Operators) -> bool {
        self.kernel.reducer.is_some_and(|r| ops.get(r).role == KernelRole::Scatter)
    }
}

/// Adds kernels with several results to the e-graph: the chosen kernels merged as far as that pays, which become the incumbent;
/// and each chosen kernel with a further stored value that others evaluate too. Returns whether there were any.
///
/// There are too many pairs of all kernels in the e-graph to try them all.
pub(super) fn add(graph: &mut FusionGraph<'_>, chosen: &[(FormId, Value)]) -> bool {
    let ops = graph.ops;
    let kernel = |&(form, last): &(FormId, Value)| (graph.kernel(form, last), graph.cost(form));
    let kernels: Vec<(FusionCandidate, Cost)> = chosen.iter().map(kernel).collect();
    let mut evaluations = vec![0u32; ops.infos.len()];
    for (kernel, _) in &kernels {
        kernel.members.iter().for_each(|member| evaluations[member.node as usize] += 1);
    }
    let further = kernels.iter().flat_map(|(kernel, _)| with_further_result(graph, kernel, &evaluations));
    let further: Vec<FusionCandidate> = further.collect();
    let mut merging = Merging::new(ops, kernels);
    for early in 0..merging.groups.len() {
        while let Some((late, merged)) = merging.partner(early) {
            merging.replace(early, late, merged);
        }
    }
    let merged = merging.groups.into_iter().flatten().map(|group| group.kernel).filter(|k| k.roots.len() > 1);
    let incumbent: Vec<(FormId, Value)> = merged.map(|kernel| graph.add_siblings(kernel)).collect();
    let found = !incumbent.is_empty() || !further.is_empty();
    graph.set_incumbent(&incumbent);
    for kernel in further {
        graph.add_siblings(kernel);
    }
    graph.rebuild();
    found
}

/// A kernel with each of the values that it evaluates at every point of its iteration space, and that other kernels evaluate too,
/// as a further result. `evaluations` is the number of kernels that evaluate each value.
fn with_further_result(graph: &FusionGraph<'_>, kernel: &FusionCandidate, evaluations: &[u32]) -> Vec<FusionCandidate> {
    let ops = graph.ops;
    let root = kernel.root();
    if kernel.reducer.is_some_and(|r| ops.get(r).role == KernelRole::Scatter) {
        return vec![];
    }
    let further = |member: &&Member| {
        let role = ops.get(member.node).role;
        member.node != root
            && member.through
            && !matches!(role, KernelRole::Reshape | KernelRole::Constant)
            && ops.shape(member.node) == ops.shape(root)
            && evaluations[member.node as usize] > 1
            && graph.known_class(graph.value(member.node)).is_some()
    };
    let members = kernel.trimmed(ops);
    let further = kernel.members.iter().filter(further).take(MAX_RESULTS - 1);
    further.filter_map(|member| FusionCandidate::of(ops, &[member.node, root], &members)).collect()
}

/// The state of merging.
struct Merging<'a> {
    ops: &'a Operators,
    /// In the order of their first roots; `None` once merged into an earlier one.
    groups: Vec<Option<MergedGroup>>,
    /// For each node the kernels that read it initially.
    readers: Vec<SmallVec<[u32; 2]>>,
    /// For each node the kernel that stores it.
    stored_by: Vec<u32>,
    /// The last search that visited each node.
    seen: Vec<u32>,
    searches: u32,
}

impl<'a> Merging<'a> {
    fn new(ops: &'a Operators, kernels: Vec<(FusionCandidate, Cost)>) -> Self {
        let nodes = ops.infos.len();
        let mut readers: Vec<SmallVec<[u32; 2]>> = vec![SmallVec::new(); nodes];
        let mut stored_by = vec![u32::MAX; nodes];
        let groups: Vec<MergedGroup> = kernels.into_iter().map(|(k, cost)| MergedGroup::new(ops, k, cost)).collect();
        for (number, group) in (0..).zip(&groups) {
            stored_by[group.kernel.root() as usize] = number;
            group.reads.iter().for_each(|&read| readers[read as usize].push(number));
        }
        let groups = groups.into_iter().map(Some).collect();
        Merging { ops, groups, readers, stored_by, seen: vec![0; nodes], searches: 0 }
    }

    fn replace(&mut self, early: usize, late: usize, merged: MergedGroup) {
        for &root in merged.roots() {
            self.stored_by[root as usize] = early as u32;
        }
        self.groups[early] = Some(merged);
        self.groups[late] = None;
    }

    /// The first of the later kernels to merge with one, and the result.
    fn partner(&mut self, early: usize) -> Option<(usize, MergedGroup)> {
        let group = self.groups[early].as_ref()?;
        if group.roots().len() >= MAX_RESULTS || group.members.len() >= self.ops.limits.kernel_ops {
            return None;
        }
        let mut partners: Vec<u32> = vec![];
        for &value in group.roots().iter().chain(&group.reads) {
            let readers = &self.readers[value as usize];
            let later = &readers[readers.partition_point(|&r| r as usize <= early)..];
            partners.extend(later.iter().filter(|&&r| self.groups[r as usize].is_some()).take(MAX_PARTNERS));
        }
        partners.sort_unstable();
        partners.dedup();
        partners.truncate(MAX_PARTNERS);
        for late in partners.into_iter().map(|p| p as usize) {
            let (a, b) = (self.groups[early].as_ref()?, self.groups[late].as_ref()?);
            if let Some(merged) = join(self.ops, a, b)
                && !self.closes_a_cycle(early, late)
            {
                return Some((late, merged));
            }
        }
        None
    }

    /// Whether one kernel depends on the other through a third, so that merging them would make a cycle; also `true` if the limit
    /// of visits is exceeded.
    fn closes_a_cycle(&mut self, early: usize, late: usize) -> bool {
        let mut visits = 0;
        for (from, to) in [(late, early), (early, late)] {
            self.searches += 1;
            let (Some(from), Some(target)) = (&self.groups[from], &self.groups[to]) else { continue };
            // Everything that `from` reads, except what it reads from the other directly.
            let mut todo: Vec<u32> = from.reads.iter().copied().filter(|n| !target.roots().contains(n)).collect();
            while let Some(node) = todo.pop() {
                if std::mem::replace(&mut self.seen[node as usize], self.searches) == self.searches {
                    continue;
                }
                visits += 1;
                let home = self.stored_by[node as usize];
                if home as usize == to || visits > MAX_VISITS {
                    return true;
                }
                match self.groups.get(home as usize) {
                    Some(Some(group)) => todo.extend(&group.reads),
                    _ => todo.extend(&self.ops.get(node).operands),
                }
            }
        }
        false
    }
}

/// Merges two kernels, if their loops are the same and the result is cheaper.
fn join(ops: &Operators, early: &MergedGroup, late: &MergedGroup) -> Option<MergedGroup> {
    if early.roots().len() + late.roots().len() > MAX_RESULTS
        || early.members.len() + late.members.len() > ops.limits.kernel_ops
        || early.scatters(ops)
        || late.scatters(ops)
        || ops.shape(early.roots()[0]) != ops.shape(late.roots()[0])
    {
        return None;
    }
    let reducers = (early.kernel.reducer, late.kernel.reducer);
    // Both have epilogues of one reduction, which is then computed once.
    let shared = matches!(reducers, (Some(x), Some(y)) if x == y);
    let consumes = late.reads.iter().any(|n| early.roots().contains(n));
    if consumes {
        // Every use of the earlier results is elementwise, and not in a reduction.
        let in_place = late.members.iter().all(|&m| {
            let info = ops.get(m);
            let uses = info.operands.iter().any(|o| early.roots().contains(o));
            !uses || (info.role == KernelRole::Map && late.kernel.member(m).is_some_and(|m| m.through))
        });
        if !in_place || (reducers.1.is_some() && !shared) {
            return None;
        }
    } else if !shared {
        let elements = ops.get(early.roots()[0]).elements;
        let large = |n: &u32| early.reads.contains(n) && ops.get(*n).elements == elements;
        if reducers != (None, None) || !late.reads.iter().any(large) {
            return None;
        }
    }
    let roots = union(early.roots(), late.roots());
    let kernel = FusionCandidate::of(ops, &roots, &union(&early.members, &late.members))?;
    let cost = kernel.cost(ops);
    (cost < early.cost.saturating_add(late.cost)).then(|| MergedGroup::new(ops, kernel, cost))
}

fn union(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut all = [a, b].concat();
    all.sort_unstable();
    all.dedup();
    all
}
