//! What generated tests pass to an operator, and how accurate its compiled form must be.

use super::{EvalError, Op};
use crate::{DType, Scalar, Tensor, Type};

/// The values from which generated tests draw an operand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Domain {
    /// Numbers in an interval.
    Float(f64, f64),
    /// Numbers in an interval, no two of them close: where the derivative depends on which one is larger.
    Distinct(f64, f64),
    /// Integers from the first to the second.
    Int(i64, i64),
    Bool,
}

/// The usual domain of floating-point operands.
pub(super) const FLOAT: Domain = Domain::Float(-2.0, 2.0);
/// The usual domain of integer operands.
pub(super) const INT: Domain = Domain::Int(-20, 20);

impl Domain {
    /// The usual domain of a dtype.
    pub fn of(dtype: DType) -> Domain {
        match dtype {
            DType::F32 | DType::F64 => FLOAT,
            DType::U8 | DType::I32 | DType::I64 => INT,
            DType::Bool => Domain::Bool,
        }
    }

    fn draw(self, ty: &Type, random: &mut Random) -> Tensor {
        let n = ty.shape.elements();
        let mut order: Vec<usize> = (0..n).collect();
        if matches!(self, Domain::Distinct(..)) {
            for i in (1..n).rev() {
                order.swap(i, random.below(i as u64 + 1) as usize);
            }
        }
        Tensor::from_fn(ty.clone(), |i| match self {
            Domain::Float(low, high) => Scalar::Float(low + (high - low) * random.unit()),
            Domain::Distinct(low, high) => {
                Scalar::Float(low + (high - low) * (order[i] as f64 + 0.5 * random.unit()) / n as f64)
            }
            Domain::Int(low, high) => Scalar::Int(low + random.below((high - low) as u64 + 1) as i64),
            Domain::Bool => Scalar::Bool(random.below(2) == 1),
        })
    }
}

/// One well-typed use of an operator, for the tests that are generated from the table.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The operator with its attributes.
    pub op: Op,
    /// The types of the operands and the domains of their values.
    pub operands: Vec<(Type, Domain)>,
}

impl Sample {
    /// A sample without operands.
    pub fn new(op: impl Into<Op>) -> Self {
        Sample { op: op.into(), operands: vec![] }
    }

    /// Adds an operand.
    pub fn with(mut self, ty: Type, domain: Domain) -> Self {
        self.operands.push((ty, domain));
        self
    }

    /// Adds an operand of the usual domain of its dtype.
    pub fn on(self, ty: Type) -> Self {
        let domain = Domain::of(ty.dtype);
        self.with(ty, domain)
    }

    /// The types of the operands.
    pub fn types(&self) -> Vec<Type> {
        self.operands.iter().map(|(ty, _)| ty.clone()).collect()
    }

    /// Random operands, reproducible by the seed.
    pub fn draw(&self, seed: u64) -> Vec<Tensor> {
        let mut random = Random(seed);
        self.operands.iter().map(|(ty, domain)| domain.draw(ty, &mut random)).collect()
    }
}

/// SplitMix64: small, and good enough to choose test values.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// How far a compiled result may be from the reference. Integers and booleans are always exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// Equal bits, but for the sign of zero and the bits of NaN.
    Exact,
    /// At most this many units in the last place from the true value; up to 0.5 is exact.
    Ulps(f64),
    /// A sum or product of at most this many terms: `(√K + 1) ε` times the operator's result on the operands' absolute values.
    Terms(usize),
    /// The operator depends on other functions, and so does its error.
    NotLocal,
}

impl Op {
    /// For each element of a floating-point result how far a compiled value may be from `expected`, the reference.
    ///
    /// # Errors
    /// As [`Op::eval`].
    pub fn bounds(&self, args: &[Tensor], expected: &Tensor) -> Result<Vec<f64>, EvalError> {
        let types: Vec<Type> = args.iter().map(|x| x.ty().clone()).collect();
        let dtype = expected.dtype();
        let exact = vec![0.0; expected.len()];
        Ok(match self.tolerance(&types) {
            Tolerance::NotLocal => return Err(EvalError::NotLocal(self.mnemonic())),
            _ if !dtype.is_float() => exact,
            Tolerance::Exact => exact,
            Tolerance::Ulps(n) if n <= 0.5 => exact,
            // the reference itself is rounded, and computed by functions that are within an ulp in f64
            Tolerance::Ulps(n) => expected.to_f64s().iter().map(|&x| (n + 1.0) * ulp(x, dtype)).collect(),
            Tolerance::Terms(k) => {
                let sizes: Vec<Tensor> = args.iter().map(absolute).collect();
                let sizes = self.eval(&sizes)?[0].to_f64s();
                let factor = ((k as f64).sqrt() + 1.0) * 2.0 * dtype.unit_roundoff();
                sizes.iter().map(|&x| factor * x + ulp(0.0, dtype)).collect()
            }
        })
    }
}

fn absolute(x: &Tensor) -> Tensor {
    if x.dtype().is_float() {
        Tensor::from_fn(x.ty().clone(), |i| Scalar::Float(x.get(i).as_f64().abs()))
    } else {
        x.clone()
    }
}

/// The distance of a number to the next larger one in magnitude; infinity if there is none.
fn ulp(x: f64, dtype: DType) -> f64 {
    let x = x.abs();
    match dtype {
        DType::F32 => f64::from((x as f32).next_up()) - f64::from(x as f32),
        // Bounds of all others are in f64.
        DType::F64 | DType::I32 | DType::I64 | DType::U8 | DType::Bool => x.next_up() - x,
    }
}
