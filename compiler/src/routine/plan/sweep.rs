//! Places for very many blocks: one walk through the steps, in which each block takes the smallest gap that is large enough.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::Block;

/// A place for each block.
pub(super) fn place(mut blocks: Vec<Block>) -> Vec<(usize, Block)> {
    blocks.sort_by_key(|b| (b.first, Reverse(b.bytes), b.of));
    let mut gaps = Gaps::default();
    // By the end of their lives: offset and size.
    let mut alive: BinaryHeap<Reverse<(usize, usize, usize)>> = BinaryHeap::new();
    let mut placed = vec![];
    for block in blocks {
        while let Some(&Reverse((last, offset, bytes))) = alive.peek()
            && last < block.first
        {
            alive.pop();
            gaps.free(offset, bytes);
        }
        let offset = gaps.take(block.bytes);
        alive.push(Reverse((block.last, offset, block.bytes)));
        placed.push((offset, block));
    }
    placed
}

/// What is free below `end`, beyond which everything is. No two gaps touch.
#[derive(Default)]
struct Gaps {
    sizes: BTreeMap<usize, usize>,
    by_size: BTreeSet<(usize, usize)>,
    end: usize,
}

impl Gaps {
    /// Takes so many bytes out of the smallest gap that has them.
    fn take(&mut self, bytes: usize) -> usize {
        if let Some(&(size, offset)) = self.by_size.range((bytes, 0)..).next() {
            self.remove(offset, size);
            if size > bytes {
                self.add(offset + bytes, size - bytes);
            }
            return offset;
        }
        // A gap at the end grows.
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
    use crate::routine::plan::{Of, place as by_pairs};

    fn frame(placed: &[(usize, Block)]) -> usize {
        placed.iter().map(|(offset, b)| offset + b.bytes).max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn lives_that_meet_share_no_memory(
            lives in prop::collection::vec((1usize..9, 0usize..40, 0usize..20), 1..60),
        ) {
            let blocks: Vec<Block> = (0..)
                .zip(lives)
                .map(|(i, (size, first, length))| Block {
                    bytes: 64 * size,
                    first,
                    last: first + length,
                    of: Of::Buffer(i),
                })
                .collect();
            for placed in [place(blocks.clone()), by_pairs(blocks.clone())] {
                prop_assert_eq!(placed.len(), blocks.len());
                for (i, (offset, a)) in placed.iter().enumerate() {
                    for (other, b) in &placed[..i] {
                        let alive = a.first <= b.last && b.first <= a.last;
                        prop_assert!(!alive || offset + a.bytes <= *other || other + b.bytes <= *offset);
                    }
                }
            }
        }
    }

    /// What a deep training step does: each layer's value lives until its derivative, which comes in the reverse order.
    #[test]
    fn values_of_one_size_need_no_more_than_are_alive() {
        let depth = 100;
        let mut blocks = vec![];
        for layer in 0..depth {
            blocks.push(Block { bytes: 128, first: layer, last: 2 * depth - layer, of: Of::Buffer(layer) });
            let at = depth + layer;
            blocks.push(Block { bytes: 128, first: at, last: at + 1, of: Of::Buffer(depth + layer) });
        }
        assert_eq!(frame(&place(blocks.clone())), frame(&by_pairs(blocks)));
    }
}
