//! The order of examples. It is a function of (seed, epoch, count) and must never change: checkpoints rely on it.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// A position in the sequence of batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// Epoch, from 0.
    pub epoch: u64,
    /// Batch of that epoch, from 0.
    pub batch: u64,
}

/// The size of the validation set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Amount {
    /// This fraction, rounded to the nearest number of examples and clamped to [0, 1].
    Fraction(f64),
    /// This many, or all if there are fewer.
    Count(usize),
}

impl Amount {
    /// The number of examples, out of `count`.
    pub fn of(self, count: usize) -> usize {
        match self {
            Amount::Fraction(fraction) => (fraction.clamp(0.0, 1.0) * count as f64).round() as usize,
            Amount::Count(requested) => requested.min(count),
        }
    }
}

/// The split of the examples into training and validation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Split {
    /// None.
    #[default]
    None,
    /// This many of the examples, from the end.
    Last(Amount),
    /// This many of the examples, chosen at random.
    Random { amount: Amount, seed: u64 },
}

impl Split {
    /// The positions of the training examples and of the validation examples.
    pub fn of(self, count: usize) -> (Vec<usize>, Vec<usize>) {
        let kept = |amount: Amount| count - amount.of(count);
        match self {
            Split::None => ((0..count).collect(), Vec::new()),
            Split::Last(amount) => ((0..kept(amount)).collect(), (kept(amount)..count).collect()),
            Split::Random { amount, seed } => {
                let mut order: Vec<usize> = (0..count).collect();
                shuffle(&mut order, &mut generator(b"dlc validation  ", seed, 0));
                let mut validation = order.split_off(kept(amount));
                order.sort_unstable();
                validation.sort_unstable();
                (order, validation)
            }
        }
    }
}

/// Permutes examples into the order of an epoch.
///
/// Fisher-Yates from the last position down, where each index in `0 ..= i` is drawn by Lemire's method from the 64-bit words of
/// ChaCha8. Its key is the seed and the epoch (8 little-endian bytes each) followed by the 16 bytes `dlc permutation `; its
/// stream is 0.
pub fn permute(items: &mut [usize], seed: u64, epoch: u64) {
    shuffle(items, &mut generator(b"dlc permutation ", seed, epoch));
}

fn generator(purpose: &[u8; 16], seed: u64, epoch: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    key[16..].copy_from_slice(purpose);
    ChaCha8Rng::from_seed(key)
}

fn shuffle(items: &mut [usize], random: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, below(random, i as u64 + 1) as usize);
    }
}

/// A uniform draw from [0, bound), without division except where one word in 2^64 / bound is rejected.
fn below(random: &mut ChaCha8Rng, bound: u64) -> u64 {
    loop {
        let product = u128::from(random.next_u64()) * u128::from(bound);
        let low = product as u64;
        if low >= bound || low >= bound.wrapping_neg() % bound {
            return (product >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
        let mut items: Vec<usize> = (0..count).collect();
        permute(&mut items, seed, epoch);
        items
    }

    #[test]
    fn the_order_is_pinned() {
        // Changing these numbers breaks the resumption of every existing training.
        insta::assert_debug_snapshot!([order(10, 1, 0), order(10, 1, 1), order(10, 2, 0)].map(|o| format!("{o:?}")));
    }

    #[test]
    fn orders_are_even() {
        let mut seen = [[0u32; 5]; 5];
        for epoch in 0..5000 {
            for (place, item) in order(5, 42, epoch).into_iter().enumerate() {
                seen[place][item] += 1;
            }
        }
        // 1000 requested, standard deviation 28.
        assert!(seen.iter().flatten().all(|n| (860..1140).contains(n)), "{seen:?}");
    }

    #[test]
    fn splits_are_disjoint_and_complete() {
        let fraction = Amount::Fraction;
        let random = |amount, seed| Split::Random { amount, seed };
        let whole = [Split::Last(fraction(7.0)), Split::Last(Amount::Count(200)), random(Amount::Count(102), 3)];
        for split in [Split::None, Split::Last(fraction(0.2)), random(fraction(0.2), 3)].into_iter().chain(whole) {
            let (train, validation) = split.of(101);
            let mut all = [&train[..], &validation].concat();
            all.sort_unstable();
            assert_eq!(all, (0..101).collect::<Vec<_>>(), "{split:?}");
        }
        assert_eq!(Split::Last(fraction(0.2)).of(10).1, [8, 9]);
        assert_eq!(Split::Last(Amount::Count(3)).of(10).1, [7, 8, 9]);
        assert_eq!(random(fraction(0.2), 3).of(101).1.len(), 20);
        // the same number by a count as by a fraction, and the same examples
        assert_eq!(random(fraction(0.2), 3).of(101), random(Amount::Count(20), 3).of(101));
        assert_ne!(random(fraction(0.2), 3).of(101), random(fraction(0.2), 4).of(101));
        assert!(whole.iter().all(|split| split.of(101).0.is_empty()));
    }
}
