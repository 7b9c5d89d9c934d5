//! Integers: scalars in general registers, lanes of vectors, and comparisons of scalars.

use smallvec::SmallVec;

use super::arith::by_elem;
use super::value::{Parts, Rep};
use super::{Code, Condition, Inst, Mem, Op, Reg, Rm, Select, Width};
use crate::codegen::wide::code::{RAX, RDX};
use crate::codegen::wide::inst::{Base, Label};
use crate::codegen::wide::isa::Isa;
use crate::kernel::{Binary, Compare, Const, Elem, Ty, Unary, Val};

/// The end of a loop.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    Known(i32),
    Reg(Reg),
}

/// The width of an integer's instructions.
fn general_width(elem: Elem) -> Width {
    if elem == Elem::I64 { Width::W64 } else { Width::W32 }
}

impl Compare {
    /// The condition of a comparison of integers.
    fn condition(self) -> Condition {
        match self {
            Compare::Eq => Condition::Equal,
            Compare::Ne => Condition::NotEqual,
            Compare::Lt => Condition::Less,
            Compare::Le => Condition::LessOrEqual,
            Compare::Gt => Condition::Greater,
            Compare::Ge => Condition::GreaterOrEqual,
        }
    }
}

impl Condition {
    fn inverse(self) -> Condition {
        match self {
            Condition::Below => Condition::AboveOrEqual,
            Condition::AboveOrEqual => Condition::Below,
            Condition::Equal => Condition::NotEqual,
            Condition::NotEqual => Condition::Equal,
            Condition::BelowOrEqual => Condition::Above,
            Condition::Above => Condition::BelowOrEqual,
            Condition::Parity => Condition::NoParity,
            Condition::NoParity => Condition::Parity,
            Condition::Less => Condition::GreaterOrEqual,
            Condition::GreaterOrEqual => Condition::Less,
            Condition::LessOrEqual => Condition::Greater,
            Condition::Greater => Condition::LessOrEqual,
        }
    }
}

impl Select<'_> {
    pub(super) fn bound(&mut self, end: Val) -> Bound {
        match self.known(end).map(i32::try_from) {
            Some(Ok(end)) => Bound::Known(end),
            _ => Bound::Reg(self.general(end)),
        }
    }

    pub(super) fn compare_index(&mut self, x: Reg, bound: Bound) {
        self.push(match bound {
            Bound::Known(c) => Inst::new(Op::CmpImm, Width::W64, &[x]).imm(i64::from(c)),
            Bound::Reg(reg) => Inst::new(Op::Cmp, Width::W64, &[x]).with(Rm::Reg(reg)),
        });
    }

    /// `op(x, y)`, which overwrites a copy of x.
    fn over(&mut self, op: Op, width: Width, x: Reg, y: Rm) -> Reg {
        let to = self.copy(x);
        self.push(Inst::new(op, width, &[to]).with(y));
        to
    }

    fn over_imm(&mut self, op: Op, width: Width, x: Reg, imm: i64) -> Reg {
        let to = self.copy(x);
        self.push(Inst::new(op, width, &[to]).imm(imm));
        to
    }

    pub(super) fn unary_general(&mut self, op: Unary, x: Val, ty: Ty) -> Rep {
        let width = general_width(ty.elem);
        let x = self.general(x);
        Rep::Scalar(match op {
            Unary::Neg | Unary::Not => {
                let to = self.copy(x);
                self.push(Inst::new(if op == Unary::Neg { Op::Neg } else { Op::Not }, width, &[to]));
                to
            }
            _ => {
                // The negation, unless that is negative; its flags are those of 0 - x.
                let to = self.copy(x);
                self.push(Inst::new(Op::Neg, width, &[to]));
                self.function.code.push(Code::Choose(Condition::Less, width, to, x));
                to
            }
        })
    }

    /// Keeps the constant terms of index sums apart, so that they become displacements.
    fn index_binary(&mut self, op: Binary, x: Val, y: Val) -> Option<Rep> {
        let ((xv, xc), (yv, yc)) = (self.index(x), self.index(y));
        let with = |v: Option<Reg>, c: i64| match v {
            Some(v) => Rep::Index(v, c),
            None => Rep::Const(Const::I64(c)),
        };
        match (op, xv, yv) {
            (Binary::Add, Some(a), Some(b)) => {
                let sum = self.sum(a, b);
                Some(with(Some(sum), xc.wrapping_add(yc)))
            }
            (Binary::Add, a, b) => Some(with(a.or(b), xc.wrapping_add(yc))),
            (Binary::Sub, Some(a), Some(b)) => {
                let difference = self.over(Op::Sub, Width::W64, a, Rm::Reg(b));
                Some(with(Some(difference), xc.wrapping_sub(yc)))
            }
            (Binary::Sub, a, None) => Some(with(a, xc.wrapping_sub(yc))),
            (Binary::Mul, a, None) => {
                let product = a.map(|a| self.scale(a, yc));
                Some(with(product, xc.wrapping_mul(yc)))
            }
            (Binary::Mul, None, b) => {
                let product = b.map(|b| self.scale(b, xc));
                Some(with(product, xc.wrapping_mul(yc)))
            }
            _ => None,
        }
    }

    fn sum(&mut self, a: Reg, b: Reg) -> Reg {
        let to = self.new_general();
        let mem = Mem { base: Base::Register(a), index: Some((b, 0)), displacement: 0, broadcast: false };
        self.push(Inst::new(Op::Lea, Width::W64, &[to]).with(Rm::Mem(mem)));
        to
    }

    fn scale(&mut self, x: Reg, c: i64) -> Reg {
        if c > 0 && c.count_ones() == 1 {
            return self.over_imm(Op::ShlImm, Width::W64, x, i64::from(c.trailing_zeros()));
        }
        self.times(Width::W64, x, c)
    }

    fn times(&mut self, width: Width, x: Reg, c: i64) -> Reg {
        if i32::try_from(c).is_ok() {
            let to = self.new_general();
            self.push(Inst::new(Op::ImulImm, width, &[to]).with(Rm::Reg(x)).imm(c));
            return to;
        }
        let to = self.integer(c);
        self.push(Inst::new(Op::Imul, width, &[to]).with(Rm::Reg(x)));
        to
    }

    pub(super) fn binary_general(&mut self, op: Binary, x: Val, y: Val, ty: Ty) -> Rep {
        if ty == Ty::INDEX
            && let Some(rep) = self.index_binary(op, x, y)
        {
            return rep;
        }
        let (x, y_known) = (self.general(x), self.known(y));
        let y = match y_known {
            Some(c) => Err(c),
            None => Ok(self.general(y)),
        };
        Rep::Scalar(self.integers(op, ty.elem, x, y))
    }

    /// A binary operation on integers in general registers; y may be known.
    fn integers(&mut self, op: Binary, elem: Elem, x: Reg, y: Result<Reg, i64>) -> Reg {
        let width = general_width(elem);
        let simple = match op {
            Binary::Add => Some((Op::Add, Op::AddImm)),
            Binary::Sub => Some((Op::Sub, Op::SubImm)),
            Binary::And => Some((Op::And, Op::AndImm)),
            Binary::Or => Some((Op::Or, Op::OrImm)),
            Binary::Xor => Some((Op::Xor, Op::XorImm)),
            _ => None,
        };
        match (op, y) {
            (_, Err(c)) if simple.is_some() && i32::try_from(c).is_ok() => {
                self.over_imm(simple.expect("tested").1, width, x, c)
            }
            (Binary::Shl | Binary::Shr | Binary::ShrU, Err(c)) => {
                let op = match op {
                    Binary::Shl => Op::ShlImm,
                    Binary::Shr => Op::SarImm,
                    _ => Op::ShrImm,
                };
                self.over_imm(op, width, x, c & (width.size() as i64 * 8 - 1))
            }
            (Binary::Mul, Err(c)) => self.times(width, x, c),
            (_, Err(c)) => {
                let y = self.integer(c);
                self.integers(op, elem, x, Ok(y))
            }
            (Binary::Shl | Binary::Shr | Binary::ShrU, Ok(y)) => {
                // These take the count modulo the width.
                let op = match op {
                    Binary::Shl => Op::Shlx,
                    Binary::Shr => Op::Sarx,
                    _ => Op::Shrx,
                };
                let to = self.new_general();
                self.push(Inst::new(op, width, &[to, x, y]));
                to
            }
            (Binary::Mul, Ok(y)) => self.over(Op::Imul, width, x, Rm::Reg(y)),
            (Binary::Min | Binary::Max, Ok(y)) => {
                let to = self.copy(y);
                self.push(Inst::new(Op::Cmp, width, &[x]).with(Rm::Reg(y)));
                let better = if op == Binary::Min { Condition::Less } else { Condition::Greater };
                self.function.code.push(Code::Choose(better, width, to, x));
                to
            }
            (Binary::Div | Binary::Rem, Ok(y)) => self.divide_general(op, width, x, y),
            (_, Ok(y)) => self.over(simple.expect("all others are above").0, width, x, Rm::Reg(y)),
        }
    }

    /// The instruction traps at `x / 0` and `MIN / -1`: both are computed apart.
    fn divide_general(&mut self, op: Binary, width: Width, x: Reg, y: Reg) -> Reg {
        let to = self.new_general();
        let (special, done) = (self.function.new_label(), self.function.new_label());
        // y + 1 is 0 or 1 exactly for -1 and 0.
        self.push(Inst::new(Op::Lea, width, &[RAX]).with(Rm::Mem(Mem::at(y, 1))));
        self.push(Inst::new(Op::CmpImm, width, &[RAX]).imm(1));
        self.function.code.push(Code::Branch(Condition::BelowOrEqual, special));
        self.push(Inst::new(Op::Mov, width, &[RAX]).with(Rm::Reg(x)));
        self.push(Inst::new(if width == Width::W64 { Op::Cqo } else { Op::Cdq }, width, &[]));
        self.push(Inst::new(Op::Idiv, width, &[]).with(Rm::Reg(y)));
        if op == Binary::Rem {
            self.push(Inst::new(Op::Mov, width, &[RAX]).with(Rm::Reg(RDX)));
        }
        self.function.code.extend([Code::Jump(done), Code::Bind(special)]);
        if op == Binary::Div {
            // x / 0 = x * 0, x / -1 = x * -1.
            self.push(Inst::new(Op::Mov, width, &[RAX]).with(Rm::Reg(x)));
            self.push(Inst::new(Op::Imul, width, &[RAX]).with(Rm::Reg(y)));
        } else {
            self.push(Inst::new(Op::Xor, Width::W32, &[RAX]).with(Rm::Reg(RAX)));
        }
        self.function.code.push(Code::Bind(done));
        self.push(Inst::new(Op::Mov, Width::W64, &[to]).with(Rm::Reg(RAX)));
        to
    }

    /// Division by a positive constant, rounding down.
    pub(super) fn divide(&mut self, x: Val, d: i64, ty: Ty, modulo: bool) -> Rep {
        if ty.lanes == 1 {
            let x = self.general(x);
            return Rep::Scalar(self.divide_scalar(x, d, ty.elem, modulo));
        }
        let (width, _) = self.shape(ty);
        if (d as u64).is_power_of_two() && (ty.elem == Elem::I32 || self.isa == Isa::Avx512) {
            if modulo {
                let mask = self.uniform(Const::int(ty.elem, d - 1));
                let op = by_elem(super::arith::AND, ty.elem);
                let parts = self.vector(x);
                return Rep::Vector(parts.into_iter().map(|x| self.two(op, width, x, Rm::Reg(mask))).collect());
            }
            let op = if ty.elem == Elem::I32 { Op::VpsradImm } else { Op::VpsraqImm };
            let parts = self.vector(x);
            let count = i64::from(d.trailing_zeros());
            return Rep::Vector(parts.into_iter().map(|x| self.one_imm(op, width, Rm::Reg(x), count)).collect());
        }
        self.lane_by_lane(&[x], ty, |this, lanes| this.divide_scalar(lanes[0], d, ty.elem, modulo))
    }

    /// Division by a positive constant, rounding down, strength-reduced to multiplication.
    ///
    /// For `x < 0`, `floor(x / d) = !floor(!x / d)`, which leaves a dividend `n` of 63 bits. With `2^l >= d`, `m = floor(2^(63 +
    /// l) / d) + 1` fits in 64 bits and `floor(n * m / 2^(63 + l)) = floor(n / d)`.
    fn divide_scalar(&mut self, x: Reg, d: i64, elem: Elem, modulo: bool) -> Reg {
        let wide = Width::W64;
        let x = if elem == Elem::I32 {
            let to = self.new_general();
            self.push(Inst::new(Op::Movsxd, wide, &[to]).with(Rm::Reg(x)));
            to
        } else {
            x
        };
        let power = (d as u64).is_power_of_two();
        if power && modulo {
            return match i32::try_from(d - 1) {
                Ok(mask) => self.over_imm(Op::AndImm, wide, x, i64::from(mask)),
                Err(_) => {
                    let mask = self.integer(d - 1);
                    self.over(Op::And, wide, mask, Rm::Reg(x))
                }
            };
        }
        let quotient = if power {
            self.over_imm(Op::SarImm, wide, x, i64::from(d.trailing_zeros()))
        } else {
            let l = 64 - (d as u64 - 1).leading_zeros();
            let magic = ((1u128 << (63 + l)) / d as u128 + 1) as u64;
            let sign = self.over_imm(Op::SarImm, wide, x, 63);
            let n = self.over(Op::Xor, wide, x, Rm::Reg(sign));
            self.load_integer(RDX, magic as i64);
            let high = self.new_general();
            self.push(Inst::new(Op::Mulx, wide, &[high, RAX]).with(Rm::Reg(n)));
            let q = self.over_imm(Op::ShrImm, wide, high, i64::from(l) - 1);
            self.over(Op::Xor, wide, q, Rm::Reg(sign))
        };
        if !modulo {
            return quotient;
        }
        let back = self.times(wide, quotient, d);
        self.over(Op::Sub, wide, x, Rm::Reg(back))
    }

    /// Applies an operation to lanes one by one, in memory.
    pub(super) fn lane_by_lane(&mut self, vals: &[Val], ty: Ty, operation: impl Fn(&mut Self, &[Reg]) -> Reg) -> Rep {
        let (width, count) = self.shape(ty);
        let bytes = ty.elem.bits() as i32 / 8;
        let mut slots: SmallVec<[i32; 3]> = SmallVec::new();
        for &val in vals {
            let parts = self.vector(val);
            let slot = (slots.len() * count * width.size()) as i32;
            for (i, part) in parts.into_iter().enumerate() {
                self.push(
                    Inst::new(Op::VmovupsStore, width, &[part])
                        .with(Rm::Mem(Mem::stack(slot + (i * width.size()) as i32))),
                );
            }
            slots.push(slot);
        }
        // The memory is used for a short time: all share it.
        self.function.stack = self.function.stack.max((slots.len() * count * width.size()) as u32);
        let general = general_width(ty.elem);
        for lane in 0..i32::from(ty.lanes) {
            let lanes: SmallVec<[Reg; 3]> = slots
                .iter()
                .map(|&slot| {
                    let reg = self.new_general();
                    self.push(Inst::new(Op::Mov, general, &[reg]).with(Rm::Mem(Mem::stack(slot + lane * bytes))));
                    reg
                })
                .collect();
            let result = operation(self, &lanes);
            let to = Mem::stack(slots[0] + lane * bytes);
            self.push(Inst::new(Op::MovStore, general, &[result]).with(Rm::Mem(to)));
        }
        let parts: Parts = (0..count as i32)
            .map(|i| self.one(Op::Vmovups, width, Rm::Mem(Mem::stack(slots[0] + i * width.size() as i32))))
            .collect();
        Rep::Vector(parts)
    }

    pub(super) fn unary_lanes(&mut self, op: Unary, x: Val, ty: Ty) -> Rep {
        let (width, _) = self.shape(ty);
        let parts = self.vector(x);
        let zero = self.uniform(Const::int(ty.elem, 0));
        let sub = if ty.elem == Elem::I32 { Op::Vpsubd } else { Op::Vpsubq };
        let done = |this: &mut Self, x: Reg| match (op, ty.elem, this.isa) {
            (Unary::Neg, ..) => this.two(sub, width, zero, Rm::Reg(x)),
            (Unary::Not, ..) => {
                let ones = this.uniform(Const::int(ty.elem, -1));
                this.two(by_elem(super::arith::XOR, ty.elem), width, x, Rm::Reg(ones))
            }
            (_, Elem::I32, _) => this.one(Op::Vpabsd, width, Rm::Reg(x)),
            (_, _, Isa::Avx512) => this.one(Op::Vpabsq, width, Rm::Reg(x)),
            (_, _, Isa::Avx2) => {
                let negative = this.two(Op::Vpcmpgtq, width, zero, Rm::Reg(x));
                let flipped = this.two(Op::Vpxor, width, x, Rm::Reg(negative));
                this.two(Op::Vpsubq, width, flipped, Rm::Reg(negative))
            }
        };
        Rep::Vector(parts.into_iter().map(|x| done(self, x)).collect())
    }

    /// Operations on the lanes of integer vectors that take more than one instruction somewhere.
    pub(super) fn binary_lanes(&mut self, op: Binary, x: Val, y: Val, ty: Ty) -> Rep {
        let (width, _) = self.shape(ty);
        let i32 = ty.elem == Elem::I32;
        let avx512 = self.isa == Isa::Avx512;
        match op {
            Binary::Shl | Binary::Shr | Binary::ShrU => self.shift_lanes(op, x, y, ty),
            Binary::Mul if i32 => self.map_two(Op::Vpmulld, x, y, ty, true),
            Binary::Mul if avx512 => self.map_two(Op::Vpmullq, x, y, ty, true),
            Binary::Mul => {
                let (xs, ys) = (self.vector(x), self.vector(y));
                let parts = xs.into_iter().zip(ys).map(|(x, y)| self.multiply_i64(width, x, y)).collect();
                Rep::Vector(parts)
            }
            Binary::Min | Binary::Max if i32 || avx512 => {
                let op = match (op, i32) {
                    (Binary::Min, true) => Op::Vpminsd,
                    (Binary::Min, false) => Op::Vpminsq,
                    (_, true) => Op::Vpmaxsd,
                    (_, false) => Op::Vpmaxsq,
                };
                self.map_two(op, x, y, ty, true)
            }
            Binary::Min | Binary::Max => {
                let (xs, ys) = (self.vector(x), self.vector(y));
                let parts = xs.into_iter().zip(ys).map(|(x, y)| {
                    let (p, q) = if op == Binary::Min { (y, x) } else { (x, y) };
                    let better = self.two(Op::Vpcmpgtq, width, p, Rm::Reg(q));
                    self.blend(Elem::I64, width, better, x, y)
                });
                Rep::Vector(parts.collect())
            }
            _ => self.lane_by_lane(&[x, y], ty, |this, lanes| this.integers(op, ty.elem, lanes[0], Ok(lanes[1]))),
        }
    }

    /// The low 64 bits of products, from three products of halves.
    fn multiply_i64(&mut self, width: Width, x: Reg, y: Reg) -> Reg {
        let low = self.two(Op::Vpmuludq, width, x, Rm::Reg(y));
        let x_high = self.one_imm(Op::VpsrlqImm, width, Rm::Reg(x), 32);
        let y_high = self.one_imm(Op::VpsrlqImm, width, Rm::Reg(y), 32);
        let cross = self.two(Op::Vpmuludq, width, x_high, Rm::Reg(y));
        let other = self.two(Op::Vpmuludq, width, y_high, Rm::Reg(x));
        let cross = self.two(Op::Vpaddq, width, cross, Rm::Reg(other));
        let cross = self.one_imm(Op::VpsllqImm, width, Rm::Reg(cross), 32);
        self.two(Op::Vpaddq, width, low, Rm::Reg(cross))
    }

    fn shift_lanes(&mut self, op: Binary, x: Val, y: Val, ty: Ty) -> Rep {
        let (width, _) = self.shape(ty);
        let i32 = ty.elem == Elem::I32;
        let bits = i64::from(ty.elem.bits());
        let arithmetic = op == Binary::Shr;
        // AVX2 has no arithmetic shift of 64 bits.
        let emulated = arithmetic && !i32 && self.isa == Isa::Avx2;
        let xs = self.vector(x);
        if let Some(count) = self.known(y)
            && !emulated
        {
            let op = match (op, i32) {
                (Binary::Shl, true) => Op::VpslldImm,
                (Binary::Shl, false) => Op::VpsllqImm,
                (Binary::Shr, true) => Op::VpsradImm,
                (Binary::Shr, false) => Op::VpsraqImm,
                (_, true) => Op::VpsrldImm,
                (_, false) => Op::VpsrlqImm,
            };
            let count = count & (bits - 1);
            return Rep::Vector(xs.into_iter().map(|x| self.one_imm(op, width, Rm::Reg(x), count)).collect());
        }
        let ys = self.vector(y);
        // Counts beyond the width would shift everything out.
        let modulus = self.uniform(Const::int(ty.elem, bits - 1));
        let sign = emulated.then(|| self.uniform(Const::I64(i64::MIN)));
        let done = |this: &mut Self, (x, y): (Reg, Reg)| {
            let count = this.two(by_elem(super::arith::AND, ty.elem), width, y, Rm::Reg(modulus));
            if let Some(sign) = sign {
                // The logical shift, with the shifted sign bit extended: (u ^ s) - s.
                let shifted = this.two(Op::Vpsrlvq, width, x, Rm::Reg(count));
                let bit = this.two(Op::Vpsrlvq, width, sign, Rm::Reg(count));
                let flipped = this.two(Op::Vpxor, width, shifted, Rm::Reg(bit));
                return this.two(Op::Vpsubq, width, flipped, Rm::Reg(bit));
            }
            let op = match (op, i32) {
                (Binary::Shl, true) => Op::Vpsllvd,
                (Binary::Shl, false) => Op::Vpsllvq,
                (Binary::Shr, true) => Op::Vpsravd,
                (Binary::Shr, false) => Op::Vpsravq,
                (_, true) => Op::Vpsrlvd,
                (_, false) => Op::Vpsrlvq,
            };
            this.two(op, width, x, Rm::Reg(count))
        };
        Rep::Vector(xs.into_iter().zip(ys).map(|pair| done(self, pair)).collect())
    }

    /// A comparison of scalars is part of what tests it, if nothing else needs it.
    pub(super) fn compare_scalar(&mut self, val: Val, op: Compare, x: Val, y: Val) -> Rep {
        for operand in [x, y] {
            self.materialize(operand);
        }
        if self.uses[val.0 as usize] == 1 && !self.kernel.ty(x).elem.is_float() {
            return Rep::Test(op, x, y);
        }
        Rep::Scalar(self.truth(op, x, y))
    }

    /// Sets the flags for a comparison of scalars other than floats; returns the condition.
    fn flags(&mut self, op: Compare, x: Val, y: Val) -> Condition {
        let width = general_width(self.kernel.ty(x).elem);
        let reg = self.general(x);
        match self.known(y) {
            Some(c) if i32::try_from(c).is_ok() => self.push(Inst::new(Op::CmpImm, width, &[reg]).imm(c)),
            _ => {
                let y = self.general(y);
                self.push(Inst::new(Op::Cmp, width, &[reg]).with(Rm::Reg(y)));
            }
        }
        op.condition()
    }

    /// The result of a comparison of scalars, 0 or 1.
    pub(super) fn truth(&mut self, op: Compare, x: Val, y: Val) -> Reg {
        let ty = self.kernel.ty(x);
        if !ty.elem.is_float() {
            let condition = self.flags(op, x, y);
            return self.set_flag(condition);
        }
        // `a > b` and `a >= b` are false where the flags say unordered; the others are these of the other order.
        let (x, y, condition) = match op {
            Compare::Gt => (x, y, Condition::Above),
            Compare::Ge => (x, y, Condition::AboveOrEqual),
            Compare::Lt => (y, x, Condition::Above),
            Compare::Le => (y, x, Condition::AboveOrEqual),
            Compare::Eq => (x, y, Condition::Equal),
            Compare::Ne => (x, y, Condition::NotEqual),
        };
        let (x, y) = (self.float(x), self.float(y));
        let op_code = if ty.elem == Elem::F32 { Op::Vucomiss } else { Op::Vucomisd };
        let compare = Inst::new(op_code, Width::V128, &[x]).with(Rm::Reg(y));
        self.push(compare);
        let result = self.set_flag(condition);
        if let Compare::Eq | Compare::Ne = op {
            // Unordered sets the flag of equality.
            self.push(compare);
            let parity = if op == Compare::Eq { Condition::NoParity } else { Condition::Parity };
            let ordered = self.set_flag(parity);
            let join = if op == Compare::Eq { Op::And } else { Op::Or };
            return self.over(join, Width::W32, result, Rm::Reg(ordered));
        }
        result
    }

    /// Sets the flags for a boolean; returns the condition under which it is true.
    fn test(&mut self, cond: Val) -> Condition {
        if let Rep::Test(op, x, y) = *self.rep(cond) {
            return self.flags(op, x, y);
        }
        let reg = self.general(cond);
        self.push(Inst::new(Op::Test, Width::W32, &[reg]).with(Rm::Reg(reg)));
        Condition::NotEqual
    }

    pub(super) fn branch_if(&mut self, cond: Val, to: Label) {
        let condition = self.test(cond);
        self.function.code.push(Code::Branch(condition, to));
    }

    pub(super) fn branch_if_not(&mut self, cond: Val, to: Label) {
        let condition = self.test(cond);
        self.function.code.push(Code::Branch(condition.inverse(), to));
    }

    pub(super) fn select_general(&mut self, c: Val, x: Val, y: Val, ty: Ty) -> Rep {
        let (x, y) = (self.general(x), self.general(y));
        let to = self.copy(y);
        let condition = self.test(c);
        self.function.code.push(Code::Choose(condition, general_width(ty.elem), to, x));
        Rep::Scalar(to)
    }

    /// A general register as 0 or -1, in `rax`.
    pub(super) fn all_bits(&mut self, cond: Val) {
        let cond = self.general(cond);
        self.push(Inst::new(Op::Mov, Width::W32, &[RAX]).with(Rm::Reg(cond)));
        self.push(Inst::new(Op::Neg, Width::W64, &[RAX]));
    }
}
