//! Kernels with several results: two kernels over the same iteration space are merged if that saves a launch and common reads, or
//! a common reduction; and a kernel stores a value that it evaluates anyway if that saves others from rematerialising it.

use std::collections::BTreeMap;

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
/// Limit, in visits, of the search for merged kernels that depend on themselves, of one kernel and all its partners; if it is exceeded, they are
/// not merged.
const MAX_VISITS: usize = 1 << 14;

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
    /// For each node what a search found: whether a kernel is among what it depends on.
    found: Vec<Found>,
    searches: u32,
    visits: usize,
    merged: Spans,
}

/// What a search found of a node.
#[derive(Clone, Copy, Default)]
struct Found {
    /// The number of the search.
    search: u32,
    depends: bool,
}

/// Disjoint spans of nodes, each from the first root of a merged kernel to the last: what a node depends on precedes it, unless it is
/// inside of one.
#[derive(Default)]
struct Spans(BTreeMap<u32, u32>);

impl Spans {
    fn add(&mut self, mut first: u32, mut last: u32) {
        while let Some((&begin, &end)) = self.0.range(..=last).next_back().filter(|(_, end)| **end >= first) {
            self.0.remove(&begin);
            (first, last) = (first.min(begin), last.max(end));
        }
        self.0.insert(first, last);
    }

    /// The last node that a node may depend on, or be.
    fn reach(&self, node: u32) -> u32 {
        self.0.range(..=node).next_back().map_or(node, |(_, &end)| end.max(node))
    }
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
        let found = vec![Found::default(); nodes];
        Merging { ops, groups, readers, stored_by, found, searches: 0, visits: 0, merged: Spans::default() }
    }

    fn replace(&mut self, early: usize, late: usize, merged: MergedGroup) {
        for &root in merged.roots() {
            self.stored_by[root as usize] = early as u32;
        }
        if let [first, .., last] = *merged.roots() {
            self.merged.add(first, last);
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
        self.visits = 0;
        let dependence = self.search();
        for late in partners.into_iter().map(|p| p as usize) {
            let (a, b) = (self.groups[early].as_ref()?, self.groups[late].as_ref()?);
            if !can_join(self.ops, a, b) || self.depends(late, early, dependence) {
                continue;
            }
            let other_way = self.search();
            if self.depends(early, late, other_way) {
                continue;
            }
            let (a, b) = (self.groups[early].as_ref()?, self.groups[late].as_ref()?);
            if let Some(merged) = join(self.ops, a, b) {
                return Some((late, merged));
            }
        }
        None
    }

    /// The number of a new search, for one kernel.
    fn search(&mut self) -> u32 {
        self.searches += 1;
        self.searches
    }

    /// Whether a kernel depends on another through a third, so that merging them would make a cycle; also `true` if the limit of
    /// visits is exceeded. Kernels share a search for the same `on`.
    fn depends(&mut self, kernel: usize, on: usize, search: u32) -> bool {
        let (Some(group), Some(target)) = (&self.groups[kernel], &self.groups[on]) else { return false };
        let first = target.roots()[0];
        // Everything that it reads, except what it reads from the other directly.
        let begin: SmallVec<[u32; 8]> = group.reads.iter().copied().filter(|n| !target.roots().contains(n)).collect();
        begin.into_iter().any(|node| self.reaches(node, on, first, search))
    }

    /// Whether a node is a result of a kernel, whose first root is `first`, or depends on it.
    fn reaches(&mut self, node: u32, target: usize, first: u32, search: u32) -> bool {
        let mut path: Vec<(u32, usize)> = vec![];
        let mut next = Some(node);
        loop {
            if let Some(node) = next {
                let found = &mut self.found[node as usize];
                let is_new = found.search != search;
                if is_new {
                    self.visits += 1;
                    *found = Found { search, depends: self.stored_by[node as usize] as usize == target };
                }
                if found.depends || self.visits > MAX_VISITS {
                    for (node, _) in path {
                        self.found[node as usize].depends = true;
                    }
                    return true;
                }
                if is_new && self.merged.reach(node) >= first {
                    path.push((node, 0));
                }
            }
            let Some((node, operand)) = path.last_mut() else { return false };
            let operands: &[u32] = match self.groups.get(self.stored_by[*node as usize] as usize) {
                Some(Some(group)) => &group.reads,
                _ => &self.ops.get(*node).operands,
            };
            next = operands.get(*operand).copied();
            *operand += 1;
            if next.is_none() {
                path.pop();
            }
        }
    }
}

/// Whether two kernels have the same loops, so that they may be one.
fn can_join(ops: &Operators, early: &MergedGroup, late: &MergedGroup) -> bool {
    if early.roots().len() + late.roots().len() > MAX_RESULTS
        || early.members.len() + late.members.len() > ops.limits.kernel_ops
        || early.scatters(ops)
        || late.scatters(ops)
        || ops.shape(early.roots()[0]) != ops.shape(late.roots()[0])
    {
        return false;
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
            return false;
        }
    } else if !shared {
        let elements = ops.get(early.roots()[0]).elements;
        let large = |n: &u32| early.reads.contains(n) && ops.get(*n).elements == elements;
        if reducers != (None, None) || !late.reads.iter().any(large) {
            return false;
        }
    }
    true
}

/// Merges two kernels that [can be joined](can_join), if the result is cheaper.
fn join(ops: &Operators, early: &MergedGroup, late: &MergedGroup) -> Option<MergedGroup> {
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
