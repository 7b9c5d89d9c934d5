//! Seeded draws of weights and inputs.

use dlc::{DType, Tensor, Type};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// How the elements of a tensor are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// Normally, with mean 0 and this standard deviation.
    Normal(f32),
    /// Uniformly between two numbers.
    Uniform(f32, f32),
    /// All the same.
    Constant(f32),
    /// Integers from 0, below a number.
    Ints(u32),
}

/// A stream of draws.
#[derive(Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of a name; equal names give equal draws on every machine.
    pub fn named(name: &str) -> Self {
        let mut seed = [0; 32];
        // FNV-1a: names differ in more than their first 32 bytes
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        seed[..8].copy_from_slice(&hash.to_le_bytes());
        Stream(ChaCha8Rng::from_seed(seed))
    }

    /// A number in (0, 1].
    fn unit(&mut self) -> f32 {
        ((self.0.next_u32() >> 8) + 1) as f32 / (1 << 24) as f32
    }

    /// A tensor of a shape: of i64 for integers, and of f32 otherwise.
    pub fn tensor(&mut self, draw: Draw, shape: &[usize]) -> Tensor {
        let count = shape.iter().product();
        let tensor = match draw {
            Draw::Ints(below) => {
                let ints = (0..count).map(|_| ((u64::from(self.0.next_u32()) * u64::from(below)) >> 32).cast_signed());
                Tensor::new(shape, ints.collect())
            }
            Draw::Normal(deviation) => Tensor::new(shape, self.normals(count, deviation)),
            Draw::Uniform(low, high) => {
                Tensor::new(shape, (0..count).map(|_| low + (high - low) * self.unit()).collect())
            }
            Draw::Constant(value) => Tensor::new(shape, vec![value; count]),
        };
        tensor.expect("as many as the shape has")
    }

    /// Box and Muller's method, which gives two at a time.
    fn normals(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        let mut normals = Vec::with_capacity(count + 1);
        while normals.len() < count {
            let (radius, angle) = ((-2.0 * self.unit().ln()).sqrt() * deviation, std::f32::consts::TAU * self.unit());
            normals.extend([radius * angle.cos(), radius * angle.sin()]);
        }
        normals.truncate(count);
        normals
    }
}

/// How a weight is drawn unless its workload says otherwise. `norm`: whether it belongs to a norm and not to a linear layer or convolution.
pub fn usual(name: &str, ty: &Type, norm: bool) -> Draw {
    debug_assert_eq!(ty.dtype, DType::F32);
    let incoming = ty.shape.iter().skip(1).product::<usize>() as f32;
    match (ty.shape.len(), name.rsplit('.').next()) {
        (_, Some("running_mean")) => Draw::Normal(0.1),
        (_, Some("running_var")) => Draw::Uniform(0.5, 1.5),
        (1, Some("weight")) => Draw::Uniform(0.5, 1.5),
        (1, _) if norm => Draw::Normal(0.1),
        (1, _) => Draw::Normal(0.02),
        (4, _) => Draw::Normal((2.0 / incoming).sqrt()),
        _ => Draw::Normal((1.0 / incoming).sqrt()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_their_distribution_and_come_again() {
        let numbers = |draw| Stream::named("a").tensor(draw, &[10_000]).to_f64s();
        let moments = |numbers: &[f64]| {
            let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
            (mean, numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / numbers.len() as f64)
        };
        let (mean, variance) = moments(&numbers(Draw::Normal(2.0)));
        assert!(mean.abs() < 0.1 && (variance - 4.0).abs() < 0.2, "{mean} {variance}");
        let uniform = numbers(Draw::Uniform(-1.0, 3.0));
        assert!(uniform.iter().all(|x| (-1.0..=3.0).contains(x)) && (moments(&uniform).0 - 1.0).abs() < 0.1);
        let ints = numbers(Draw::Ints(7));
        assert!((0..7).all(|i| ints.contains(&f64::from(i))) && ints.iter().all(|&x| x < 7.0));
        assert_eq!(numbers(Draw::Normal(1.0)), numbers(Draw::Normal(1.0)));
        assert_ne!(numbers(Draw::Normal(1.0)), Stream::named("b").tensor(Draw::Normal(1.0), &[10_000]).to_f64s());
    }
}
