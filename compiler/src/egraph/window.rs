//! The greedy search of an extraction among some classes of a DAG.

use smallvec::SmallVec;

use super::cost::Cost;
use super::dag::{Choice, Dag};

/// The alternatives in a window that a class needs, as a bit set, and their cost.
type Needed = (Cost, Vec<u64>);

/// Some classes of a DAG, for the greedy search.
pub(super) struct Window<'a> {
    dag: &'a Dag,
    /// The alternatives that read each class.
    parents: &'a [SmallVec<[u32; 4]>],
    classes: &'a [u32],
    /// For each of them the number of its first alternative in the window; one more at the end.
    first: Vec<u32>,
    /// For each class of the DAG its number in the window, or [`u32::MAX`].
    number: &'a [u32],
    costs: Vec<Cost>,
}

impl<'a> Window<'a> {
    /// `number` is [`u32::MAX`] for every class.
    pub fn new(dag: &'a Dag, parents: &'a [SmallVec<[u32; 4]>], classes: &'a [u32], number: &'a mut [u32]) -> Self {
        let mut first = vec![0];
        let mut costs: Vec<Cost> = vec![];
        for (i, &class) in (0..).zip(classes) {
            number[class as usize] = i;
            costs.extend(dag.nodes_of(class).map(|n| dag.costs[n as usize]));
            first.push(costs.len() as u32);
        }
        Window { dag, parents, classes, first, number, costs }
    }

    /// The number of a class in the window, if it is in it.
    fn inside(&self, class: u32) -> Option<usize> {
        Some(self.number[class as usize]).filter(|&n| n != u32::MAX).map(|n| n as usize)
    }

    /// Chooses for each class; classes that have a choice already are free.
    pub fn choose(&self, choice: &mut Choice) {
        let dag = self.dag;
        let mut sets: Vec<Option<Needed>> = vec![None; self.classes.len()];
        let mut queued = vec![true; self.costs.len()];
        let mut queue: std::collections::VecDeque<(u32, u32)> = (0..)
            .zip(self.classes)
            .flat_map(|(class, &outer)| dag.nodes_of(outer).map(move |node| (class, node)))
            .collect();
        let mut union = vec![0u64; self.costs.len().div_ceil(64)];
        while let Some((class, node)) = queue.pop_front() {
            let own = self.first[class as usize]..self.first[class as usize + 1];
            let outer = self.classes[class as usize];
            let at = own.start + (node - dag.nodes_of(outer).start);
            queued[at as usize] = false;
            let children = &dag.children[node as usize];
            let known = |&child: &u32| match self.inside(child) {
                Some(inside) => sets[inside].is_some(),
                None => choice[child as usize].is_some(),
            };
            if !children.iter().all(known) {
                continue;
            }
            let bound = sets[class as usize].as_ref().map_or(Cost::MAX, |s| s.0);
            let cost = self.unite(self.costs[at as usize], children, &sets, bound, &mut union);
            let needs_itself = || own.clone().any(|n| union[n as usize / 64] >> (n % 64) & 1 == 1);
            if cost >= bound || needs_itself() {
                continue;
            }
            union[at as usize / 64] |= 1 << (at % 64);
            sets[class as usize] = Some((cost, union.clone()));
            choice[outer as usize] = Some(node);
            for &parent in &self.parents[outer as usize] {
                let above = dag.class_of[parent as usize];
                let Some(number) = self.inside(above) else { continue };
                let at = self.first[number] + (parent - dag.nodes_of(above).start);
                if !std::mem::replace(&mut queued[at as usize], true) {
                    queue.push_back((number as u32, parent));
                }
            }
        }
    }

    /// Sets `union` to all that some classes need, and returns its cost plus `own`. If that is `bound` or more, `union` is
    /// unspecified, and the result is some number from `bound` on.
    fn unite(&self, own: Cost, classes: &[u32], sets: &[Option<Needed>], bound: Cost, union: &mut [u64]) -> Cost {
        let of = |&class: &u32| sets[self.inside(class)?].as_ref();
        let mut needed: SmallVec<[&Needed; 4]> = classes.iter().filter_map(of).collect();
        // The costs of the most expensive set are not summed again.
        needed.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
        let Some(((first, set), rest)) = needed.split_first() else {
            union.fill(0);
            return own;
        };
        let mut cost = own.saturating_add(*first);
        if cost < bound {
            union.copy_from_slice(set);
        }
        for (_, set) in rest {
            if cost >= bound {
                break;
            }
            for (word, (mine, theirs)) in union.iter_mut().zip(set).enumerate() {
                let mut new = theirs & !*mine;
                *mine |= theirs;
                while new != 0 {
                    cost = cost.saturating_add(self.costs[word * 64 + new.trailing_zeros() as usize]);
                    new &= new - 1;
                }
            }
        }
        cost
    }
}
