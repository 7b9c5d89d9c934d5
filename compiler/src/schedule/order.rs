//! The order of a function's steps: that of its nodes, as far as what overwrites memory can wait for those who still read it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Steps, numbered, with what each has to wait for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    before: Vec<BTreeSet<usize>>,
}

impl Order {
    /// Adds a step that comes after some others.
    pub fn add(&mut self, after: impl IntoIterator<Item = usize>) -> usize {
        self.before.push(after.into_iter().collect());
        self.before.len() - 1
    }

    /// Makes `later` wait for all of `earlier`, unless one of those waits for it.
    pub fn try_wait(&mut self, later: usize, earlier: &[usize]) -> bool {
        if earlier.contains(&later) || earlier.iter().any(|&e| self.waits_for(e, later)) {
            return false;
        }
        self.before[later].extend(earlier);
        true
    }

    fn waits_for(&self, step: usize, other: usize) -> bool {
        let mut seen = vec![false; self.before.len()];
        let mut stack = vec![step];
        while let Some(at) = stack.pop() {
            if at == other {
                return true;
            }
            if !std::mem::replace(&mut seen[at], true) {
                stack.extend(&self.before[at]);
            }
        }
        false
    }

    /// All steps, each after those that it waits for, otherwise as they were added.
    pub fn sorted(&self) -> Vec<usize> {
        let mut waiting: Vec<usize> = self.before.iter().map(BTreeSet::len).collect();
        let mut after: Vec<Vec<usize>> = vec![vec![]; self.before.len()];
        for (step, before) in self.before.iter().enumerate() {
            before.iter().for_each(|&b| after[b].push(step));
        }
        let mut ready: BinaryHeap<Reverse<usize>> =
            (0..self.before.len()).filter(|&s| waiting[s] == 0).map(Reverse).collect();
        let mut sorted = vec![];
        while let Some(Reverse(step)) = ready.pop() {
            sorted.push(step);
            for &next in &after[step] {
                waiting[next] -= 1;
                if waiting[next] == 0 {
                    ready.push(Reverse(next));
                }
            }
        }
        debug_assert_eq!(sorted.len(), self.before.len(), "waiting is acyclic");
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_wait_for_readers() {
        let mut order = Order::default();
        let a = order.add([]);
        let update = order.add([a]);
        let reader = order.add([a]);
        assert!(order.try_wait(update, &[reader]));
        assert_eq!(order.sorted(), vec![a, reader, update]);
        assert!(!order.try_wait(reader, &[update]));
    }
}
