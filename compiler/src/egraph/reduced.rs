//! Classes reachable through single-alternative classes are in every extraction; only the rest is searched, since the search is
//! quadratic.
//!
//! A singleton class has one alternative and is a root, or read by a singleton class. A training step consists mostly of calls,
//! about which nothing else is known; without the reduction the search would grow with the square of its depth.

use smallvec::SmallVec;

use super::cost::Cost;
use super::dag::{Choice, Dag};

/// Words of all sets of [`Leads`] together. With more, the problem is not reduced: the search of large DAGs works in windows
/// anyway.
const SETS: usize = 1 << 20;

/// A DAG without its singleton classes. Choices correspond one to one, and their costs differ by a constant.
pub(super) struct Reduced {
    /// The DAG of the other classes. An alternative that reads a singleton class reads instead the remaining classes below it:
    /// these are needed anyway, and only cycles through them matter.
    pub dag: Dag,
    /// The cost of the singleton classes.
    pub cost: Cost,
    /// For each class of the reduced problem its number in the whole.
    classes: Vec<u32>,
}

impl Reduced {
    /// The reduced problem of `whole`.
    pub fn new(whole: &Dag) -> Reduced {
        let mut singleton = singletons(whole);
        let count = singleton.iter().filter(|f| **f).count();
        if (whole.classes() - count).div_ceil(64).saturating_mul(count) > SETS {
            singleton.fill(false);
        }
        let classes: Vec<u32> = (0..whole.classes() as u32).filter(|&c| !singleton[c as usize]).collect();
        let mut number = vec![0u32; whole.classes()];
        for (i, &class) in classes.iter().enumerate() {
            number[class as usize] = i as u32;
        }
        let leads = Leads::new(whole, &singleton, &number, classes.len());
        let expand = |reads: &[u32]| {
            let mut reduced: SmallVec<[u32; 3]> = SmallVec::new();
            for &class in reads {
                if singleton[class as usize] {
                    reduced.extend(leads.of(class));
                } else {
                    reduced.push(number[class as usize]);
                }
            }
            reduced.sort_unstable();
            reduced.dedup();
            reduced
        };
        let mut dag = Dag { roots: expand(&whole.roots).into_vec(), first: vec![0], ..Dag::default() };
        for (i, &class) in classes.iter().enumerate() {
            for node in whole.nodes_of(class) {
                dag.children.push(expand(&whole.children[node as usize]));
                dag.costs.push(whole.costs[node as usize]);
                dag.class_of.push(i as u32);
            }
            dag.first.push(dag.costs.len() as u32);
        }
        let cost = (0..whole.classes()).filter(|&c| singleton[c]).map(|c| whole.costs[whole.first[c] as usize]);
        Reduced { dag, cost: cost.fold(0, Cost::saturating_add), classes }
    }

    /// Restricts a choice to the reduced problem.
    pub fn part(&self, whole: &Dag, choice: &Choice) -> Choice {
        let of = |(i, &class): (usize, &u32)| {
            Some(choice[class as usize]? - whole.first[class as usize] + self.dag.first[i])
        };
        self.classes.iter().enumerate().map(of).collect()
    }

    /// Extends a choice of the reduced problem to the whole.
    pub fn complete(&self, whole: &Dag, part: &Choice) -> Choice {
        let mut choice: Choice = (0..whole.classes()).map(|c| Some(whole.first[c])).collect();
        for (i, &class) in self.classes.iter().enumerate() {
            choice[class as usize] = part[i].map(|node| node - self.dag.first[i] + whole.first[class as usize]);
        }
        choice
    }
}

fn singletons(dag: &Dag) -> Vec<bool> {
    let mut singleton = vec![false; dag.classes()];
    let mut todo = dag.roots.clone();
    while let Some(class) = todo.pop() {
        let nodes = dag.nodes_of(class);
        if nodes.len() == 1 && !std::mem::replace(&mut singleton[class as usize], true) {
            todo.extend(&dag.children[nodes.start as usize]);
        }
    }
    singleton
}

/// For each singleton class the remaining classes that it depends on through singleton classes, as a bit set.
struct Leads {
    words: usize,
    /// For each class the number of its set.
    number: Vec<u32>,
    sets: Vec<u64>,
}

impl Leads {
    fn new(dag: &Dag, singleton: &[bool], number: &[u32], reduced: usize) -> Leads {
        let words = reduced.div_ceil(64);
        let mut count = 0;
        let number_of = |&singleton: &bool| {
            count += u32::from(singleton);
            count.saturating_sub(1)
        };
        let sets: Vec<u32> = singleton.iter().map(number_of).collect();
        let mut leads = Leads { words, number: sets, sets: vec![0; words * count as usize] };
        let mut done = vec![false; dag.classes()];
        let mut stack: Vec<(u32, bool)> =
            (0..dag.classes() as u32).filter(|&c| singleton[c as usize]).map(|c| (c, false)).collect();
        while let Some((class, ready)) = stack.pop() {
            if done[class as usize] {
                continue;
            }
            let reads = &dag.children[dag.first[class as usize] as usize];
            if !ready {
                stack.push((class, true));
                stack
                    .extend(reads.iter().filter(|&&r| singleton[r as usize] && !done[r as usize]).map(|&r| (r, false)));
                continue;
            }
            done[class as usize] = true;
            for &read in reads {
                if singleton[read as usize] {
                    leads.join(class, read);
                } else {
                    let at = number[read as usize] as usize;
                    leads.sets[leads.number[class as usize] as usize * words + at / 64] |= 1 << (at % 64);
                }
            }
        }
        leads
    }

    fn join(&mut self, into: u32, from: u32) {
        let (into, from) = (self.number[into as usize] as usize, self.number[from as usize] as usize);
        for word in 0..self.words {
            self.sets[into * self.words + word] |= self.sets[from * self.words + word];
        }
    }

    fn of(&self, class: u32) -> impl Iterator<Item = u32> + '_ {
        let set = &self.sets[self.number[class as usize] as usize * self.words..][..self.words];
        set.iter().enumerate().flat_map(|(word, &bits)| {
            (0..64u32).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word as u32 * 64 + bit)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::egraph::dag::Search;
    use crate::egraph::selection::Selection;

    proptest! {
        #[test]
        fn choices_of_the_reduced_problem_are_choices_of_the_whole(
            classes in prop::collection::vec(
                prop::collection::vec((prop::collection::vec(any::<u32>(), 0..4), 0u64..100), 1..3),
                1..40,
            ),
            roots in prop::collection::vec(any::<u32>(), 1..4),
            picks in prop::collection::vec(any::<u32>(), 40),
        ) {
            // Classes are in topological order.
            let whole = Dag::of(classes, roots, |class, _| class);
            let choice: Choice = (0..whole.classes() as u32)
                .map(|c| Some(whole.nodes_of(c).start + picks[c as usize] % whole.nodes_of(c).len() as u32))
                .collect();
            let reduced = Reduced::new(&whole);
            let part = reduced.part(&whole, &choice);
            let cost = |dag: &Dag, choice: &Choice| Selection::new(dag, choice.clone()).expect("acyclic").cost();
            prop_assert_eq!(reduced.complete(&whole, &part), choice.clone());
            prop_assert_eq!(reduced.cost + cost(&reduced.dag, &part), cost(&whole, &choice));
            let (best, best_cost, unchanged) = whole.cheapest(choice.clone(), Search::Everywhere);
            prop_assert_eq!(unchanged, cost(&whole, &choice));
            prop_assert_eq!(best_cost, cost(&whole, &best));
            prop_assert!(best_cost <= unchanged);
        }
    }
}
