//! Random choices of tests.

/// Random choices that are the same in every run: a linear congruential generator with Knuth's multiplier for MMIX.
pub struct Choice(pub u64);

impl Choice {
    /// A number from 0 to below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    /// One of these texts.
    pub fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len() as u64) as usize]
    }
}
