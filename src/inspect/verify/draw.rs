//! The values that a program is verified on: drawn to expose errors, and drawn again from a smaller range if the program refuses them.

use dlc_ir::{Argument, DType, Function, Graph, Role, Scalar, Tensor, Type};
use dlc_runtime::Tensors;
use indexmap::IndexMap;

use crate::data::labels::index_bounds;

/// The distribution of the values of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Draw {
    /// The initial examples of the data, if any, and the initial weights.
    Data,
    /// Floats of both signs, indices over their whole range, weights other than the initial ones.
    Wide,
    /// As `Wide`, with zeros of both signs, ones, tiny and large numbers, and the ends of the ranges of indices.
    Special,
    /// As `Wide`, with a few infinities and NaN among the inputs.
    Infinite,
}

/// All draws, in order.
pub(crate) const DRAWS: [Draw; 4] = [Draw::Data, Draw::Wide, Draw::Special, Draw::Infinite];

/// The range of a draw: a program that computes an index refuses most values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// That of the draw.
    Whole,
    /// Floats from 0 to 1, small indices.
    Narrow,
    /// As `Narrow`, with zeros for indices.
    Zero,
}

/// The ranges in the order in which they are tried.
pub(crate) const REACHES: [Reach; 3] = [Reach::Whole, Reach::Narrow, Reach::Zero];

/// Values at which formulas have corners or lose their digits.
const SPECIAL: [f64; 16] =
    [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1e-3, -1e-3, 1e-20, -1e-20, 100.0, -100.0];

/// Values that are not finite: one in [`SELDOM`] inputs, so that most rows have none.
const INFINITE: [f64; 3] = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
const SELDOM: u64 = 32;

/// The source of values.
#[derive(Debug)]
pub(crate) struct Source {
    /// The initial weights and states.
    pub initial: Tensors,
    /// The initial examples of its data.
    pub data: Tensors,
    /// The bounds of index inputs, by name.
    pub bounds: IndexMap<String, usize>,
    /// The seed of all draws.
    pub seed: u64,
}

impl Source {
    /// For the inputs of a graph.
    pub fn new(graph: &Graph, initial: Tensors, data: Tensors, seed: u64) -> Self {
        Source { initial, data, bounds: index_bounds(graph), seed }
    }

    /// A value for every argument of a program.
    pub fn values(&self, entry: &Function, draw: Draw, reach: Reach) -> Vec<Tensor> {
        entry.args().iter().enumerate().map(|(i, argument)| self.value(argument, i, draw, reach)).collect()
    }

    fn value(&self, argument: &Argument, number: usize, draw: Draw, reach: Reach) -> Tensor {
        let ty = &argument.ty;
        let mut random = Random::new(self.seed, draw as u64, number as u64);
        let known = match &argument.role {
            Role::Key => return Tensor::scalar(self.seed.wrapping_add(draw as u64).cast_signed()),
            Role::Param { name, .. } | Role::State { name } => self.initial.get(name),
            Role::Input | Role::Plain if draw == Draw::Data => {
                let rows = self.data.get(&argument.name).and_then(|t| rows(t, ty));
                return rows.unwrap_or_else(|| self.drawn(argument, &mut random, draw, reach));
            }
            Role::Input | Role::Plain => None,
        };
        match known.filter(|t| t.ty() == ty) {
            // many initial weights are zeros and ones, which hide errors
            Some(initial) if draw != Draw::Data && ty.dtype.is_float() => {
                // a state may be a variance, which is not negative
                let least = if matches!(argument.role, Role::State { .. }) { 0.0 } else { -0.25 };
                Tensor::from_fn(ty.clone(), |i| {
                    Scalar::Float(initial.get(i).as_f64() + least + (0.25 - least) * random.uniform()).round(ty.dtype)
                })
            }
            Some(initial) => initial.clone(),
            None => self.drawn(argument, &mut random, draw, reach),
        }
    }

    /// A value for an input.
    fn drawn(&self, argument: &Argument, random: &mut Random, draw: Draw, reach: Reach) -> Tensor {
        let ty = &argument.ty;
        let bound = self.bounds.get(&*argument.name).copied();
        let wide = draw != Draw::Data && reach == Reach::Whole;
        Tensor::from_fn(ty.clone(), |_| match (ty.dtype, bound) {
            (DType::Bool, _) => Scalar::Bool(random.next() % 2 == 1),
            (dtype, Some(bound)) => {
                let last = bound.max(1) as u64 - 1;
                let index = match reach {
                    Reach::Zero => 0,
                    _ if draw == Draw::Special && random.next().is_multiple_of(4) => last * (random.next() % 2),
                    _ => random.next() % (last + 1),
                };
                if dtype.is_float() { Scalar::Float(index as f64) } else { Scalar::Int(index as i64) }
            }
            (dtype, None) if dtype.is_float() => {
                let special = draw == Draw::Special && wide && random.next().is_multiple_of(2);
                let infinite = draw == Draw::Infinite && wide && random.next().is_multiple_of(SELDOM);
                let x = match wide {
                    _ if special => SPECIAL[random.next() as usize % SPECIAL.len()],
                    _ if infinite => INFINITE[random.next() as usize % INFINITE.len()],
                    true => 4.0 * random.uniform() - 2.0,
                    false => random.uniform(),
                };
                Scalar::Float(x).round(dtype)
            }
            (DType::U8, None) if wide => Scalar::Int((random.next() % 256) as i64),
            (_, None) if wide => Scalar::Int((random.next() % 16) as i64 - 3),
            (_, None) if reach == Reach::Zero => Scalar::Int(0),
            (_, None) => Scalar::Int((random.next() % 2) as i64),
        })
    }
}

/// The initial rows of a tensor, as many as a type has, if the rest fits.
fn rows(tensor: &Tensor, ty: &Type) -> Option<Tensor> {
    let fits = tensor.dtype() == ty.dtype
        && tensor.len() >= ty.shape.elements()
        && tensor.shape().get(1..) == ty.shape.get(1..);
    fits.then(|| Tensor::from_fn(ty.clone(), |i| tensor.get(i)))
}

/// A pseudo-random generator: splitmix64.
struct Random(u64);

impl Random {
    fn new(seed: u64, draw: u64, number: u64) -> Self {
        let mut random = Random(seed ^ draw.rotate_left(32) ^ number.rotate_left(48));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    fn uniform(&mut self) -> f64 {
        (self.next() >> 40) as f64 / (1u64 << 24) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_cover_values_that_expose_errors() {
        let text = "func @f(%t: f32[16,4] input, %i: i64[64] input, %x: f32[256] input, %n: i32[64] input, %w: f32[8] param \"w\") -> (\"y\": f32[64,4]) {\n  \
            %0 = gather %t, %i {axis=0, batch=0} : f32[64,4]\n  return %0\n}";
        let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
        let initial: Tensors = [("w", Tensor::zeros(Type::new(DType::F32, [8usize])))].into_iter().collect();
        let source = Source::new(&graph, initial, Tensors::new(), 1);
        let of = |draw| source.values(graph.entry(), draw, Reach::Whole);
        let (wide, special) = (of(Draw::Wide), of(Draw::Special));
        for values in [&wide, &special] {
            let indices = values[1].to_f64s();
            assert!(indices.iter().all(|i| (0.0..16.0).contains(i)), "{indices:?}");
            assert!(indices.contains(&15.0) && indices.contains(&0.0), "{indices:?}");
            assert!(values[2].to_f64s().iter().any(|x| *x < -1.0) && values[3].to_f64s().iter().any(|x| *x < 0.0));
            assert!(values[4].to_f64s().iter().any(|x| *x != 0.0));
        }
        let x = special[2].to_f64s();
        assert!(SPECIAL.iter().all(|s| x.iter().any(|x| *x == f64::from(*s as f32))), "{x:?}");
        assert!(x.iter().any(|x| *x == 0.0 && x.is_sign_negative()));
        assert_ne!(wide, source.values(graph.entry(), Draw::Special, Reach::Whole));
        let (x, weights) = (of(Draw::Infinite)[2].to_f64s(), of(Draw::Infinite)[4].to_f64s());
        let finite = x.iter().filter(|x| x.is_finite()).count();
        assert!(finite > 200 && x.iter().any(|x| x.is_nan()) && x.iter().any(|x| x.is_infinite()), "{x:?}");
        assert!(weights.iter().all(|x| x.is_finite()), "{weights:?}");
        assert_ne!(wide, Source { seed: 2, ..source }.values(graph.entry(), Draw::Wide, Reach::Whole));
    }
}
