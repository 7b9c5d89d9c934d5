//! Random draws, as composites of `rng_bits`.

use super::{Builder, Built};
use crate::op::RngBits;
use crate::{DType, Operator, Scalar, ScalarOp, Type, TypeError, Value};

impl Builder {
    /// Random bits of an i32 or i64 type; equal keys and counters give equal bits.
    ///
    /// # Errors
    /// If key and counter are not i64 scalars, or the type is neither i32 nor i64.
    pub fn rng_bits(&mut self, key: Value, counter: Value, ty: Type) -> Built {
        self.push(RngBits { ty }, &[key, counter])
    }

    /// A new key from a key and a number (i64 scalars). Different numbers give independent keys, independent also of what is drawn
    /// with `key` itself: the cipher's key is the complement of `key`.
    ///
    /// # Errors
    /// If the operands are no i64 scalars.
    pub fn fold_in(&mut self, key: Value, number: Value) -> Built {
        let other = self.not(key)?;
        self.rng_bits(other, number, Type::scalar(DType::I64))
    }

    /// Uniform samples from [0, 1): multiples of 2^-24 in f32, of 2^-53 in f64.
    ///
    /// # Errors
    /// If key and counter are not i64 scalars or the type is not a floating-point one.
    pub fn uniform(&mut self, key: Value, counter: Value, ty: &Type) -> Built {
        let (bits_dtype, unused, unit) = match ty.dtype {
            DType::F64 => (DType::I64, 11, 1.0 / (1u64 << 53) as f64),
            DType::F32 => (DType::I32, 8, 1.0 / f64::from(1 << 24)),
            dtype @ (DType::I32 | DType::I64 | DType::U8 | DType::Bool) => {
                let message = format!("draws floating-point numbers, not {dtype}");
                return Err(TypeError { mnemonic: RngBits::MNEMONIC, message });
            }
        };
        let bits = self.rng_bits(key, counter, ty.with_dtype(bits_dtype))?;
        let unused = self.full(&ty.with_dtype(bits_dtype), Scalar::Int(unused))?;
        let whole = self.map(ScalarOp::ShiftRight, &[bits, unused])?;
        let whole = self.convert(whole, ty.dtype)?;
        let unit = self.full(ty, Scalar::Float(unit))?;
        self.mul(whole, unit)
    }

    /// Standard normal samples by the Box-Muller method: `sqrt(-2 log(1 - u)) cos(2π v)` with `u` and `v` the halves of one
    /// uniform draw.
    ///
    /// # Errors
    /// If key and counter are not i64 scalars or the type is not a floating-point one.
    pub fn normal(&mut self, key: Value, counter: Value, ty: &Type) -> Built {
        let n = ty.shape.elements();
        let both = self.uniform(key, counter, &ty.with_shape([2, n]))?;
        let half = |b: &mut Self, i: usize| -> Built {
            let part = b.slice_axis(both, 0, i, i + 1)?;
            b.reshape(part, ty.shape.clone())
        };
        let (u, v) = (half(self, 0)?, half(self, 1)?);
        let one = self.full(ty, Scalar::Float(1.0))?;
        let positive = self.sub(one, u)?;
        let log = self.log(positive)?;
        let factor = self.full(ty, Scalar::Float(-2.0))?;
        let square = self.mul(factor, log)?;
        let radius = self.sqrt(square)?;
        let turn = self.full(ty, Scalar::Float(std::f64::consts::TAU))?;
        let angle = self.mul(turn, v)?;
        let direction = self.cos(angle)?;
        self.mul(radius, direction)
    }
}
