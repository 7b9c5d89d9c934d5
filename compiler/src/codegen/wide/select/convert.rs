//! Conversions between element types.

use super::arith::by_elem;
use super::value::{Parts, Rep, element_bytes, shape};
use super::{Code, Condition, Inst, Mem, Op, Reg, Rm, Select, Width};
use crate::codegen::wide::isa::{Isa, width};
use crate::kernel::{Compare, Const, Elem, Ty, Val};

/// The predicates of `vcmpps` for ordered, and for greater or equal.
const ORDERED: i64 = 7;
const GREATER_OR_EQUAL: i64 = 13;

/// The upper limit of an integer type, which floats saturate at: one more than the greatest integer.
fn limit(from: Elem, to: Elem) -> Const {
    Const::float(from, if to == Elem::I32 { 2f64.powi(31) } else { 2f64.powi(63) })
}

impl Select<'_> {
    pub(super) fn bitcast(&mut self, x: Val, ty: Ty) -> Rep {
        if let Some(c) = self.constant_of(x) {
            return Rep::Const(match (c, ty.elem) {
                (Const::F32(bits), Elem::I32) => Const::I32(bits as i32),
                (Const::F64(bits), Elem::I64) => Const::I64(bits as i64),
                (Const::I32(x), Elem::F32) => Const::F32(x as u32),
                (Const::I64(x), Elem::F64) => Const::F64(x as u64),
                (c, _) => c,
            });
        }
        if ty.lanes > 1 {
            self.materialize(x);
            return match self.rep(x).clone() {
                mask @ (Rep::Mask(_) | Rep::Lanes(..)) => mask,
                _ => Rep::Vector(self.vector(x)),
            };
        }
        let wide = ty.elem.bits() == 64;
        match (self.kernel.ty(x).elem.is_float(), ty.elem.is_float()) {
            (true, false) => {
                let x = self.float(x);
                Rep::Scalar(self.lowest_general(x, ty.elem))
            }
            (false, true) => {
                let x = self.general(x);
                let to = self.new_vector(Width::V128);
                self.push(Inst::new(if wide { Op::Vmovq } else { Op::Vmovd }, Width::V128, &[to, x]));
                Rep::Scalar(to)
            }
            _ => Rep::Scalar(self.scalar(x)),
        }
    }

    pub(super) fn convert(&mut self, x: Val, ty: Ty) -> Rep {
        let from = self.kernel.ty(x);
        if from.elem == ty.elem {
            self.materialize(x);
            return self.rep(x).clone();
        }
        if from.lanes == 1 {
            return Rep::Scalar(self.convert_scalar(x, from.elem, ty.elem));
        }
        if from.elem == Elem::Bool {
            return self.mask_to_number(x, ty);
        }
        if ty.elem == Elem::Bool {
            return self.not_zero(x, from);
        }
        let parts = self.vector(x);
        let full = self.shape(from).0;
        match (from.elem, ty.elem) {
            (Elem::F32, Elem::F64) => Rep::Vector(self.lengthen(Op::Vcvtps2pd, &parts, ty.lanes)),
            (Elem::I32, Elem::F64) => Rep::Vector(self.lengthen(Op::Vcvtdq2pd, &parts, ty.lanes)),
            (Elem::I32, Elem::I64) => Rep::Vector(self.widen(&parts, ty.lanes)),
            (Elem::F64, Elem::F32) => {
                Rep::Vector(self.shorten(&parts, ty.lanes, |this, x| this.one_half(Op::Vcvtpd2ps, full, x)))
            }
            (Elem::F64, Elem::I32) => Rep::Vector(self.shorten(&parts, ty.lanes, Self::f64_to_i32)),
            (Elem::I64, Elem::I32) => Rep::Vector(self.narrow(&parts, ty.lanes)),
            (Elem::I32, Elem::F32) => {
                Rep::Vector(parts.into_iter().map(|x| self.one(Op::Vcvtdq2ps, full, Rm::Reg(x))).collect())
            }
            (Elem::F32, Elem::I32) => {
                let to = parts.iter().map(|&x| self.saturate(Op::Vcvttps2dq, (full, full), x, from.elem, ty.elem));
                Rep::Vector(to.collect())
            }
            _ if self.isa == Isa::Avx2 => self.convert_lanes(&parts, from, ty),
            (Elem::F64, _) => {
                let to = parts.iter().map(|&x| self.saturate(Op::Vcvttpd2qq, (full, full), x, from.elem, ty.elem));
                Rep::Vector(to.collect())
            }
            (Elem::F32, _) => {
                let (to, _) = self.shape(ty);
                let halves = self.halves(&parts, ty.lanes);
                let half = width(to.size() / 2);
                let made = halves.iter().map(|&x| self.saturate(Op::Vcvttps2qq, (half, to), x, from.elem, ty.elem));
                Rep::Vector(made.collect())
            }
            (_, Elem::F32) => {
                Rep::Vector(self.shorten(&parts, ty.lanes, |this, x| this.one_half(Op::Vcvtqq2ps, full, x)))
            }
            _ => Rep::Vector(parts.into_iter().map(|x| self.one(Op::Vcvtqq2pd, full, Rm::Reg(x))).collect()),
        }
    }

    /// Registers of lanes of four bytes, each with as many as fit a register with lanes of eight.
    fn halves(&mut self, parts: &[Reg], lanes: u8) -> Parts {
        let (to, count) = shape(self.isa, 8, lanes);
        if count == 1 {
            return parts.into();
        }
        parts.iter().flat_map(|&part| [part, self.upper_half(part, to)]).collect()
    }

    /// A conversion to lanes of eight bytes.
    fn lengthen(&mut self, op: Op, parts: &[Reg], lanes: u8) -> Parts {
        let (to, _) = shape(self.isa, 8, lanes);
        let halves = self.halves(parts, lanes);
        halves.iter().map(|&x| self.one(op, to, Rm::Reg(x))).collect()
    }

    /// A conversion to lanes of four bytes, register by register.
    fn shorten(&mut self, parts: &[Reg], lanes: u8, mut one: impl FnMut(&mut Self, Reg) -> Reg) -> Parts {
        let halves: Parts = parts.iter().map(|&x| one(self, x)).collect();
        if halves.len() == 1 {
            return halves;
        }
        let (full, _) = shape(self.isa, 4, lanes);
        halves.chunks(2).map(|pair| self.join_halves(pair[0], pair[1], full)).collect()
    }

    /// An instruction whose result is half as wide as its operand.
    fn one_half(&mut self, op: Op, full: Width, x: Reg) -> Reg {
        let to = self.new_vector(width(full.size() / 2));
        self.push(Inst::new(op, full, &[to, x]));
        to
    }

    /// The low halves of lanes of 64 bits.
    pub(super) fn narrow(&mut self, parts: &[Reg], lanes: u8) -> Parts {
        let (full, _) = shape(self.isa, 8, lanes);
        self.shorten(parts, lanes, |this, x| match (this.isa, full) {
            (_, Width::V128) => this.one_imm(Op::Vpshufd, full, Rm::Reg(x), 0b1000),
            (Isa::Avx512, _) => this.one_half(Op::Vpmovqd, full, x),
            (Isa::Avx2, _) => {
                let upper = this.upper_half(x, full);
                this.two_imm(Op::Vshufps, Width::V128, x, Rm::Reg(upper), 0b10_00_10_00)
            }
        })
    }

    /// The operand where it is a number, zero where it is NaN.
    fn without_nan(&mut self, x: Reg, full: Width, elem: Elem) -> Reg {
        let f32 = elem == Elem::F32;
        match self.isa {
            Isa::Avx512 => {
                let mask = self.compare_to_mask(elem, full, x, x, ORDERED);
                let to = self.new_vector(full);
                let op = if f32 { Op::Vmovups } else { Op::Vmovupd };
                self.push(Inst::new(op, full, &[to]).with(Rm::Reg(x)).zeroing(mask));
                to
            }
            Isa::Avx2 => {
                let op = if f32 { Op::Vcmpps } else { Op::Vcmppd };
                let mask = self.two_imm(op, full, x, Rm::Reg(x), ORDERED);
                self.two(by_elem(super::arith::AND, elem), full, x, Rm::Reg(mask))
            }
        }
    }

    /// The instruction gives the least integer for what no integer is, which is right for small numbers only.
    fn f64_to_i32(&mut self, x: Reg) -> Reg {
        let full = width(usize::from(self.function.reg(x).bytes));
        let x = self.without_nan(x, full, Elem::F64);
        let most = self.uniform(Const::float(Elem::F64, f64::from(i32::MAX)));
        let x = self.two(Op::Vminpd, full, x, Rm::Reg(most));
        self.one_half(Op::Vcvttpd2dq, full, x)
    }

    /// A conversion to integers that gives the least one for what no integer is; its complement is the greatest.
    fn saturate(&mut self, op: Op, (from, to): (Width, Width), x: Reg, elem: Elem, int: Elem) -> Reg {
        let x = self.without_nan(x, from, elem);
        let limit = self.uniform(limit(elem, int));
        let result = self.one(op, to, Rm::Reg(x));
        match self.isa {
            Isa::Avx512 => {
                let large = self.compare_to_mask(elem, from, x, limit, GREATER_OR_EQUAL);
                let most = self.uniform(if int == Elem::I32 { Const::I32(i32::MAX) } else { Const::I64(i64::MAX) });
                let to_reg = self.copy(result);
                let op = if int == Elem::I32 { Op::Vmovups } else { Op::Vmovupd };
                self.push(Inst::new(op, to, &[to_reg]).with(Rm::Reg(most)).under(large));
                to_reg
            }
            Isa::Avx2 => {
                let large = self.two_imm(Op::Vcmpps, from, x, Rm::Reg(limit), GREATER_OR_EQUAL);
                self.two(Op::Vxorps, to, result, Rm::Reg(large))
            }
        }
    }

    /// Conversions that AVX2 has for scalars only, in memory.
    fn convert_lanes(&mut self, parts: &[Reg], from: Ty, ty: Ty) -> Rep {
        let (from_width, _) = self.shape(from);
        let (to_width, to_count) = self.shape(ty);
        let second = (parts.len() * from_width.size()) as i32;
        self.function.stack = self.function.stack.max(second as u32 + (to_count * to_width.size()) as u32);
        for (i, &part) in parts.iter().enumerate() {
            let at = Mem::stack((i * from_width.size()) as i32);
            self.push(Inst::new(Op::VmovupsStore, from_width, &[part]).with(Rm::Mem(at)));
        }
        for lane in 0..i32::from(ty.lanes) {
            let at = Mem::stack(lane * i32::from(element_bytes(from.elem)));
            let to = Mem::stack(second + lane * i32::from(element_bytes(ty.elem)));
            if from.elem.is_float() {
                let load = if from.elem == Elem::F32 { Op::Vmovss } else { Op::Vmovsd };
                let x = self.one(load, Width::V128, Rm::Mem(at));
                let x = self.float_to_int(x, from.elem, ty.elem);
                self.push(Inst::new(Op::MovStore, Width::W64, &[x]).with(Rm::Mem(to)));
            } else {
                let x = self.new_general();
                self.push(Inst::new(Op::Mov, Width::W64, &[x]).with(Rm::Mem(at)));
                let x = self.int_to_float(x, Width::W64, ty.elem);
                let store = if ty.elem == Elem::F32 { Op::VmovssStore } else { Op::VmovsdStore };
                self.push(Inst::new(store, Width::V128, &[x]).with(Rm::Mem(to)));
            }
        }
        let parts = (0..to_count as i32).map(|i| {
            let at = Mem::stack(second + i * to_width.size() as i32);
            self.one(Op::Vmovups, to_width, Rm::Mem(at))
        });
        Rep::Vector(parts.collect())
    }

    fn int_to_float(&mut self, x: Reg, width: Width, to: Elem) -> Reg {
        let op = if to == Elem::F32 { Op::Vcvtsi2ss } else { Op::Vcvtsi2sd };
        // The upper lanes are those of another operand; a constant has no instruction to wait for.
        let upper = self.uniform(Const::F32(0));
        let reg = self.new_vector(Width::V128);
        self.push(Inst::new(op, width, &[reg, upper]).with(Rm::Reg(x)));
        reg
    }

    /// The conversion of a scalar, which saturates, and of which NaN is 0.
    fn float_to_int(&mut self, x: Reg, from: Elem, to: Elem) -> Reg {
        let f32 = from == Elem::F32;
        let wide = if to == Elem::I64 { Width::W64 } else { Width::W32 };
        let limit = self.uniform(limit(from, to));
        let most = self.integer(if to == Elem::I64 { i64::MAX } else { i64::from(i32::MAX) });
        let zero = self.integer(0);
        let result = self.new_general();
        self.push(Inst::new(if f32 { Op::Vcvttss2si } else { Op::Vcvttsd2si }, wide, &[result]).with(Rm::Reg(x)));
        let compare = if f32 { Op::Vucomiss } else { Op::Vucomisd };
        for (y, condition, replacement) in [(limit, Condition::AboveOrEqual, most), (x, Condition::Parity, zero)] {
            self.push(Inst::new(compare, Width::V128, &[x]).with(Rm::Reg(y)));
            self.function.code.push(Code::Choose(condition, wide, result, replacement));
        }
        result
    }

    fn convert_scalar(&mut self, x: Val, from: Elem, to: Elem) -> Reg {
        match (from, to) {
            (Elem::F32 | Elem::F64, Elem::F32 | Elem::F64) => {
                let op = if from == Elem::F32 { Op::Vcvtss2sd } else { Op::Vcvtsd2ss };
                let x = self.float(x);
                let to = self.new_vector(Width::V128);
                self.push(Inst::new(op, Width::V128, &[to, x]).with(Rm::Reg(x)));
                to
            }
            (Elem::F32 | Elem::F64, Elem::Bool) => {
                let x = self.float(x);
                let zero = self.uniform(Const::float(from, 0.0));
                let op = if from == Elem::F32 { Op::Vucomiss } else { Op::Vucomisd };
                let compare = Inst::new(op, Width::V128, &[x]).with(Rm::Reg(zero));
                self.push(compare);
                let differs = self.set_flag(Condition::NotEqual);
                self.push(compare);
                let unordered = self.set_flag(Condition::Parity);
                let to = self.copy(differs);
                self.push(Inst::new(Op::Or, Width::W32, &[to]).with(Rm::Reg(unordered)));
                to
            }
            (Elem::F32 | Elem::F64, Elem::I32 | Elem::I64) => {
                let x = self.float(x);
                self.float_to_int(x, from, to)
            }
            (_, Elem::F32 | Elem::F64) => {
                let x = self.general(x);
                self.int_to_float(x, if from == Elem::I64 { Width::W64 } else { Width::W32 }, to)
            }
            (_, Elem::Bool) => {
                let width = if from == Elem::I64 { Width::W64 } else { Width::W32 };
                let x = self.general(x);
                self.push(Inst::new(Op::CmpImm, width, &[x]).imm(0));
                self.set_flag(Condition::NotEqual)
            }
            (Elem::I32, Elem::I64) => {
                let x = self.general(x);
                let to = self.new_general();
                self.push(Inst::new(Op::Movsxd, Width::W64, &[to]).with(Rm::Reg(x)));
                to
            }
            // The low half, or a boolean, which is 0 or 1 in all bits.
            _ => self.general(x),
        }
    }

    fn not_zero(&mut self, x: Val, from: Ty) -> Rep {
        let zero = self.uniform(Const::int(from.elem, 0));
        let parts = self.vector(x);
        let zeros = parts.iter().map(|_| Rm::Reg(zero)).collect();
        self.compare_parts(Compare::Ne, from, parts, zeros)
    }

    /// One where the mask is set.
    fn mask_to_number(&mut self, x: Val, ty: Ty) -> Rep {
        let one = self.uniform(Const::int(ty.elem, 1));
        Rep::Vector(self.masked_constant(x, one, ty))
    }

    /// A constant where the mask is set, elsewhere zero.
    pub(super) fn masked_constant(&mut self, mask: Val, constant: Reg, ty: Ty) -> Parts {
        let bytes = element_bytes(ty.elem);
        let (full, count) = shape(self.isa, bytes, ty.lanes);
        match self.isa {
            Isa::Avx512 => {
                let mask = self.mask(mask);
                let op = if bytes == 8 { Op::Vmovupd } else { Op::Vmovups };
                let per = ty.lanes / count as u8;
                (0..count as u8)
                    .map(|i| {
                        let mask = self.mask_part(mask, i * per);
                        let to = self.new_vector(full);
                        self.push(Inst::new(op, full, &[to]).with(Rm::Reg(constant)).zeroing(mask));
                        to
                    })
                    .collect()
            }
            Isa::Avx2 => {
                let masks = self.mask_lanes(mask, bytes);
                masks.into_iter().map(|mask| self.two(Op::Vandps, full, mask, Rm::Reg(constant))).collect()
            }
        }
    }
}
