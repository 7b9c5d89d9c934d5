//! Mutations of inputs, from a seed.

use rand::{Rng, RngExt};

/// Numbers at which code tends to break, as text.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "255",
    "256",
    "65536",
    "2147483647",
    "-2147483648",
    "9223372036854775807",
    "1e308",
    "nan",
    "0.5",
];
/// Bytes that separate things.
const MARKS: &[u8] = b"(){}[]<>,:;=+-*/%@#\"'\\|._ \n\t0aZ\xff\x00";

/// Phrases of the language, which mutations of single bytes would not make.
const PHRASES: &[&str] = &[
    " as ",
    "as x",
    "...",
    " not ",
    " and ",
    "if a { b } else { c }",
    "1.5e-3",
    "{x}",
    "// note\n",
    "/// docs\n",
    "let ",
    "true",
    "none",
    "r#\"",
    "text(\"x\")",
    "expr(\"x\")",
    "(x)",
    "f(x)",
    "x[1:, ::2]",
    "x.T",
    "\"a {f(\"b\")} c\"",
    "@allow(x)\n",
    "a == b",
    "< c",
    "scan i in x { yield i }",
    "{ \"a\": 1 }",
    "(a, b)",
    "[[1], -2]",
    "\"{a}\\\"\"",
    " - -x",
    "None",
];

/// A mutation of one of the seeds, at most `limit` bytes long.
pub fn mutate(rng: &mut impl Rng, seeds: &[Vec<u8>], limit: usize) -> Vec<u8> {
    let pick = |rng: &mut dyn Rng| seeds.get(rng.random_range(0..seeds.len().max(1))).cloned().unwrap_or_default();
    let mut input = pick(rng);
    // Mostly one change, so that many inputs stay valid.
    let changes = if rng.random_range(0..2) == 0 { 1 } else { rng.random_range(1..8) };
    for _ in 0..changes {
        let at = rng.random_range(0..=input.len());
        let end = (at + rng.random_range(0..32)).min(input.len());
        match rng.random_range(0..10) {
            0 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
            1 => input.insert(at, MARKS[rng.random_range(0..MARKS.len())]),
            2 => drop(input.drain(at..end)),
            3 => {
                let copy = input[at..end].to_vec();
                let to = rng.random_range(0..=input.len());
                input.splice(to..to, copy);
            }
            4 => {
                let other = pick(rng);
                let from = rng.random_range(0..=other.len());
                let to = (from + rng.random_range(0..64)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            5 => replace_number(rng, &mut input, at),
            6 => replace_line(rng, &mut input, &pick),
            7 => input.truncate(at),
            8 => {
                let phrase = PHRASES[rng.random_range(0..PHRASES.len())];
                input.splice(at..at, phrase.bytes());
            }
            _ => {
                let n = rng.random_range(1..200);
                let mark = MARKS[rng.random_range(0..MARKS.len())];
                input.splice(at..at, std::iter::repeat_n(mark, n));
            }
        }
        input.truncate(limit);
    }
    input
}

/// Replaces the first number at or after a position.
fn replace_number(rng: &mut impl Rng, input: &mut Vec<u8>, at: usize) {
    let Some(start) = input[at..].iter().position(u8::is_ascii_digit).map(|i| at + i) else { return };
    let end = input[start..].iter().position(|b| !b.is_ascii_digit()).map_or(input.len(), |i| start + i);
    let number = NUMBERS[rng.random_range(0..NUMBERS.len())];
    input.splice(start..end, number.bytes());
}

/// Replaces a line by one of another seed.
fn replace_line(rng: &mut impl Rng, input: &mut Vec<u8>, pick: &dyn Fn(&mut dyn Rng) -> Vec<u8>) {
    let other = pick(rng);
    let lines: Vec<&[u8]> = other.split(|&b| b == b'\n').collect();
    let line = lines[rng.random_range(0..lines.len())].to_vec();
    let mut own: Vec<Vec<u8>> = input.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
    let at = rng.random_range(0..own.len());
    own[at] = line;
    *input = own.join(&b'\n');
}
