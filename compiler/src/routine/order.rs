//! The order of a function's steps: that of its nodes, except that in-place updates wait for the readers of the old value.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

/// A dynamic topological order of steps.
///
/// Each step has a rank above those of the steps that it waits for, so that whether one waits for another is a search among those
/// ranked between them: mostly none. Ranks are updated as in Pearce and Kelly, "A dynamic topological sort algorithm".
#[derive(Clone, Debug, Default)]
pub(crate) struct StepOrder {
    before: Vec<Steps>,
    after: Vec<Steps>,
    rank: Vec<usize>,
}

type Steps = SmallVec<[usize; 4]>;

impl StepOrder {
    /// Adds a step that waits for some others.
    pub fn add(&mut self, after: impl IntoIterator<Item = usize>) -> usize {
        let step = self.before.len();
        self.before.push(after.into_iter().collect());
        self.before[step].iter().for_each(|&b| self.after[b].push(step));
        self.after.push(Steps::new());
        self.rank.push(step);
        step
    }

    /// Makes `later` wait for all of `earlier`, unless that would make a cycle.
    pub fn try_wait(&mut self, later: usize, earlier: &[usize]) -> bool {
        let first = self.rank[later];
        let last = earlier.iter().map(|&e| self.rank[e]).max().unwrap_or(0);
        if earlier.contains(&later) {
            return false;
        }
        if last > first {
            // Everything that the earlier ones wait for, down to the rank of the later one.
            let mut move_down = reach(&self.before, earlier, |step| self.rank[step] >= first);
            if move_down.contains(&later) {
                return false;
            }
            let mut move_up = reach(&self.after, &[later], |step| self.rank[step] <= last);
            move_down.sort_unstable_by_key(|&step| self.rank[step]);
            move_up.sort_unstable_by_key(|&step| self.rank[step]);
            let moved = [move_down, move_up].concat();
            let mut ranks: Vec<usize> = moved.iter().map(|&step| self.rank[step]).collect();
            ranks.sort_unstable();
            moved.iter().zip(ranks).for_each(|(&step, rank)| self.rank[step] = rank);
        }
        self.before[later].extend_from_slice(earlier);
        earlier.iter().for_each(|&e| self.after[e].push(later));
        true
    }

    /// All steps in topological order, otherwise in the order in which they were added; the steps `last`, for which no other step
    /// waits, come after all others.
    pub fn sorted(&self, last: &[usize]) -> Vec<usize> {
        let mut waiting: Vec<usize> = self.before.iter().map(|steps| steps.len()).collect();
        let mut is_late = vec![false; self.before.len()];
        last.iter().for_each(|&step| is_late[step] = true);
        let key = |step: usize| Reverse((is_late[step], step));
        let mut ready: BinaryHeap<_> = (0..self.before.len()).filter(|&s| waiting[s] == 0).map(key).collect();
        let mut sorted = vec![];
        while let Some(Reverse((_, step))) = ready.pop() {
            sorted.push(step);
            for &next in &self.after[step] {
                waiting[next] -= 1;
                if waiting[next] == 0 {
                    ready.push(key(next));
                }
            }
        }
        debug_assert_eq!(sorted.len(), self.before.len(), "waiting is acyclic");
        debug_assert!(
            sorted.iter().rev().zip(0..last.len()).all(|(&s, _)| is_late[s]),
            "a step waits for one of the last"
        );
        sorted
    }
}

/// The steps that are reachable from some, those included, through steps that are `inside`.
fn reach(edges: &[Steps], from: &[usize], inside: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut seen: FxHashSet<usize> = FxHashSet::default();
    let mut reached = vec![];
    let mut stack: Vec<usize> = from.to_vec();
    while let Some(step) = stack.pop() {
        if inside(step) && seen.insert(step) {
            reached.push(step);
            stack.extend_from_slice(&edges[step]);
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Edges are added unless they close a cycle, and the order respects all that were.
        #[test]
        fn waits_are_granted_unless_they_close_a_cycle(
            steps in prop::collection::vec(prop::collection::vec(any::<usize>(), 0..3), 2..30),
            waits in prop::collection::vec((any::<usize>(), prop::collection::vec(any::<usize>(), 0..4)), 0..40),
        ) {
            let mut order = StepOrder::default();
            for (i, before) in steps.iter().enumerate() {
                order.add(before.iter().filter(|_| i > 0).map(|b| b % i.max(1)));
            }
            let n = steps.len();
            for (later, earlier) in waits {
                let later = later % n;
                let earlier: Vec<usize> = earlier.into_iter().map(|e| e % n).collect();
                let circle = reach(&order.before, &earlier, |_| true).contains(&later);
                prop_assert_eq!(order.try_wait(later, &earlier), !circle);
            }
            let sorted = order.sorted(&[]);
            let mut at = vec![0; n];
            sorted.iter().enumerate().for_each(|(i, &step)| at[step] = i);
            for (step, before) in order.before.iter().enumerate() {
                prop_assert!(before.iter().all(|&b| at[b] < at[step] && order.rank[b] < order.rank[step]));
            }
        }
    }

    #[test]
    fn writers_wait_for_readers() {
        let mut order = StepOrder::default();
        let a = order.add([]);
        let update = order.add([a]);
        let reader = order.add([a]);
        assert!(order.try_wait(update, &[reader]));
        assert_eq!(order.sorted(&[]), vec![a, reader, update]);
        assert!(!order.try_wait(reader, &[update]));
    }

    #[test]
    fn late_steps_come_last() {
        let mut order = StepOrder::default();
        let copy = order.add([]);
        let a = order.add([]);
        let b = order.add([a]);
        assert_eq!(order.sorted(&[]), vec![copy, a, b]);
        assert_eq!(order.sorted(&[copy]), vec![a, b, copy]);
    }
}
