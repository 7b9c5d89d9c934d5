//! Elementwise steps, and steps without operands.

use dlc_ir::op::Iota;
use dlc_ir::{DType, Direction, Scalar, ScalarOp, Type, Value};

use super::{Kind, Maker};

impl Maker {
    /// Random numbers, or consecutive ones.
    pub(super) fn drawn(&mut self) -> Option<()> {
        let (key, counter) = (self.rng.bits() as i64, self.rng.below(9) as i64);
        let key = self.b.scalar(DType::I64, Scalar::Int(key)).ok()?;
        let counter = self.b.scalar(DType::I64, Scalar::Int(counter)).ok()?;
        let shape = self.shape(4);
        if !shape.is_empty() && self.rng.below(4) == 0 {
            let (axis, dtype) = (self.rng.below(shape.len()), self.dtype());
            return self.push(Iota { ty: Type::new(dtype, shape), axis }, &[], 17.0);
        }
        if self.kind == Kind::Exact {
            let dtype = [DType::I32, DType::I64][self.rng.below(2)];
            let bits = self.b.rng_bits(key, counter, Type::new(dtype, shape)).ok()?;
            let seven = self.b.full_like(bits, 7.0).ok()?;
            return self.push(ScalarOp::And, &[bits, seven], 7.0);
        }
        let ty = Type::new(self.float, shape);
        let (value, bound) = match self.rng.below(2) {
            0 => (self.b.uniform(key, counter, &ty).ok()?, 1.0),
            _ => (self.b.normal(key, counter, &ty).ok()?, 8.0),
        };
        self.keep(value, bound)
    }

    pub(super) fn boolean(&mut self, x: Value) -> Option<()> {
        match self.rng.below(4) {
            0 => self.push(ScalarOp::Not, &[x], 1.0),
            1 => {
                let (y, _) = self.partner(x);
                let f = [ScalarOp::And, ScalarOp::Or, ScalarOp::Xor][self.rng.below(3)];
                self.push(f, &[x, y], 1.0)
            }
            2 => {
                let dtype = self.dtype();
                self.push(ScalarOp::Convert(dtype), &[x], 1.0)
            }
            _ => {
                let shape = self.b.ty(x).shape.clone();
                let fitting: Vec<(Value, f64)> = self
                    .values
                    .iter()
                    .copied()
                    .filter(|(v, _)| self.b.ty(*v).shape == shape && self.b.ty(*v).dtype != DType::Bool)
                    .collect();
                let (y, bound) = *fitting.get(self.rng.below(fitting.len().max(1)))?;
                let (z, other) = self.partner(y);
                self.push(ScalarOp::Select, &[x, y, z], bound.max(other))
            }
        }
    }

    pub(super) fn unary(&mut self, x: Value, ty: &Type, bound: f64) -> Option<()> {
        if self.is_real(ty) {
            // Everything stays within a few units, where no function is steep.
            use ScalarOp::{
                Abs, Ceil, Convert, Cos, Erf, Exp, Expm1, Floor, Log, Log1p, Neg, Relu, Round, Rsqrt, Sigmoid, Sign,
                Sin, Sqrt, StopGradient, Tanh,
            };
            let other = if ty.dtype == DType::F32 { DType::F64 } else { DType::F32 };
            let all = [
                Neg,
                Tanh,
                Sigmoid,
                Sin,
                Cos,
                Erf,
                Relu,
                Abs,
                Exp,
                Expm1,
                Log1p,
                Sqrt,
                Rsqrt,
                Log,
                Floor,
                Ceil,
                Round,
                Sign,
                StopGradient,
                Convert(other),
            ];
            let f = all[self.rng.below(all.len())];
            let operand = match f {
                Exp | Expm1 => self.b.tanh(x).ok()?,
                Log1p | Sqrt | Rsqrt | Log => {
                    let square = self.b.mul(x, x).ok()?;
                    let one = self.b.full_like(x, 1.0).ok()?;
                    self.b.add(square, one).ok()?
                }
                _ => x,
            };
            return self.push(f, &[operand], bound.max(4.0));
        }
        use ScalarOp::{Abs, Neg, Relu, Sign, StopGradient};
        if ty.dtype == DType::U8 {
            let f = [Relu, Sign, Abs, StopGradient][self.rng.below(4)];
            return self.push(f, &[x], bound);
        }
        if self.rng.below(3) == 0 {
            let to = [DType::F32, DType::F64, DType::I32, DType::I64][self.rng.below(4)];
            return self.push(ScalarOp::Convert(to), &[x], bound);
        }
        let f = [Neg, Abs, Sign, Relu][self.rng.below(4)];
        self.push(f, &[x], bound)
    }

    pub(super) fn binary(&mut self, x: Value, ty: &Type, bound: f64) -> Option<()> {
        let (y, other) = self.partner(x);
        let unsigned = ty.dtype == DType::U8;
        if ty.dtype.is_int() && self.rng.below(3) == 0 {
            use ScalarOp::{And, Div, Or, Rem, ShiftLeft, ShiftRight, Xor};
            let f = [And, Div, Or, Rem, ShiftLeft, ShiftRight, Xor][self.rng.below(7)];
            return match f {
                Div | Rem => self.push(f, &[x, y], bound),
                And | Or | Xor => self.push(f, &[x, y], 2.0 * bound.max(other) + 1.0),
                _ => {
                    let by = self.b.full_like(x, self.rng.below(3) as f64).ok()?;
                    self.push(f, &[x, by], 4.0 * bound)
                }
            };
        }
        match self.rng.below(9) {
            0 => self.push(ScalarOp::Add, &[x, y], bound + other),
            1 if !unsigned => self.push(ScalarOp::Sub, &[x, y], bound + other),
            2 if !self.is_real(ty) => self.push(ScalarOp::Mul, &[x, y], bound * other),
            2 => {
                let y = self.b.tanh(y).ok()?;
                self.push(ScalarOp::Mul, &[x, y], bound)
            }
            3 => self.push(ScalarOp::Max, &[x, y], bound.max(other)),
            4 => self.push(ScalarOp::Min, &[x, y], bound.max(other)),
            5 => {
                let all = Direction::ALL;
                let direction = all[self.rng.below(all.len())];
                self.push(ScalarOp::Compare(direction), &[x, y], 1.0)
            }
            6 if self.is_real(ty) => {
                let y = self.above_one(y)?;
                let f = [ScalarOp::Div, ScalarOp::Div, ScalarOp::Rem][self.rng.below(3)];
                self.push(f, &[x, y], bound)
            }
            7 if self.is_real(ty) => {
                let (x, y) = (self.above_one(x)?, self.b.tanh(y).ok()?);
                self.push(ScalarOp::Pow, &[x, y], bound * bound + 1.0)
            }
            _ => None,
        }
    }

    /// `x² + 1`.
    fn above_one(&mut self, x: Value) -> Option<Value> {
        let square = self.b.mul(x, x).ok()?;
        let one = self.b.full_like(x, 1.0).ok()?;
        self.b.add(square, one).ok()
    }
}
