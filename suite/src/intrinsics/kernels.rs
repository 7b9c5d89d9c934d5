//! The workloads by hand: what an engineer would write for one of them, for any number of lines.

use super::vector::{LANES, Line, Task, Vector, prefetch};

/// 2^f for f in [0, 1) by Horner's rule, highest power first: minimax, relative error 9e-8.
const EXP2: [f32; 6] = [0.001_877_576_7, 0.008_989_34, 0.055_826_318, 0.240_153_61, 0.693_153_1, 0.999_999_94];
/// `gelu_tanh(z) = z / (1 + exp(-2u))`, `u = sqrt(2/π) (z + 0.044715 z³)`; so the exponent for base 2 is `z (LINEAR + CUBIC z²)`.
const LINEAR: f32 = -2.302_208_2;
const CUBIC: f32 = -0.102_943_24;

/// The part of a workload that one thread computes.
#[derive(Debug)]
pub enum Part<'a> {
    /// Of an elementwise function.
    Elementwise(Elementwise<'a>),
    /// Of a layer norm.
    LayerNorm(LayerNorm<'a>),
}

impl Task for &mut Part<'_> {
    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        match self {
            Part::Elementwise(part) if part.stream => part.lines::<V, true>(v),
            Part::Elementwise(part) => part.lines::<V, false>(v),
            Part::LayerNorm(part) if part.stream => part.rows::<V, true>(v),
            Part::LayerNorm(part) => part.rows::<V, false>(v),
        }
    }
}

/// `gelu_tanh(x * w + b) + r`.
#[derive(Debug)]
pub struct Elementwise<'a> {
    /// x, w, b, r.
    pub inputs: [&'a [Line]; 4],
    /// The result.
    pub output: &'a mut [Line],
    /// Whether the result is written past the caches.
    pub stream: bool,
}

impl Elementwise<'_> {
    /// Lines are independent: the processor looks far enough ahead to work on several, also during the division, which is no slower
    /// than an approximate reciprocal with a Newton step.
    #[inline(always)]
    fn lines<V: Vector, const STREAM: bool>(&mut self, v: V) {
        let [x, w, b, r] = self.inputs;
        let [one, linear, cubic] = [1.0, LINEAR, CUBIC].map(|c| v.splat(c));
        let powers = EXP2.map(|c| v.splat(c));
        for ((((x, w), b), r), y) in x.iter().zip(w).zip(b).zip(r).zip(&mut *self.output) {
            let z = v.fma(v.load(x), v.load(w), v.load(b));
            let (exponent, f) = v.fraction(v.mul(z, v.fma(v.mul(z, z), cubic, linear)));
            let power = powers[1..].iter().fold(powers[0], |sum, &c| v.fma(sum, f, c));
            let gelu = v.div(z, v.add(one, v.scale(power, exponent)));
            write::<V, STREAM>(v, y, v.add(gelu, v.load(r)));
        }
    }
}

#[inline(always)]
fn write<V: Vector, const STREAM: bool>(v: V, line: &mut Line, x: V::F) {
    if STREAM { v.stream(line, x) } else { v.store(line, x) }
}

/// A layer norm over rows of as many lines as the weight has.
#[derive(Debug)]
pub struct LayerNorm<'a> {
    /// The rows.
    pub input: &'a [Line],
    /// The factor of each element of a row.
    pub weight: &'a [Line],
    /// The summand of each.
    pub bias: &'a [Line],
    /// What is added to the variance.
    pub eps: f32,
    /// The result.
    pub output: &'a mut [Line],
    /// Whether the result is written past the caches.
    pub stream: bool,
}

impl LayerNorm<'_> {
    /// A row is read once from far, for its sums, and then from the first cache; while it is written, the next one is fetched. Several
    /// rows at once are slower: their writes are more streams than the processor follows.
    #[inline(always)]
    fn rows<V: Vector, const STREAM: bool>(&mut self, v: V) {
        let length = self.weight.len();
        let mut rows = self.input.chunks_exact(length).peekable();
        let mut written = self.output.chunks_exact_mut(length);
        while let (Some(row), Some(y)) = (rows.next(), written.next()) {
            let next = rows.peek().copied().unwrap_or(row);
            let (factor, summand) = statistics(v, row, self.eps);
            for ((((x, next), weight), bias), y) in row.iter().zip(next).zip(self.weight).zip(self.bias).zip(y) {
                prefetch(next);
                let normal = v.fma(v.load(x), factor, summand);
                write::<V, STREAM>(v, y, v.fma(normal, v.load(weight), v.load(bias)));
            }
        }
    }
}

/// Factor and summand that give a row mean 0 and variance 1. Deviations are from the row's first element, so that a large mean costs no
/// digits of the variance. Four sums of each kind hide the latency of additions.
#[inline(always)]
fn statistics<V: Vector>(v: V, row: &[Line], eps: f32) -> (V::F, V::F) {
    let shift = row[0].0[0];
    let from = v.splat(shift);
    let (mut sums, mut squares) = ([v.splat(0.0); 4], [v.splat(0.0); 4]);
    let (quads, rest) = row.as_chunks::<4>();
    for quad in quads {
        for ((line, sum), square) in quad.iter().zip(&mut sums).zip(&mut squares) {
            let d = v.sub(v.load(line), from);
            (*sum, *square) = (v.add(*sum, d), v.fma(d, d, *square));
        }
    }
    for line in rest {
        let d = v.sub(v.load(line), from);
        (sums[0], squares[0]) = (v.add(sums[0], d), v.fma(d, d, squares[0]));
    }
    let [sum, square] = [sums, squares].map(|[a, b, c, d]| v.sum(v.add(v.add(a, b), v.add(c, d))));
    let count = (row.len() * LANES) as f32;
    let mean = sum / count;
    let factor = 1.0 / (square / count - mean * mean + eps).sqrt();
    (v.splat(factor), v.splat(-(mean + shift) * factor))
}

#[cfg(test)]
mod tests {
    use super::super::set::Set;
    use super::super::vector::{fence, lines};
    use super::*;

    /// Lines of numbers between -4 and 4 that follow from a seed.
    fn drawn(count: usize, mut seed: u64) -> Vec<Line> {
        let mut next = |_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 40) as f32 / (1 << 21) as f32 - 4.0
        };
        (0..count).map(|_| Line(std::array::from_fn(&mut next))).collect()
    }

    fn numbers(lines: &[Line]) -> Vec<f64> {
        lines.iter().flat_map(|line| line.0.map(f64::from)).collect()
    }

    #[test]
    fn elementwise_is_right_with_every_instruction_set() {
        // 37 lines, the first two of which are what saturates, both ways, and what is not finite
        let mut inputs = [1, 2, 3, 4].map(|seed| drawn(37, seed));
        let special = [
            0.0,
            -0.0,
            5.0,
            -5.0,
            9.0,
            -9.0,
            12.0,
            -12.0,
            30.0,
            -30.0,
            1e4,
            -1e4,
            1e30,
            -1e30,
            f32::INFINITY,
            f32::NAN,
        ];
        inputs[0][0] = Line(special);
        inputs[0][1] = Line(special.map(|x| x / 8.0));
        for (input, x) in inputs[1..].iter_mut().zip([1.0, 0.0, 0.0]) {
            input[..2].fill(Line([x; LANES]));
        }
        let [x, w, b, r] = [0, 1, 2, 3].map(|i| numbers(&inputs[i]));
        let reference = (0..x.len()).map(|i| {
            let z = x[i] * w[i] + b[i];
            0.5 * z * (1.0 + (std::f64::consts::FRAC_2_PI.sqrt() * (z + 0.044715 * z * z * z)).tanh()) + r[i]
        });
        let reference: Vec<f64> = reference.collect();
        for (set, stream) in Set::all().into_iter().flat_map(|set| [(set, false), (set, true)]) {
            let mut output = vec![Line([f32::NAN; LANES]); 37];
            let inputs = inputs.each_ref().map(Vec::as_slice);
            set.call(&mut Part::Elementwise(Elementwise { inputs, output: &mut output, stream }));
            fence();
            for (i, (y, reference)) in numbers(&output).into_iter().zip(&reference).enumerate() {
                let close = (y - reference).abs() <= 3e-6 * (1.0 + reference.abs());
                assert!(
                    close || y == *reference || (y.is_nan() && reference.is_nan()),
                    "{set:?} {i}: {y}, not {reference}"
                );
            }
        }
    }

    #[test]
    fn layer_norm_is_right_with_every_instruction_set() {
        // five rows of seven lines, one of them far from 0
        let (mut input, weight, bias) = (drawn(35, 1), drawn(7, 2), drawn(7, 3));
        input[14..21].iter_mut().for_each(|line| line.0 = line.0.map(|x| x + 1000.0));
        let (x, w, b) = (numbers(&input), numbers(&weight), numbers(&bias));
        let reference = x.chunks(w.len()).flat_map(|row| {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64;
            let normal = row.iter().map(move |x| (x - mean) / (variance + 1e-5).sqrt());
            normal.zip(&w).zip(&b).map(|((x, w), b)| x * w + b).collect::<Vec<_>>()
        });
        let reference: Vec<f64> = reference.collect();
        for (set, stream) in Set::all().into_iter().flat_map(|set| [(set, false), (set, true)]) {
            let mut output = vec![Line([f32::NAN; LANES]); 35];
            let (input, weight, bias) = (&input, &weight, &bias);
            set.call(&mut Part::LayerNorm(LayerNorm { input, weight, bias, eps: 1e-5, output: &mut output, stream }));
            fence();
            for (i, (y, reference)) in numbers(&output).into_iter().zip(&reference).enumerate() {
                // numbers near 1000 are known to 6e-5
                let bound = if i / w.len() == 2 { 1e-3 } else { 1e-5 };
                assert!((y - reference).abs() <= bound, "{set:?} {i}: {y}, not {reference}");
            }
        }
    }

    #[test]
    fn numbers_are_lines_only_if_they_begin_and_end_with_one() {
        let aligned = drawn(3, 1);
        let numbers: Vec<f32> = aligned.iter().flat_map(|line| line.0).collect();
        let offset = numbers.as_ptr().align_offset(align_of::<Line>());
        // the vector may begin anywhere, so that one of its first sixteen numbers begins a line
        assert_eq!(lines(&numbers[offset..][..LANES]).map(<[Line]>::len), Some(1));
        assert!(lines(&numbers[offset..][..LANES + 1]).is_none());
        assert!(lines(&numbers[offset + 1..][..LANES]).is_none());
    }
}
