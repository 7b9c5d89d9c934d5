//! Chains of fused multiplications and additions, by the width of vectors. The compiler makes the best of none of them by itself, so
//! they are written with the instructions of each width.

#![allow(unsafe_code, reason = "the call of a function for instructions that the machine was asked for")]

use std::hint::black_box;

/// Independent chains: enough for two units of four or five cycles each, and few enough for sixteen registers.
const CHAINS: usize = 12;

/// A loop of one vector width, which this machine has.
#[derive(Clone, Copy, Debug)]
pub struct Fma {
    /// Bits of a vector.
    pub bits: u32,
    /// Runs so many rounds of all chains.
    ///
    /// # Safety
    /// The machine has the instructions.
    run: unsafe fn(u64, f32, f32) -> f32,
}

impl Fma {
    /// Runs so many rounds.
    pub fn run(&self, rounds: u64) {
        // The numbers converge, and are normal: x ← 0.5 x + 1.
        let (x, y) = black_box((0.5, 1.0));
        // SAFETY: `available`, which alone makes this type, has asked the machine.
        black_box(unsafe { (self.run)(rounds, x, y) });
    }

    /// The operations of so many rounds.
    pub fn flops(&self, rounds: u64) -> f64 {
        rounds as f64 * (CHAINS as u32 * self.bits / 32 * 2) as f64
    }
}

/// The loops that this machine can run.
pub fn available() -> Vec<Fma> {
    let mut found = vec![];
    #[cfg(target_arch = "x86_64")]
    {
        let fma = std::arch::is_x86_feature_detected!("fma");
        let wide = std::arch::is_x86_feature_detected!("avx512f");
        let loops: [(bool, Fma); 3] = [
            (fma, Fma { bits: 128, run: x86::fma_128 }),
            (fma, Fma { bits: 256, run: x86::fma_256 }),
            (wide, Fma { bits: 512, run: x86::fma_512 }),
        ];
        found.extend(loops.into_iter().filter(|(has, _)| *has).map(|(_, fma)| fma));
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        found.push(Fma { bits: 128, run: arm::fma_128 });
    }
    found
}

/// A loop by the intrinsics of its width: to fill a vector, to multiply and add, to add, and to take the first element.
macro_rules! fma_loop {
    ($name:ident, $feature:literal, $fill:ident, $fma:expr, $add:ident, $first:expr) => {
        #[target_feature(enable = $feature)]
        pub fn $name(rounds: u64, x: f32, y: f32) -> f32 {
            let (x, y) = ($fill(x), $fill(y));
            let mut chains = [y; CHAINS];
            for _ in 0..rounds {
                for chain in &mut chains {
                    *chain = $fma(*chain, x, y);
                }
            }
            let sum = chains.into_iter().fold(y, |sum, chain| $add(sum, chain));
            $first(sum)
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::CHAINS;

    fma_loop!(fma_128, "fma", _mm_set1_ps, |a, x, y| _mm_fmadd_ps(a, x, y), _mm_add_ps, |v| _mm_cvtss_f32(v));
    fma_loop!(fma_256, "fma", _mm256_set1_ps, |a, x, y| _mm256_fmadd_ps(a, x, y), _mm256_add_ps, |v| {
        _mm256_cvtss_f32(v)
    });
    fma_loop!(fma_512, "avx512f", _mm512_set1_ps, |a, x, y| _mm512_fmadd_ps(a, x, y), _mm512_add_ps, |v| {
        _mm512_cvtss_f32(v)
    });
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::CHAINS;

    fma_loop!(fma_128, "neon", vdupq_n_f32, |a, x, y| vfmaq_f32(y, a, x), vaddq_f32, |v| vgetq_lane_f32::<0>(v));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loop_computes_its_chains() {
        for Fma { bits, run } in available() {
            // SAFETY: `available` has asked the machine.
            let sum = unsafe { run(3, 0.5, 1.0) };
            // each chain: 1, 1.5, 1.75, 1.875
            assert_eq!(sum, 1.0 + 1.875 * CHAINS as f32, "{bits} bits");
        }
    }
}
