//! The order of a function's steps: that of its nodes, as far as what overwrites memory can wait for those who still read it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Steps, numbered, with what each has to wait for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    before: Vec<Vec<usize>>,
}

impl Order {
    /// Adds a step that comes after some others.
    pub fn add(&mut self, after: impl IntoIterator<Item = usize>) -> usize {
        self.before.push(after.into_iter().collect());
        self.before.len() - 1
    }

    /// Makes `later` wait for all of `earlier`, unless one of those waits for it.
    pub fn try_wait(&mut self, later: usize, earlier: &[usize]) -> bool {
        let free = !self.waits_for(earlier, later);
        if free {
            self.before[later].extend(earlier);
        }
        free
    }

    /// Whether any of these steps is the other one or waits for it.
    fn waits_for(&self, steps: &[usize], other: usize) -> bool {
        let mut seen = vec![false; self.before.len()];
        let mut stack = steps.to_vec();
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

    /// All steps, each after those that it waits for, otherwise as they were added; the `late` ones, for which no other step
    /// waits, after all others.
    pub fn sorted(&self, late: &[usize]) -> Vec<usize> {
        let mut waiting: Vec<usize> = self.before.iter().map(Vec::len).collect();
        let mut after: Vec<Vec<usize>> = vec![vec![]; self.before.len()];
        for (step, before) in self.before.iter().enumerate() {
            before.iter().for_each(|&b| after[b].push(step));
        }
        let mut is_late = vec![false; self.before.len()];
        late.iter().for_each(|&step| is_late[step] = true);
        let key = |step: usize| Reverse((is_late[step], step));
        let mut ready: BinaryHeap<_> = (0..self.before.len()).filter(|&s| waiting[s] == 0).map(key).collect();
        let mut sorted = vec![];
        while let Some(Reverse((_, step))) = ready.pop() {
            sorted.push(step);
            for &next in &after[step] {
                waiting[next] -= 1;
                if waiting[next] == 0 {
                    ready.push(key(next));
                }
            }
        }
        debug_assert_eq!(sorted.len(), self.before.len(), "waiting is acyclic");
        debug_assert!(sorted.iter().rev().zip(0..late.len()).all(|(&s, _)| is_late[s]), "nobody waits for a late step");
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
        assert_eq!(order.sorted(&[]), vec![a, reader, update]);
        assert!(!order.try_wait(reader, &[update]));
    }

    #[test]
    fn late_steps_come_last() {
        let mut order = Order::default();
        let copy = order.add([]);
        let a = order.add([]);
        let b = order.add([a]);
        assert_eq!(order.sorted(&[]), vec![copy, a, b]);
        assert_eq!(order.sorted(&[copy]), vec![a, b, copy]);
    }
}
