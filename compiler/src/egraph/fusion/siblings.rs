//! Kernels with several results: two kernels over the same elements become one if that saves a launch and what both read.

use smallvec::SmallVec;

use super::draft::Draft;
use super::facts::{Facts, Part};

/// Results that one kernel may have.
const MAX_RESULTS: usize = 8;

/// A kernel with its results.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    /// The stored values, ascending.
    pub roots: Vec<u32>,
    /// All operators.
    pub members: Vec<u32>,
    reducer: Option<u32>,
    /// The members from which results are computed element by element.
    through: Vec<u32>,
    /// What it reads.
    reads: SmallVec<[u32; 6]>,
}

/// Kernels that are looked at as partners of one, of those that read what it reads or makes.
const MAX_PARTNERS: usize = 256;
/// Values that are looked at to see that no circle is closed; if it takes more, two kernels stay apart.
const MAX_VISITS: usize = 1 << 12;

/// The kernels of these drafts, merged where that pays.
pub(super) fn merge(facts: &Facts, drafts: &[Draft]) -> Vec<Cluster> {
    let mut clusters: Vec<Cluster> = drafts.iter().map(|d| cluster(facts, d)).collect();
    clusters.sort_by_key(|c| c.roots[0]);
    let nodes = facts.facts.len();
    let mut homes = Homes { of: vec![u32::MAX; nodes], seen: vec![0; nodes], search: 0 };
    let mut readers: Vec<SmallVec<[u32; 2]>> = vec![SmallVec::new(); nodes];
    for (i, cluster) in clusters.iter().enumerate() {
        homes.of[cluster.roots[0] as usize] = i as u32;
        cluster.reads.iter().for_each(|&read| readers[read as usize].push(i as u32));
    }
    let mut merged = vec![false; clusters.len()];
    for at in 0..clusters.len() {
        if merged[at] {
            continue;
        }
        while let Some(partner) = partner(facts, &clusters, &readers, &merged, &mut homes, at) {
            merged[partner] = true;
            let later = std::mem::replace(&mut clusters[partner], Cluster::empty());
            later.roots.iter().for_each(|&root| homes.of[root as usize] = at as u32);
            clusters[at].absorb(facts, later);
        }
    }
    let mut merged = merged.into_iter();
    clusters.retain(|_| merged.next() == Some(false));
    drop_private_results(facts, &mut clusters);
    clusters
}

/// The first of the later kernels that should become part of one.
fn partner(
    facts: &Facts,
    clusters: &[Cluster],
    readers: &[SmallVec<[u32; 2]>],
    merged: &[bool],
    homes: &mut Homes,
    at: usize,
) -> Option<usize> {
    let cluster = &clusters[at];
    if cluster.roots.len() >= MAX_RESULTS || cluster.members.len() >= facts.limits.kernel_ops {
        return None;
    }
    let mut partners: Vec<u32> = vec![];
    for &value in cluster.roots.iter().chain(&cluster.reads) {
        let readers = &readers[value as usize];
        let later = readers.partition_point(|&r| r as usize <= at);
        partners.extend(readers[later..].iter().filter(|&&r| !merged[r as usize]).take(MAX_PARTNERS));
    }
    partners.sort_unstable();
    partners.dedup();
    partners.truncate(MAX_PARTNERS);
    partners.into_iter().map(|p| p as usize).find(|&p| mergeable(facts, clusters, homes, at, p))
}

/// What was stored for kernels that are now part of the one that stores it need not be stored.
fn drop_private_results(facts: &Facts, clusters: &mut [Cluster]) {
    let mut wanted = facts.escapes.clone();
    let escaping = (0..facts.facts.len()).filter(|&n| facts.live[n] && facts.escapes[n]).map(|n| n as u32);
    let read = clusters.iter().flat_map(|c| &c.reads).copied();
    for mut stored in escaping.chain(read) {
        wanted[stored as usize] = true;
        // It may be a view of what is stored.
        while facts.get(stored).part == Part::Reshape {
            stored = facts.get(stored).operands[0];
            wanted[stored as usize] = true;
        }
    }
    for cluster in clusters {
        cluster.roots.retain(|&root| wanted[root as usize]);
    }
}

fn cluster(facts: &Facts, draft: &Draft) -> Cluster {
    let members = draft.trimmed(facts);
    let through = draft.members.iter().filter(|m| m.through && members.contains(&m.node)).map(|m| m.node).collect();
    let mut cluster =
        Cluster { roots: vec![draft.root()], members, reducer: draft.reducer, through, reads: SmallVec::new() };
    cluster.find_reads(facts);
    cluster
}

impl Cluster {
    /// What is left of a cluster that became part of another.
    fn empty() -> Cluster {
        Cluster { roots: vec![], members: vec![], reducer: None, through: vec![], reads: SmallVec::new() }
    }

    fn find_reads(&mut self, facts: &Facts) {
        let members = &self.members;
        self.reads = members
            .iter()
            .flat_map(|&m| facts.get(m).operands.iter().copied())
            .filter(|n| !members.contains(n))
            .collect();
        self.reads.sort_unstable();
        self.reads.dedup();
    }

    fn absorb(&mut self, facts: &Facts, other: Cluster) {
        for (mine, theirs) in
            [(&mut self.roots, other.roots), (&mut self.members, other.members), (&mut self.through, other.through)]
        {
            mine.extend(theirs);
            mine.sort_unstable();
            mine.dedup();
        }
        self.reducer = self.reducer.or(other.reducer);
        self.find_reads(facts);
    }
}

/// Whether the later cluster may join the earlier one and should.
fn mergeable(facts: &Facts, clusters: &[Cluster], homes: &mut Homes, early: usize, late: usize) -> bool {
    let (a, b) = (&clusters[early], &clusters[late]);
    let scatter = |c: &Cluster| c.reducer.is_some_and(|r| facts.get(r).part == Part::Scatter);
    if a.roots.len() + b.roots.len() > MAX_RESULTS
        || a.members.len() + b.members.len() > facts.limits.kernel_ops
        || scatter(a)
        || scatter(b)
        || facts.shape(a.roots[0]) != facts.shape(b.roots[0])
    {
        return false;
    }
    if let (Some(x), Some(y)) = (a.reducer, b.reducer)
        && x != y
    {
        return false;
    }
    let consumes = b.reads.iter().any(|n| a.roots.contains(n));
    if consumes {
        // Every use of the earlier results keeps the position, and is no part of a reduction.
        let in_place = b.members.iter().all(|&m| {
            let fact = facts.get(m);
            let uses = fact.operands.iter().any(|o| a.roots.contains(o));
            !uses || (b.through.contains(&m) && fact.part == Part::Map)
        });
        if !in_place || b.reducer.is_some() {
            return false;
        }
    } else {
        let large = |n: &u32| a.reads.contains(n) && facts.get(*n).elements == facts.get(a.roots[0]).elements;
        if a.reducer.is_some() || b.reducer.is_some() || !b.reads.iter().any(large) {
            return false;
        }
    }
    !homes.reaches_around(facts, clusters, early, late)
}

/// Which cluster stores each node.
struct Homes {
    of: Vec<u32>,
    /// The last search that saw each node.
    seen: Vec<u32>,
    search: u32,
}

impl Homes {
    /// Whether one cluster depends on the other through a third, so that merging them would close a circle. Also if that
    /// takes long to see.
    fn reaches_around(&mut self, facts: &Facts, clusters: &[Cluster], early: usize, late: usize) -> bool {
        let mut visits = 0;
        for (from, to) in [(late, early), (early, late)] {
            self.search += 1;
            let direct = &clusters[to].roots;
            // Everything that `from` reads, but for what it reads from `to` itself.
            let mut todo: Vec<u32> = clusters[from].reads.iter().copied().filter(|n| !direct.contains(n)).collect();
            while let Some(node) = todo.pop() {
                if std::mem::replace(&mut self.seen[node as usize], self.search) == self.search {
                    continue;
                }
                visits += 1;
                match self.of[node as usize] {
                    h if h as usize == to => return true,
                    _ if visits > MAX_VISITS => return true,
                    u32::MAX => todo.extend(&facts.get(node).operands),
                    h => todo.extend(&clusters[h as usize].reads),
                }
            }
        }
        false
    }
}
