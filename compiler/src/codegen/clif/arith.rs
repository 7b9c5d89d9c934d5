//! Instructions of kernels.

use cranelift_codegen::ir::{
    InstBuilder, Value,
    condcodes::{FloatCC, IntCC},
    types,
};

use super::value::{Lowering, Parts, Rep, part_type, parts, scalar_type};
use crate::kernel::{Binary, Compare, Const, Elem, Inst, Ty, Unary, Val};

impl Lowering<'_, '_> {
    pub fn inst(&mut self, val: Val, inst: &Inst) {
        let ty = self.kernel.ty(val);
        let rep = match *inst {
            Inst::Const(c) => Rep::Const(c),
            Inst::Iota => self.iota(ty),
            Inst::Unary(_, x) if ty.elem == Elem::Bool => {
                self.logical(ty.lanes, [x], |this, [x]| this.not(x, ty.lanes))
            }
            Inst::Unary(op, x) => self.map(ty, [x], |this, [x]| this.unary(op, ty, x)),
            Inst::Binary(op, x, y) => self.binary(op, x, y, ty),
            Inst::Fma(a, b, c) => self.map(ty, [a, b, c], |this, [a, b, c]| this.b.ins().fma(a, b, c)),
            Inst::DivFloor(x, d) => self.divide(x, d, ty, false),
            Inst::Mod(x, d) => self.divide(x, d, ty, true),
            Inst::Compare(op, x, y) => self.compare(op, x, y),
            Inst::Select(c, x, y) => self.select(c, x, y, ty),
            Inst::Convert(x) => self.convert(x, ty),
            Inst::Bitcast(x) => self.bitcast(x, ty),
            Inst::Splat(x) => self.splat(x, ty),
            Inst::Lane(x, lane) => {
                self.lanes_of.insert(val, (x, lane));
                self.lane(x, lane)
            }
            Inst::Half(x, upper) => self.half(x, upper, ty),
            Inst::Interleave(x, y, upper) => self.interleave(x, y, upper, ty),
            Inst::Any(x) => self.any(x),
            Inst::Load(ref access) => self.load(access, ty),
            Inst::Gather { buf, index, offset } => self.gather(buf, index, offset, ty),
        };
        self.set(val, rep);
    }

    /// Applies an operation to a scalar, or to each register of vectors other than masks.
    fn map<const N: usize>(&mut self, ty: Ty, vals: [Val; N], f: impl Fn(&mut Self, [Value; N]) -> Value) -> Rep {
        if ty.lanes == 1 {
            let x = vals.map(|v| self.scalar(v));
            return Rep::Scalar(f(self, x));
        }
        let vectors = vals.map(|v| self.vector(v));
        let mapped = (0..parts(ty)).map(|i| {
            let x = std::array::from_fn(|k| vectors[k][i]);
            f(self, x)
        });
        Rep::Vector(mapped.collect())
    }

    /// Applies a logical operation to booleans: `i8` scalars, or masks of one width.
    fn logical<const N: usize>(
        &mut self,
        lanes: u8,
        vals: [Val; N],
        f: impl Fn(&mut Self, [Value; N]) -> Value,
    ) -> Rep {
        if lanes == 1 {
            let x = vals.map(|v| self.scalar(v));
            return Rep::Scalar(f(self, x));
        }
        let wide = vals.iter().any(|&v| self.is_wide(v));
        let masks = vals.map(|v| self.mask(v, wide));
        let out: Parts = (0..masks[0].len())
            .map(|i| {
                let x = std::array::from_fn(|k| masks[k][i]);
                f(self, x)
            })
            .collect();
        if wide { Rep::Mask64(out) } else { Rep::Mask32(out) }
    }

    fn not(&mut self, x: Value, lanes: u8) -> Value {
        if lanes == 1 { self.b.ins().bxor_imm_u(x, 1) } else { self.b.ins().bnot(x) }
    }

    fn unary(&mut self, op: Unary, ty: Ty, x: Value) -> Value {
        let float = ty.elem.is_float();
        let ins = self.b.ins();
        match op {
            Unary::Neg if float => ins.fneg(x),
            Unary::Neg => ins.ineg(x),
            Unary::Abs if float => ins.fabs(x),
            Unary::Abs => ins.iabs(x),
            Unary::Not => ins.bnot(x),
            Unary::Sqrt => ins.sqrt(x),
            Unary::Floor => ins.floor(x),
            Unary::Ceil => ins.ceil(x),
            Unary::Trunc => ins.trunc(x),
            Unary::Nearest => ins.nearest(x),
        }
    }

    fn binary(&mut self, op: Binary, x: Val, y: Val, ty: Ty) -> Rep {
        match ty.elem {
            Elem::Bool => self.logical(ty.lanes, [x, y], |this, [x, y]| match op {
                Binary::And | Binary::Min => this.b.ins().band(x, y),
                Binary::Or | Binary::Max => this.b.ins().bor(x, y),
                _ => this.b.ins().bxor(x, y),
            }),
            Elem::F32 | Elem::F64 => {
                let is_number = self.constant(x).is_some_and(Const::is_number);
                self.map(ty, [x, y], |this, [x, y]| match op {
                    Binary::Min | Binary::Max => this.extreme(op, ty, x, y, is_number),
                    _ => this.binary_float(op, ty, x, y),
                })
            }
            Elem::I32 | Elem::I64 => {
                if ty == Ty::INDEX
                    && let Some(rep) = self.index_binary(op, x, y)
                {
                    return rep;
                }
                let shift = matches!(op, Binary::Shl | Binary::Shr | Binary::ShrU);
                if ty.lanes > 1
                    && shift
                    && let Some(amount) = self.constant(y)
                {
                    return self.shift_by(op, x, amount, ty);
                }
                if ty.lanes > 1 && (shift || matches!(op, Binary::Div | Binary::Rem)) {
                    let (x, y) = (self.vector(x), self.vector(y));
                    let elem = ty.elem;
                    return Rep::Vector(self.lanewise(ty, |this, lane| {
                        let (x, y) = (this.extract(&x, elem, lane), this.extract(&y, elem, lane));
                        this.binary_int(op, Ty::scalar(elem), x, y)
                    }));
                }
                self.map(ty, [x, y], |this, [x, y]| this.binary_int(op, ty, x, y))
            }
        }
    }

    /// Keeps the constant terms of index sums apart, so that they become displacements.
    fn index_binary(&mut self, op: Binary, x: Val, y: Val) -> Option<Rep> {
        let ((xv, xc), (yv, yc)) = (self.index(x), self.index(y));
        let with = |v: Option<Value>, c: i64| match v {
            Some(v) => Rep::Index(v, c),
            None => Rep::Const(Const::I64(c)),
        };
        match (op, xv, yv) {
            (Binary::Add, Some(a), Some(b)) => {
                let sum = self.b.ins().iadd(a, b);
                Some(with(Some(sum), xc.wrapping_add(yc)))
            }
            (Binary::Add, a, b) => Some(with(a.or(b), xc.wrapping_add(yc))),
            (Binary::Sub, Some(a), Some(b)) => {
                let difference = self.b.ins().isub(a, b);
                Some(with(Some(difference), xc.wrapping_sub(yc)))
            }
            (Binary::Sub, a, None) => Some(with(a, xc.wrapping_sub(yc))),
            (Binary::Mul, a, None) => {
                let (product, c) = (a.map(|a| self.scale(a, yc)), xc.wrapping_mul(yc));
                Some(with(product, c))
            }
            (Binary::Mul, None, b) => {
                let (product, c) = (b.map(|b| self.scale(b, xc)), xc.wrapping_mul(yc));
                Some(with(product, c))
            }
            _ => None,
        }
    }

    fn scale(&mut self, x: Value, c: i64) -> Value {
        if c > 0 && c.is_positive() && (c as u64).is_power_of_two() {
            return self.b.ins().ishl_imm_u(x, i64::from(c.trailing_zeros()));
        }
        self.b.ins().imul_imm_s(x, c)
    }

    /// `2^n` for an integral n of the range of normal exponents: adding `1.5 * 2^bits` leaves the integer in the low bits.
    fn power_of_two(&mut self, ty: Ty, n: Value) -> Value {
        let (magic, int, bits) = match ty.elem {
            Elem::F32 => (12_583_039.0, Elem::I32, 23),
            _ => (6_755_399_441_056_767.0, Elem::I64, 52),
        };
        let magic = self.make_const(Const::float(ty.elem, magic), ty.lanes);
        let shifted = self.b.ins().fadd(n, magic);
        let (int, float) =
            if ty.lanes == 1 { (scalar_type(int), scalar_type(ty.elem)) } else { (part_type(int), part_type(ty.elem)) };
        let raw = self.cast(shifted, int);
        let exponent = self.b.ins().ishl_imm_u(raw, bits);
        self.cast(exponent, float)
    }

    fn binary_float(&mut self, op: Binary, ty: Ty, x: Value, y: Value) -> Value {
        match op {
            Binary::Scale => {
                // In two steps, since 2^y may overflow or underflow where the result does not.
                let half = self.make_const(Const::float(ty.elem, 0.5), ty.lanes);
                let first = self.b.ins().fmul(y, half);
                let first = self.b.ins().floor(first);
                let second = self.b.ins().fsub(y, first);
                let (first, second) = (self.power_of_two(ty, first), self.power_of_two(ty, second));
                let product = self.b.ins().fmul(x, first);
                self.b.ins().fmul(product, second)
            }
            Binary::Add => self.b.ins().fadd(x, y),
            Binary::Sub => self.b.ins().fsub(x, y),
            Binary::Mul => self.b.ins().fmul(x, y),
            Binary::Div => self.b.ins().fdiv(x, y),
            _ => unreachable!("the verifier admits {op:?} of integers only"),
        }
    }

    /// The smaller or the larger of two floats; whether x is known not to be NaN.
    fn extreme(&mut self, op: Binary, ty: Ty, x: Value, y: Value, is_number: bool) -> Value {
        // Cranelift's own fmin and fmax take 7 to 9 instructions; it lowers this comparison and select to one.
        let (p, q) = if op == Binary::Min { (x, y) } else { (y, x) };
        let better = self.b.ins().fcmp(FloatCC::LessThan, p, q);
        let first = if ty.lanes == 1 {
            self.b.ins().select(better, x, y)
        } else {
            let better = self.cast(better, part_type(ty.elem));
            self.b.ins().bitselect(better, x, y)
        };
        if is_number {
            return first;
        }
        let nan = self.b.ins().fcmp(FloatCC::Unordered, x, x);
        self.choose(nan, x, first, ty.lanes)
    }

    /// `if c { x } else { y }`: a scalar, or a register, whose mask lanes are zero or all ones.
    fn choose(&mut self, c: Value, x: Value, y: Value, lanes: u8) -> Value {
        if lanes == 1 {
            return self.b.ins().select(c, x, y);
        }
        let ty = self.b.func.dfg.value_type(x);
        if self.x86 {
            // One instruction, whereas `bitselect` takes three unless Cranelift proves that the lanes are zero or all ones.
            let int = self.b.func.dfg.value_type(c);
            let (x, y) = (self.cast(x, int), self.cast(y, int));
            let chosen = self.b.ins().blendv(c, x, y);
            return self.cast(chosen, ty);
        }
        let c = self.cast(c, ty);
        self.b.ins().bitselect(c, x, y)
    }

    fn binary_int(&mut self, op: Binary, ty: Ty, x: Value, y: Value) -> Value {
        match op {
            Binary::Add => self.b.ins().iadd(x, y),
            Binary::Sub => self.b.ins().isub(x, y),
            Binary::Mul => self.b.ins().imul(x, y),
            Binary::And => self.b.ins().band(x, y),
            Binary::Or => self.b.ins().bor(x, y),
            Binary::Xor => self.b.ins().bxor(x, y),
            Binary::Shl => self.b.ins().ishl(x, y),
            Binary::Shr => self.b.ins().sshr(x, y),
            Binary::ShrU => self.b.ins().ushr(x, y),
            Binary::Scale => unreachable!("the verifier admits it of floats only"),
            Binary::Min | Binary::Max => {
                let cc = if op == Binary::Min { IntCC::SignedLessThan } else { IntCC::SignedGreaterThan };
                let better = self.b.ins().icmp(cc, x, y);
                self.choose(better, x, y, ty.lanes)
            }
            Binary::Div | Binary::Rem => {
                // The instruction traps at x / 0 and MIN / -1: divide by 1 there. Then MIN / -1 = MIN with remainder 0 as
                // required; x / 0 and x rem 0 are 0.
                let kind = scalar_type(ty.elem);
                let zero = self.b.ins().icmp_imm_s(IntCC::Equal, y, 0);
                let minus = self.b.ins().icmp_imm_s(IntCC::Equal, y, -1);
                let special = self.b.ins().bor(zero, minus);
                let one = self.b.ins().iconst(kind, 1);
                let nil = self.b.ins().iconst(kind, 0);
                let divisor = self.b.ins().select(special, one, y);
                if op == Binary::Rem {
                    let rest = self.b.ins().srem(x, divisor);
                    return self.b.ins().select(special, nil, rest);
                }
                let quotient = self.b.ins().sdiv(x, divisor);
                let negated = self.b.ins().ineg(x);
                let quotient = self.b.ins().select(minus, negated, quotient);
                self.b.ins().select(zero, nil, quotient)
            }
        }
    }

    fn shift_by(&mut self, op: Binary, x: Val, amount: Const, ty: Ty) -> Rep {
        let amount = match amount {
            Const::I32(c) => i64::from(c) & 31,
            Const::I64(c) => c & 63,
            _ => unreachable!("shift counts are integers"),
        };
        let count = self.b.ins().iconst(types::I32, amount);
        self.map(ty, [x], |this, [x]| match op {
            Binary::Shl => this.b.ins().ishl(x, count),
            Binary::Shr => this.b.ins().sshr(x, count),
            _ => this.b.ins().ushr(x, count),
        })
    }

    fn divide(&mut self, x: Val, d: i64, ty: Ty, modulo: bool) -> Rep {
        if ty.lanes == 1 {
            let x = self.scalar(x);
            return Rep::Scalar(self.divide_scalar(x, d, ty.elem, modulo));
        }
        let x = self.vector(x);
        Rep::Vector(self.lanewise(ty, |this, lane| {
            let x = this.extract(&x, ty.elem, lane);
            this.divide_scalar(x, d, ty.elem, modulo)
        }))
    }

    /// Division by a positive constant, rounding down, strength-reduced to multiplication.
    ///
    /// For `x < 0`, `floor(x / d) = !floor(!x / d)`, which leaves a dividend `n` of 63 bits. With `2^l >= d`, `m = floor(2^(63 +
    /// l) / d) + 1` fits in 64 bits and `floor(n * m / 2^(63 + l)) = floor(n / d)`.
    fn divide_scalar(&mut self, x: Value, d: i64, elem: Elem, modulo: bool) -> Value {
        let x64 = if elem == Elem::I32 { self.b.ins().sextend(types::I64, x) } else { x };
        let power = (d as u64).is_power_of_two();
        let result = if power && modulo {
            self.b.ins().band_imm_s(x64, d - 1)
        } else {
            let quotient = if power {
                self.b.ins().sshr_imm_u(x64, i64::from(d.trailing_zeros()))
            } else {
                let l = 64 - (d as u64 - 1).leading_zeros();
                let magic = ((1u128 << (63 + l)) / d as u128 + 1) as u64;
                let sign = self.b.ins().sshr_imm_u(x64, 63);
                let n = self.b.ins().bxor(x64, sign);
                let m = self.b.ins().iconst(types::I64, magic as i64);
                let high = self.b.ins().umulhi(n, m);
                let q = self.b.ins().ushr_imm_u(high, i64::from(l) - 1);
                self.b.ins().bxor(q, sign)
            };
            if modulo {
                let back = self.b.ins().imul_imm_s(quotient, d);
                self.b.ins().isub(x64, back)
            } else {
                quotient
            }
        };
        if elem == Elem::I32 { self.b.ins().ireduce(types::I32, result) } else { result }
    }

    fn compare(&mut self, op: Compare, x: Val, y: Val) -> Rep {
        let ty = self.kernel.ty(x);
        if ty.elem == Elem::Bool {
            return self.logical(ty.lanes, [x, y], |this, [x, y]| match op {
                Compare::Ne => this.b.ins().bxor(x, y),
                Compare::Eq => {
                    let differ = this.b.ins().bxor(x, y);
                    this.not(differ, ty.lanes)
                }
                Compare::Lt | Compare::Le => {
                    let not = this.not(x, ty.lanes);
                    if op == Compare::Lt { this.b.ins().band(not, y) } else { this.b.ins().bor(not, y) }
                }
                Compare::Gt | Compare::Ge => {
                    let not = this.not(y, ty.lanes);
                    if op == Compare::Gt { this.b.ins().band(not, x) } else { this.b.ins().bor(not, x) }
                }
            });
        }
        let rep = self.map(ty, [x, y], |this, [x, y]| {
            if ty.elem.is_float() {
                let cc = match op {
                    Compare::Eq => FloatCC::Equal,
                    Compare::Ne => FloatCC::NotEqual,
                    Compare::Lt => FloatCC::LessThan,
                    Compare::Le => FloatCC::LessThanOrEqual,
                    Compare::Gt => FloatCC::GreaterThan,
                    Compare::Ge => FloatCC::GreaterThanOrEqual,
                };
                this.b.ins().fcmp(cc, x, y)
            } else {
                let cc = match op {
                    Compare::Eq => IntCC::Equal,
                    Compare::Ne => IntCC::NotEqual,
                    Compare::Lt => IntCC::SignedLessThan,
                    Compare::Le => IntCC::SignedLessThanOrEqual,
                    Compare::Gt => IntCC::SignedGreaterThan,
                    Compare::Ge => IntCC::SignedGreaterThanOrEqual,
                };
                this.b.ins().icmp(cc, x, y)
            }
        });
        match rep {
            Rep::Vector(parts) if ty.elem.bits() == 64 => Rep::Mask64(parts),
            Rep::Vector(parts) => Rep::Mask32(parts),
            scalar => scalar,
        }
    }

    fn select(&mut self, c: Val, x: Val, y: Val, ty: Ty) -> Rep {
        if ty.elem == Elem::Bool {
            return self.logical(ty.lanes, [c, x, y], |this, [c, x, y]| this.choose(c, x, y, ty.lanes));
        }
        if ty.lanes == 1 {
            let (c, x, y) = (self.scalar(c), self.scalar(x), self.scalar(y));
            return Rep::Scalar(self.b.ins().select(c, x, y));
        }
        let mask = self.mask(c, ty.elem.bits() == 64);
        let (x, y) = (self.vector(x), self.vector(y));
        let chosen = (0..parts(ty)).map(|i| self.choose(mask[i], x[i], y[i], ty.lanes));
        Rep::Vector(chosen.collect())
    }
}
