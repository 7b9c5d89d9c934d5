//! Lanes of integers in vectors, and division by constants.

use smallvec::SmallVec;

use super::arith::by_elem;
use super::general::general_width;
use super::value::{Parts, Rep};
use super::{Inst, Mem, Op, Reg, Rm, Select, Width};
use crate::codegen::wide::code::{RAX, RDX};
use crate::codegen::wide::isa::Isa;
use crate::kernel::{Binary, Const, Elem, Ty, Unary, Val};

impl Select<'_> {
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
    pub(super) fn divide_scalar(&mut self, x: Reg, d: i64, elem: Elem, modulo: bool) -> Reg {
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
}
