//! Places very many intervals: one sweep over the steps, in which each interval takes the smallest sufficient gap.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::Interval;

/// Assigns an offset to each interval.
pub(super) fn place(mut intervals: Vec<Interval>) -> Vec<(usize, Interval)> {
    intervals.sort_by_key(|b| (b.first, Reverse(b.bytes), b.of));
    let mut gaps = Gaps::default();
    // Live intervals by the end of their live ranges, with offset and size.
    let mut alive: BinaryHeap<Reverse<(usize, usize, usize)>> = BinaryHeap::new();
    let mut placed = vec![];
    for interval in intervals {
        while let Some(&Reverse((last, offset, bytes))) = alive.peek()
            && last < interval.first
        {
            alive.pop();
            gaps.free(offset, bytes);
        }
        let offset = gaps.take(interval.bytes);
        alive.push(Reverse((interval.last, offset, interval.bytes)));
        placed.push((offset, interval));
    }
    placed
}

/// The gaps below `end`, beyond which everything is free. Adjacent gaps are merged.
#[derive(Default)]
struct Gaps {
    sizes: BTreeMap<usize, usize>,
    by_size: BTreeSet<(usize, usize)>,
    end: usize,
}

impl Gaps {
    /// Takes this many bytes from the smallest sufficient gap.
    fn take(&mut self, bytes: usize) -> usize {
        if let Some(&(size, offset)) = self.by_size.range((bytes, 0)..).next() {
            self.remove(offset, size);
            if size > bytes {
                self.add(offset + bytes, size - bytes);
            }
            return offset;
        }
        // A gap at the end is extended.
        let last = self.sizes.last_key_value().map(|(&offset, &size)| (offset, size));
        let offset = match last {
            Some((offset, size)) if offset + size == self.end => {
                self.remove(offset, size);
                offset
            }
            _ => self.end,
        };
        self.end = offset + bytes;
        offset
    }

    fn free(&mut self, mut offset: usize, mut bytes: usize) {
        if let Some((&before, &size)) = self.sizes.range(..offset).next_back()
            && before + size == offset
        {
            self.remove(before, size);
            (offset, bytes) = (before, bytes + size);
        }
        if let Some(&size) = self.sizes.get(&(offset + bytes)) {
            self.remove(offset + bytes, size);
            bytes += size;
        }
        self.add(offset, bytes);
    }

    fn add(&mut self, offset: usize, size: usize) {
        self.sizes.insert(offset, size);
        self.by_size.insert((size, offset));
    }

    fn remove(&mut self, offset: usize, size: usize) {
        self.sizes.remove(&offset);
        self.by_size.remove(&(size, offset));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routine::plan::{IntervalOwner, place as by_pairs};

    fn frame(placed: &[(usize, Interval)]) -> usize {
        placed.iter().map(|(offset, b)| offset + b.bytes).max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn lives_that_meet_share_no_memory(
            live_ranges in prop::collection::vec((1usize..9, 0usize..40, 0usize..20), 1..60),
        ) {
            let intervals: Vec<Interval> = (0..)
                .zip(live_ranges)
                .map(|(i, (size, first, length))| Interval {
                    bytes: 64 * size,
                    first,
                    last: first + length,
                    of: IntervalOwner::Buffer(i),
                })
                .collect();
            for placed in [place(intervals.clone()), by_pairs(intervals.clone())] {
                prop_assert_eq!(placed.len(), intervals.len());
                for (i, (offset, a)) in placed.iter().enumerate() {
                    for (other, b) in &placed[..i] {
                        let alive = a.first <= b.last && b.first <= a.last;
                        prop_assert!(!alive || offset + a.bytes <= *other || other + b.bytes <= *offset);
                    }
                }
            }
        }
    }

    /// As in the training step of a deep network: each layer's value is live until its derivative, which comes in reverse order.
    #[test]
    fn values_of_one_size_need_no_more_than_are_alive() {
        let depth = 100;
        let mut intervals = vec![];
        for layer in 0..depth {
            intervals.push(Interval {
                bytes: 128,
                first: layer,
                last: 2 * depth - layer,
                of: IntervalOwner::Buffer(layer),
            });
            let at = depth + layer;
            intervals.push(Interval { bytes: 128, first: at, last: at + 1, of: IntervalOwner::Buffer(depth + layer) });
        }
        assert_eq!(frame(&place(intervals.clone())), frame(&by_pairs(intervals)));
    }
}
