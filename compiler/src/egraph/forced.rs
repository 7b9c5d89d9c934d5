//! What every program needs is no matter of choice: extraction searches the rest only.
//!
//! A class is forced if it is wanted, or read by a forced class, and there is one way only to compute it. A step of training is for
//! the most part calls of which nothing else is known; its search would otherwise grow with the square of its depth.

use smallvec::SmallVec;

use super::cost::Cost;
use super::dag::{Choice, Dag};

/// Words of all sets of [`Leads`] together. If there were more, nothing is taken out: the search of large DAGs looks at parts of them
/// anyway.
const SETS: usize = 1 << 20;

/// A DAG without its forced classes. Choices of either are choices of the other, at costs that differ by a constant.
pub(super) struct Core {
    /// The DAG of the classes among which there is a choice. Who reads a forced class reads in its place what that
    /// leads to: these classes are needed anyway, and only circles through them matter.
    pub dag: Dag,
    /// What the forced classes cost.
    pub cost: Cost,
    /// Of each class of the core its number in the whole.
    classes: Vec<u32>,
}

impl Core {
    /// The part of `whole` that is left to choose.
    pub fn new(whole: &Dag) -> Core {
        let mut forced = forced(whole);
        let count = forced.iter().filter(|f| **f).count();
        if (whole.classes() - count).div_ceil(64).saturating_mul(count) > SETS {
            forced.fill(false);
        }
        let classes: Vec<u32> = (0..whole.classes() as u32).filter(|&c| !forced[c as usize]).collect();
        let mut number = vec![0u32; whole.classes()];
        for (i, &class) in classes.iter().enumerate() {
            number[class as usize] = i as u32;
        }
        let leads = Leads::new(whole, &forced, &number, classes.len());
        let expand = |reads: &[u32]| {
            let mut core: SmallVec<[u32; 3]> = SmallVec::new();
            for &class in reads {
                if forced[class as usize] {
                    core.extend(leads.of(class));
                } else {
                    core.push(number[class as usize]);
                }
            }
            core.sort_unstable();
            core.dedup();
            core
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
        let cost = (0..whole.classes()).filter(|&c| forced[c]).map(|c| whole.costs[whole.first[c] as usize]);
        Core { dag, cost: cost.fold(0, Cost::saturating_add), classes }
    }

    /// The part of a choice that is one.
    pub fn part(&self, whole: &Dag, choice: &Choice) -> Choice {
        let of = |(i, &class): (usize, &u32)| {
            Some(choice[class as usize]? - whole.first[class as usize] + self.dag.first[i])
        };
        self.classes.iter().enumerate().map(of).collect()
    }

    /// The choice of the whole.
    pub fn complete(&self, whole: &Dag, part: &Choice) -> Choice {
        let mut choice: Choice = (0..whole.classes()).map(|c| Some(whole.first[c])).collect();
        for (i, &class) in self.classes.iter().enumerate() {
            choice[class as usize] = part[i].map(|node| node - self.dag.first[i] + whole.first[class as usize]);
        }
        choice
    }
}

fn forced(dag: &Dag) -> Vec<bool> {
    let mut forced = vec![false; dag.classes()];
    let mut todo = dag.roots.clone();
    while let Some(class) = todo.pop() {
        let nodes = dag.nodes_of(class);
        if nodes.len() == 1 && !std::mem::replace(&mut forced[class as usize], true) {
            todo.extend(&dag.children[nodes.start as usize]);
        }
    }
    forced
}

/// Of each forced class the classes of the core that it is computed from with forced classes only between, as a set of bits.
struct Leads {
    words: usize,
    /// Of each class the number of its set.
    number: Vec<u32>,
    sets: Vec<u64>,
}

impl Leads {
    fn new(dag: &Dag, forced: &[bool], number: &[u32], core: usize) -> Leads {
        let words = core.div_ceil(64);
        let mut count = 0;
        let number_of = |&forced: &bool| {
            count += u32::from(forced);
            count.saturating_sub(1)
        };
        let sets: Vec<u32> = forced.iter().map(number_of).collect();
        let mut leads = Leads { words, number: sets, sets: vec![0; words * count as usize] };
        let mut done = vec![false; dag.classes()];
        let mut stack: Vec<(u32, bool)> =
            (0..dag.classes() as u32).filter(|&c| forced[c as usize]).map(|c| (c, false)).collect();
        while let Some((class, ready)) = stack.pop() {
            if done[class as usize] {
                continue;
            }
            let reads = &dag.children[dag.first[class as usize] as usize];
            if !ready {
                stack.push((class, true));
                stack.extend(reads.iter().filter(|&&r| forced[r as usize] && !done[r as usize]).map(|&r| (r, false)));
                continue;
            }
            done[class as usize] = true;
            for &read in reads {
                if forced[read as usize] {
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

    /// Classes in an order in which each reads earlier ones only: of each class the operands and costs of its alternatives.
    fn dag(classes: Vec<Vec<(Vec<u32>, Cost)>>, wanted: Vec<u32>) -> Dag {
        let count = classes.len() as u32;
        let mut dag = Dag { roots: wanted.into_iter().map(|r| r % count).collect(), first: vec![0], ..Dag::default() };
        for (class, ways) in (0..).zip(classes) {
            for (reads, cost) in ways {
                let mut reads: SmallVec<[u32; 3]> =
                    reads.into_iter().filter(|_| class > 0).map(|r| r % class.max(1)).collect();
                reads.sort_unstable();
                reads.dedup();
                dag.children.push(reads);
                dag.costs.push(cost);
                dag.class_of.push(class);
            }
            dag.first.push(dag.costs.len() as u32);
        }
        dag
    }

    proptest! {
        #[test]
        fn choices_of_the_core_are_choices_of_the_whole(
            classes in prop::collection::vec(
                prop::collection::vec((prop::collection::vec(any::<u32>(), 0..4), 0u64..100), 1..3),
                1..40,
            ),
            wanted in prop::collection::vec(any::<u32>(), 1..4),
            picks in prop::collection::vec(any::<u32>(), 40),
        ) {
            let whole = dag(classes, wanted);
            let choice: Choice = (0..whole.classes() as u32)
                .map(|c| Some(whole.nodes_of(c).start + picks[c as usize] % whole.nodes_of(c).len() as u32))
                .collect();
            let core = Core::new(&whole);
            let part = core.part(&whole, &choice);
            let cost = |dag: &Dag, choice: &Choice| dag.dag_cost(choice, &mut 0).expect("reads lead downwards");
            prop_assert_eq!(core.complete(&whole, &part), choice.clone());
            prop_assert_eq!(core.cost + cost(&core.dag, &part), cost(&whole, &choice));
            let (best, best_cost, unchanged) = whole.cheapest(choice.clone());
            prop_assert_eq!(unchanged, cost(&whole, &choice));
            prop_assert_eq!(best_cost, cost(&whole, &best));
            prop_assert!(best_cost <= unchanged);
        }
    }
}
