//! Extraction: chooses an e-node for each class by the cost of the DAG, where a value with several users counts once. (The cost
//! of the tree doubles at each residual block.) Both rounds use it.

use smallvec::SmallVec;

use super::cost::Cost;
use super::reduced::Reduced;
use super::selection::Selection;
use super::window::Window;

/// Limit of the local search, in visits of classes. A limit of time would make the output nondeterministic.
const SWAP_VISITS: usize = 400_000;

/// The most alternatives for which the greedy search tracks everything that each needs.
const WHOLE: usize = 4096;
/// Alternatives of a window of a larger DAG.
const WINDOW: usize = 1024;

/// Classes and their alternatives (e-nodes), densely numbered: the alternatives of one class are consecutive.
#[derive(Clone, Debug, Default)]
pub struct Dag {
    /// For each alternative the classes of its operands, without duplicates.
    pub children: Vec<SmallVec<[u32; 3]>>,
    /// For each alternative its own cost, without its operands'.
    pub costs: Vec<Cost>,
    /// For each alternative its class.
    pub class_of: Vec<u32>,
    /// For each class its first alternative; one more at the end.
    pub first: Vec<u32>,
    /// The classes to compute.
    pub roots: Vec<u32>,
}

/// Where to search for a cheaper choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Greedy search, and local search from its result and from the incumbent.
    Everywhere,
    /// Local search from the incumbent, which is the cheapest choice of a part of the e-graph.
    NearIncumbent,
}

/// For each class the chosen alternative.
pub type Choice = Vec<Option<u32>>;

impl Dag {
    /// Begins the next class, whose number it returns.
    pub fn begin_class(&mut self) -> u32 {
        self.first.push(self.costs.len() as u32);
        self.first.len() as u32 - 1
    }

    /// Adds an alternative to the class that was begun last.
    pub fn add(&mut self, mut children: SmallVec<[u32; 3]>, cost: Cost) {
        children.sort_unstable();
        children.dedup();
        self.children.push(children);
        self.costs.push(cost);
        self.class_of.push(self.first.len() as u32 - 1);
    }

    /// Ends the last class.
    pub fn finish(&mut self, roots: Vec<u32>) {
        self.first.push(self.costs.len() as u32);
        self.roots = roots;
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.first.len() - 1
    }

    /// The cheapest choice that the search finds, and its cost: `incumbent` unless another is strictly cheaper. The last number is
    /// the incumbent's cost.
    ///
    /// # Panics
    /// If the incumbent is cyclic or does not compute all roots.
    pub fn cheapest(&self, incumbent: Choice, search: Search) -> (Choice, Cost, Cost) {
        let reduced = Reduced::new(self);
        let (choice, cost, unchanged) = reduced.dag.search(reduced.part(self, &incumbent), search);
        (reduced.complete(self, &choice), reduced.cost.saturating_add(cost), reduced.cost.saturating_add(unchanged))
    }

    fn search(&self, incumbent: Choice, search: Search) -> (Choice, Cost, Cost) {
        let start = Selection::new(self, incumbent.clone()).expect("the incumbent is acyclic and computes every root");
        let unchanged = start.cost();
        let mut best = (incumbent, unchanged);
        let greedy = match search {
            Search::Everywhere => Selection::new(self, self.greedy()),
            Search::NearIncumbent => None,
        };
        for mut selection in greedy.into_iter().chain([start]) {
            self.swap(&mut selection);
            if selection.cost() < best.1 {
                let cost = selection.cost();
                best = (selection.into_choice(), cost);
            }
        }
        (best.0, best.1, unchanged)
    }

    /// The alternatives of a class.
    pub fn nodes_of(&self, class: u32) -> std::ops::Range<u32> {
        self.first[class as usize]..self.first[class as usize + 1]
    }

    /// The classes that the roots depend on.
    pub fn needed(&self, choice: &Choice) -> Vec<bool> {
        let mut needed = vec![false; self.classes()];
        let mut todo = self.roots.clone();
        while let Some(class) = todo.pop() {
            if !std::mem::replace(&mut needed[class as usize], true)
                && let Some(chosen) = choice[class as usize]
            {
                todo.extend(&self.children[chosen as usize]);
            }
        }
        needed
    }

    /// The faster-greedy-dag algorithm of extraction-gym: bottom up, each class takes the e-node whose set of needed e-nodes is
    /// cheapest. These sets grow with the depth, so that a large DAG is processed in windows, bottom up, and what is below a
    /// window counts as free.
    fn greedy(&self) -> Choice {
        let mut parents: Vec<SmallVec<[u32; 4]>> = vec![SmallVec::new(); self.classes()];
        for (i, children) in self.children.iter().enumerate() {
            for &child in children {
                parents[child as usize].push(i as u32);
            }
        }
        let mut choice: Choice = vec![None; self.classes()];
        let mut number = vec![u32::MAX; self.classes()];
        if self.costs.len() <= WHOLE {
            let all: Vec<u32> = (0..self.classes() as u32).collect();
            Window::new(self, &parents, &all, &mut number).choose(&mut choice);
            return choice;
        }
        let order = self.upwards(&parents);
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let mut alternatives = 0;
            let fits = rest.iter().take_while(|&&class| {
                alternatives += self.nodes_of(class).len();
                alternatives <= WINDOW
            });
            let (window, above) = rest.split_at(fits.count().max(1));
            Window::new(self, &parents, window, &mut number).choose(&mut choice);
            window.iter().for_each(|&class| number[class as usize] = u32::MAX);
            rest = above;
        }
        choice
    }

    /// The computable classes, each after the operands of one of its alternatives.
    fn upwards(&self, parents: &[SmallVec<[u32; 4]>]) -> Vec<u32> {
        let mut missing: Vec<usize> = self.children.iter().map(SmallVec::len).collect();
        let mut found = vec![false; self.classes()];
        let mut order = vec![];
        let mut find = |node: u32, order: &mut Vec<u32>| {
            let class = self.class_of[node as usize];
            if !std::mem::replace(&mut found[class as usize], true) {
                order.push(class);
            }
        };
        (0..self.costs.len() as u32).filter(|&n| missing[n as usize] == 0).for_each(|n| find(n, &mut order));
        let mut next = 0;
        while let Some(&class) = order.get(next) {
            next += 1;
            for &parent in &parents[class as usize] {
                missing[parent as usize] -= 1;
                if missing[parent as usize] == 0 {
                    find(parent, &mut order);
                }
            }
        }
        order
    }

    /// Local search: changes the alternatives of several classes at once if they would share a class that no other one needs,
    /// since merging products pays for none of them alone. Then those of each class.
    fn swap(&self, selection: &mut Selection<'_>) {
        self.swap_shared(selection);
        self.swap_each(selection);
    }

    fn swap_shared(&self, selection: &mut Selection<'_>) {
        // For each class the alternatives that would read it, the cheapest of each other class.
        let mut readers: Vec<SmallVec<[u32; 2]>> = vec![SmallVec::new(); self.classes()];
        for node in 0..self.costs.len() as u32 {
            let class = self.class_of[node as usize];
            if self.nodes_of(class).len() > 1 {
                for &child in &self.children[node as usize] {
                    let list = &mut readers[child as usize];
                    match list.last_mut() {
                        Some(last) if self.class_of[*last as usize] == class => {
                            if self.costs[node as usize] < self.costs[*last as usize] {
                                *last = node;
                            }
                        }
                        _ => list.push(node),
                    }
                }
            }
        }
        for (child, list) in (0..).zip(&readers) {
            if selection.visits > SWAP_VISITS {
                return;
            }
            // Those that are cheaper themselves once the class exists; an unneeded class costs nothing now.
            let pays = |n: &u32| {
                let class = self.class_of[*n as usize];
                let now = selection.chosen(class).map_or(0, |c| self.costs[c as usize]);
                selection.is_needed(class) && self.costs[*n as usize] < now
            };
            let exchange: SmallVec<[u32; 8]> = list.iter().copied().filter(pays).collect();
            if selection.is_needed(child) {
                if exchange.len() > 1 {
                    selection.exchange(&exchange);
                }
                continue;
            }
            // And together with each class that the new one makes cheap, the alternatives that would read that one.
            let mut exchanges: SmallVec<[SmallVec<[u32; 8]>; 2]> = SmallVec::new();
            for &reader in list.iter().filter(|n| !selection.is_needed(self.class_of[**n as usize])) {
                let taken = |n: &u32| exchange.iter().any(|e| self.class_of[*e as usize] == self.class_of[*n as usize]);
                let further = readers[self.class_of[reader as usize] as usize].iter();
                let further: SmallVec<[u32; 8]> = further.copied().filter(|n| pays(n) && !taken(n)).collect();
                if !further.is_empty() {
                    exchanges.push(exchange.iter().copied().chain([reader]).chain(further).collect());
                }
            }
            if exchange.len() < 2 || !selection.exchange(&exchange) {
                let _ = exchanges.iter().any(|exchange| selection.exchange(exchange));
            }
        }
    }

    fn swap_each(&self, selection: &mut Selection<'_>) {
        for class in 0..self.classes() as u32 {
            let nodes = self.nodes_of(class);
            if nodes.len() < 2 || !selection.is_needed(class) {
                continue;
            }
            for node in nodes {
                if selection.visits > SWAP_VISITS {
                    return;
                }
                if selection.chosen(class) != Some(node) {
                    selection.exchange(&[node]);
                }
            }
        }
    }
}

#[cfg(test)]
impl Dag {
    /// A DAG for tests, from the alternatives of each class: what each reads, below `bound` of its class and number, and its cost.
    pub fn of(classes: Vec<Vec<(Vec<u32>, Cost)>>, roots: Vec<u32>, bound: impl Fn(u32, usize) -> u32) -> Dag {
        let count = classes.len() as u32;
        let mut dag = Dag::default();
        for alternatives in classes {
            let class = dag.begin_class();
            for (number, (reads, cost)) in alternatives.into_iter().enumerate() {
                let bound = bound(class, number);
                let reads = reads.into_iter().filter(|_| bound > 0);
                dag.add(reads.map(|read| read % bound).collect(), cost);
            }
        }
        dag.finish(roots.into_iter().map(|root| root % count).collect());
        dag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A deep DAG beyond the size that the search processes as a whole: each class reads the two before it, and has an expensive
    /// and a cheap alternative.
    #[test]
    fn windows_find_what_is_cheaper_in_them() {
        let classes = 3 * WHOLE as u32;
        let mut dag = Dag { roots: vec![classes - 1], first: vec![0], ..Dag::default() };
        for class in 0..classes {
            for cost in [10, 3, 7] {
                dag.children.push((class.saturating_sub(2)..class).collect());
                dag.costs.push(cost);
                dag.class_of.push(class);
            }
            dag.first.push(dag.costs.len() as u32);
        }
        let incumbent: Choice = (0..classes).map(|c| Some(3 * c)).collect();
        let (choice, cost, unchanged) = dag.cheapest(incumbent, Search::Everywhere);
        assert_eq!((cost, unchanged), (3 * Cost::from(classes), 10 * Cost::from(classes)));
        assert_eq!(Selection::new(&dag, choice).map(|s| s.cost()), Some(cost));
    }
}
