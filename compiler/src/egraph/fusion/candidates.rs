//! The kernels that could compute a value, by rewriting: a kernel takes in one of the values that it reads.
//!
//! This is an e-graph in which classes never merge: a class is a value that is stored, its alternatives are the kernels that store it, their
//! operands the values that these read. Without merging there is nothing for egg's congruence closure to do, so the classes
//! are the function's own numbers. The choice among the alternatives is the same extraction as that of the algebra round.

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use super::draft::Draft;
use super::facts::{Facts, Part};
use super::greedy::worth_inlining;
use crate::egraph::cost::Cost;
use crate::egraph::dag::{Choice, Dag};

/// A way to come by a value.
#[derive(Clone, Debug)]
enum Way {
    /// It is there, or its operator stands alone.
    Given,
    /// It is a view of its operand.
    View,
    /// A kernel stores it.
    Kernel(Draft),
}

/// The drafts of the cheapest grouping, and its cost and that of the incumbent.
pub(super) fn cheapest(facts: &Facts, incumbent: Vec<Draft>) -> (Vec<Draft>, Cost, Cost) {
    let mut problem = Problem { facts, classes: IndexMap::default(), todo: vec![] };
    // The incumbent's kernels are alternatives, the first of their classes.
    let mut given: Vec<Option<Draft>> = vec![None; facts.facts.len()];
    for draft in incumbent {
        let root = draft.root() as usize;
        given[root] = Some(draft);
    }
    problem.todo =
        (0..facts.facts.len() as u32).filter(|&n| facts.escapes[n as usize] && facts.live[n as usize]).collect();
    while let Some(node) = problem.todo.pop() {
        if !problem.classes.contains_key(&node) {
            let ways = problem.ways(node, given[node as usize].take());
            problem.classes.insert(node, ways);
        }
    }
    problem.solve()
}

/// Ways to come by a value, each with what it reads.
type Ways = Vec<(Way, SmallVec<[u32; 3]>)>;

struct Problem<'a> {
    facts: &'a Facts,
    classes: IndexMap<u32, Ways, FxBuildHasher>,
    todo: Vec<u32>,
}

impl Problem<'_> {
    /// The ways to come by a value, the incumbent's first, each with what it reads; that is noted as wanted.
    fn ways(&mut self, node: u32, incumbent: Option<Draft>) -> Ways {
        let fact = self.facts.get(node);
        let operands = || self.computed(fact.operands.iter().copied());
        let ways = match fact.part {
            Part::Argument => vec![(Way::Given, SmallVec::new())],
            Part::Constant | Part::Alone => vec![(Way::Given, operands())],
            Part::Reshape => vec![(Way::View, operands())],
            _ => {
                let drafts = self.alternatives(node, incumbent);
                let with_reads = |draft: Draft| {
                    let reads = self.reads(&draft);
                    (Way::Kernel(draft), reads)
                };
                drafts.into_iter().map(with_reads).collect()
            }
        };
        for (_, reads) in &ways {
            self.todo.extend(reads.iter().filter(|n| !self.classes.contains_key(*n)));
        }
        ways
    }

    /// The values that a kernel reads once its leaf reshapes are views.
    fn reads(&self, draft: &Draft) -> SmallVec<[u32; 3]> {
        let members = draft.trimmed(self.facts);
        let operands = members.iter().flat_map(|&m| self.facts.get(m).operands.iter().copied());
        self.computed(operands.filter(|n| !members.contains(n)))
    }

    /// Those values that are no arguments, each once. Arguments are there, whatever is chosen.
    fn computed(&self, values: impl Iterator<Item = u32>) -> SmallVec<[u32; 3]> {
        let mut computed: SmallVec<[u32; 3]> = values.filter(|&n| self.facts.get(n).part != Part::Argument).collect();
        computed.sort_unstable();
        computed.dedup();
        computed
    }

    /// Breadth first from the kernel of one operator: each value that other kernels read too is taken in or left outside.
    fn alternatives(&self, node: u32, incumbent: Option<Draft>) -> Vec<Draft> {
        let limit = self.facts.limits.kernels_per_value.max(1);
        let mut first = Draft::new(self.facts, node);
        self.close(&mut first);
        let mut drafts: Vec<Draft> = incumbent.into_iter().collect();
        let known = |drafts: &[Draft], new: &Draft| drafts.iter().any(|d| same_members(d, new));
        if !known(&drafts, &first) {
            drafts.push(first);
        }
        let mut at = 0;
        while at < drafts.len() && drafts.len() < limit {
            for (input, _) in drafts[at].inputs(self.facts) {
                let Some(member) = drafts[at].offer(self.facts, input) else { continue };
                if matches!(self.facts.get(input).part, Part::Reduce { .. })
                    && self.facts.users[input as usize].len() > 1
                {
                    // A reduction is never computed twice.
                    continue;
                }
                let mut grown = drafts[at].clone();
                if !grown.take(self.facts, member) {
                    continue;
                }
                self.close(&mut grown);
                if !known(&drafts, &grown) {
                    drafts.push(grown);
                    if drafts.len() >= limit {
                        break;
                    }
                }
            }
            at += 1;
        }
        drafts
    }

    /// Takes in what nobody else reads and what costs less to compute than to read.
    fn close(&self, draft: &mut Draft) {
        loop {
            let before = draft.members.len();
            for (input, _) in draft.inputs(self.facts) {
                let part = self.facts.get(input).part;
                let inside = |user: &u32| draft.member(*user).is_some();
                let alone = !self.facts.escapes[input as usize] && self.facts.users[input as usize].iter().all(inside);
                if !alone && part != Part::Constant {
                    continue;
                }
                let Some(member) = draft.offer(self.facts, input) else { continue };
                if part == Part::Constant || worth_inlining(self.facts, input, std::slice::from_ref(&member)) {
                    draft.take(self.facts, member);
                }
            }
            if draft.members.len() == before {
                return;
            }
        }
    }

    fn solve(self) -> (Vec<Draft>, Cost, Cost) {
        let dense = |node: u32| self.classes.get_index_of(&node).expect("what is read is a class") as u32;
        let mut dag = Dag::default();
        let mut ways: Vec<&Way> = vec![];
        let mut incumbent: Choice = vec![];
        for (class, alternatives) in self.classes.values().enumerate() {
            dag.first.push(ways.len() as u32);
            incumbent.push(Some(ways.len() as u32));
            for (way, reads) in alternatives {
                dag.children.push(reads.iter().map(|&n| dense(n)).collect());
                dag.costs.push(match way {
                    Way::Given | Way::View => 0,
                    Way::Kernel(draft) => draft.cost(self.facts),
                });
                dag.class_of.push(class as u32);
                ways.push(way);
            }
        }
        dag.first.push(ways.len() as u32);
        dag.roots = (0..self.facts.facts.len() as u32)
            .filter(|&n| self.facts.escapes[n as usize] && self.facts.live[n as usize])
            .map(dense)
            .collect();
        let (choice, cost, unchanged) = dag.cheapest(incumbent);
        let mut drafts = vec![];
        let mut seen = vec![false; self.classes.len()];
        let mut todo = dag.roots.clone();
        while let Some(class) = todo.pop() {
            if std::mem::replace(&mut seen[class as usize], true) {
                continue;
            }
            let chosen = choice[class as usize].expect("what is needed has a choice") as usize;
            todo.extend(&dag.children[chosen]);
            if let Way::Kernel(draft) = ways[chosen] {
                drafts.push(draft.clone());
            }
        }
        drafts.sort_by_key(Draft::root);
        (drafts, cost, unchanged)
    }
}

fn same_members(a: &Draft, b: &Draft) -> bool {
    a.members.len() == b.members.len() && a.members.iter().all(|m| b.member(m.node).is_some())
}
