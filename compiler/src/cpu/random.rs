//! Philox4x32-10 in kernels, as `rng_bits` defines it.

use dlc_ir::DType;

use crate::kernel::{Binary, Compare, Elem, KernelBuilder, Val};

const MULTIPLIERS: [i64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [i64; 2] = [0x9E37_79B9, 0xBB67_AE85];
const LOW: i64 = 0xFFFF_FFFF;

/// Element number `element` (an `i64` scalar or vector) of the stream of a key and a counter, both scalar `i64`.
pub(crate) fn element(b: &mut KernelBuilder, key: Val, counter: Val, element: Val, dtype: DType) -> Val {
    let words_each = if dtype == DType::I64 { 2 } else { 1 };
    let per_block = 4 / words_each;
    let block = b.div_floor(element, per_block);
    let position = b.modulo(element, per_block);
    let words = block_words(b, key, counter, block);
    if dtype == DType::I64 {
        let first = join(b, words[0], words[1]);
        let second = join(b, words[2], words[3]);
        return choose(b, position, &[first, second]);
    }
    let word = choose(b, position, &words);
    b.convert(word, Elem::I32)
}

/// The four words of a block, each in the low half of an `i64`.
fn block_words(b: &mut KernelBuilder, key: Val, counter: Val, block: Val) -> [Val; 4] {
    let mut c = [low(b, block), high(b, block), low(b, counter), high(b, counter)];
    let mut k = [low(b, key), high(b, key)];
    for round in 0..10 {
        if round > 0 {
            for (k, weyl) in k.iter_mut().zip(WEYL) {
                let step = constant(b, *k, weyl);
                let sum = b.add(*k, step);
                *k = low(b, sum);
            }
        }
        let factor = constant(b, c[0], MULTIPLIERS[0]);
        let first = b.mul(c[0], factor);
        let factor = constant(b, c[2], MULTIPLIERS[1]);
        let second = b.mul(c[2], factor);
        let (first_high, second_high) = (high(b, first), high(b, second));
        let x = b.binary(Binary::Xor, second_high, c[1]);
        let y = b.binary(Binary::Xor, first_high, c[3]);
        c = [b.binary(Binary::Xor, x, k[0]), low(b, second), b.binary(Binary::Xor, y, k[1]), low(b, first)];
    }
    c
}

fn constant(b: &mut KernelBuilder, like: Val, x: i64) -> Val {
    let ty = b.ty(like);
    b.int(ty, x)
}

fn low(b: &mut KernelBuilder, x: Val) -> Val {
    let mask = constant(b, x, LOW);
    b.binary(Binary::And, x, mask)
}

fn high(b: &mut KernelBuilder, x: Val) -> Val {
    let by = constant(b, x, 32);
    b.binary(Binary::ShrU, x, by)
}

fn join(b: &mut KernelBuilder, low: Val, high: Val) -> Val {
    let by = constant(b, high, 32);
    let high = b.binary(Binary::Shl, high, by);
    b.binary(Binary::Or, low, high)
}

fn choose(b: &mut KernelBuilder, position: Val, words: &[Val]) -> Val {
    let mut chosen = words[words.len() - 1];
    for (i, &word) in words.iter().enumerate().rev().skip(1) {
        let number = constant(b, position, i as i64);
        let here = b.compare(Compare::Eq, position, number);
        chosen = b.select(here, word, chosen);
    }
    chosen
}
