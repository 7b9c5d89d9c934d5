//! Instructions that move values between lanes.

use smallvec::smallvec;

use super::value::{Parts, Rep, element_bytes, shape};
use super::{Inst, Op, Reg, Rm, Select, Width};
use crate::codegen::wide::code::RAX;
use crate::codegen::wide::isa::{Isa, width};
use crate::kernel::{Const, Elem, Ty, Val};

impl Select<'_> {
    pub(super) fn iota(&mut self, ty: Ty) -> Rep {
        if ty.lanes == 1 {
            return Rep::Const(Const::int(ty.elem, 0));
        }
        let (_, parts) = self.shape(ty);
        let per = ty.lanes / parts as u8;
        let made = (0..parts as u8).map(|part| {
            let lanes = part * per..(part + 1) * per;
            self.whole(match ty.elem {
                Elem::I64 => lanes.flat_map(|i| i64::from(i).to_le_bytes()).collect(),
                _ => lanes.flat_map(|i| i32::from(i).to_le_bytes()).collect(),
            })
        });
        Rep::Vector(made.collect())
    }

    pub(super) fn splat(&mut self, val: Val, x: Val, ty: Ty) -> Rep {
        if let Some(c) = self.constant_of(x) {
            return Rep::Const(c);
        }
        if ty.lanes == 1 {
            self.materialize(x);
            return self.rep(x).clone();
        }
        let (width, parts) = self.shape(ty);
        if ty.elem == Elem::Bool {
            return match self.isa {
                Isa::Avx512 => {
                    self.all_bits(x);
                    let to = self.new_mask();
                    self.push(Inst::new(Op::KmovwFromGeneral, Width::W32, &[to, RAX]));
                    Rep::Mask(to)
                }
                Isa::Avx2 => {
                    let low = self.scalar_lanes(x, 4);
                    let all = self.one(Op::Vpbroadcastd, width, Rm::Reg(low));
                    Rep::Lanes(4, smallvec![all; parts])
                }
            };
        }
        if let Rep::Pending(mem, ..) = *self.rep(x)
            && self.isa == Isa::Avx512
            && self.uses[val.0 as usize] == 1
        {
            let at = self.pending.iter().position(|&(v, _)| v == x).expect("it is pending");
            self.pending[at].0 = val;
            return Rep::Pending(super::Mem { broadcast: true, ..mem }, width, parts as u8);
        }
        if !ty.elem.is_float() {
            let x = self.general(x);
            return Rep::Vector(self.repeat_scalar(x, ty));
        }
        let op = match (ty.elem, width) {
            (Elem::F32, _) => Op::Vbroadcastss,
            (_, Width::V128) => Op::Vpbroadcastq,
            _ => Op::Vbroadcastsd,
        };
        let from = self.operands(x)[0];
        let all = self.one(op, width, from);
        Rep::Vector(smallvec![all; parts])
    }

    /// The upper half of a register of this width, in the lower half of another one.
    pub(super) fn upper_half(&mut self, x: Reg, full: Width) -> Reg {
        match full {
            Width::V512 => self.extract(Op::Vextractf64x4, full, Width::V256, x, 1),
            Width::V256 => {
                let op = if self.isa == Isa::Avx512 { Op::Vextractf32x4 } else { Op::Vextractf128 };
                self.extract(op, full, Width::V128, x, 1)
            }
            _ => self.one_imm(Op::Vpshufd, Width::V128, Rm::Reg(x), 0b1110),
        }
    }

    fn extract(&mut self, op: Op, from: Width, to: Width, x: Reg, which: i64) -> Reg {
        let reg = self.new_vector(to);
        self.push(Inst::new(op, from, &[reg, x]).imm(which));
        reg
    }

    /// A register of this width from its halves.
    pub(super) fn join_halves(&mut self, low: Reg, high: Reg, full: Width) -> Reg {
        match full {
            Width::V512 => self.two_imm(Op::Vinsertf64x4, full, low, Rm::Reg(high), 1),
            Width::V256 => {
                let op = if self.isa == Isa::Avx512 { Op::Vinsertf32x4 } else { Op::Vinsertf128 };
                self.two_imm(op, full, low, Rm::Reg(high), 1)
            }
            _ => self.two(Op::Vunpcklpd, full, low, Rm::Reg(high)),
        }
    }

    /// One lane of a vector of floats or integers, in the lowest lane of a vector register.
    fn lowest(&mut self, parts: &[Reg], elem: Elem, lanes: u8, lane: u8) -> Reg {
        let bytes = element_bytes(elem);
        let (mut full, count) = shape(self.isa, bytes, lanes);
        let per = lanes / count as u8;
        let (mut reg, mut lane) = (parts[usize::from(lane / per)], lane % per);
        while full != Width::V128 {
            let half = (full.size() / 2) as u8 / bytes;
            if lane >= half {
                reg = self.upper_half(reg, full);
                lane -= half;
            }
            full = width(full.size() / 2);
        }
        match (lane, bytes) {
            (0, _) => reg,
            (_, 8) => self.one_imm(Op::Vpshufd, Width::V128, Rm::Reg(reg), 0b1110),
            (lane, _) => self.one_imm(Op::Vpshufd, Width::V128, Rm::Reg(reg), i64::from(lane)),
        }
    }

    pub(super) fn lane(&mut self, x: Val, lane: u8) -> Rep {
        let ty = self.kernel.ty(x);
        if let Some(c) = self.constant_of(x) {
            return Rep::Const(c);
        }
        if ty.lanes == 1 {
            return Rep::Scalar(self.scalar(x));
        }
        if ty.elem == Elem::Bool {
            return Rep::Scalar(self.mask_lane(x, lane));
        }
        let parts = self.vector(x);
        let low = self.lowest(&parts, ty.elem, ty.lanes, lane);
        Rep::Scalar(if ty.elem.is_float() { low } else { self.lowest_general(low, ty.elem) })
    }

    /// The lowest lane of a vector of integers, in a general register.
    pub(super) fn lowest_general(&mut self, low: Reg, elem: Elem) -> Reg {
        let to = self.new_general();
        let (op, width) = if elem == Elem::I64 { (Op::VmovqStore, Width::V128) } else { (Op::VmovdStore, Width::V128) };
        self.push(Inst::new(op, width, &[to, low]));
        to
    }

    /// A lane of a mask as 0 or 1.
    fn mask_lane(&mut self, x: Val, lane: u8) -> Reg {
        let mut lane = lane;
        match self.isa {
            Isa::Avx512 => {
                let mask = self.mask(x);
                self.push(Inst::new(Op::KmovwToGeneral, Width::W32, &[RAX, mask]));
            }
            Isa::Avx2 => {
                let lanes = self.kernel.ty(x).lanes;
                let parts = self.mask_lanes(x, 4);
                let (width, count) = shape(self.isa, 4, lanes);
                let per = lanes / count as u8;
                self.push(Inst::new(Op::Vmovmskps, width, &[RAX, parts[usize::from(lane / per)]]));
                lane %= per;
            }
        }
        if lane > 0 {
            self.push(Inst::new(Op::ShrImm, Width::W32, &[RAX]).imm(i64::from(lane)));
        }
        self.push(Inst::new(Op::AndImm, Width::W32, &[RAX]).imm(1));
        let to = self.new_general();
        self.push(Inst::new(Op::Mov, Width::W32, &[to]).with(Rm::Reg(RAX)));
        to
    }

    pub(super) fn half(&mut self, x: Val, upper: bool, ty: Ty) -> Rep {
        if let Some(c) = self.constant_of(x) {
            return Rep::Const(c);
        }
        if ty.lanes == 1 {
            return self.lane(x, u8::from(upper));
        }
        self.materialize(x);
        match self.rep(x).clone() {
            Rep::Mask(reg) => Rep::Mask(if upper { self.mask_part(reg, ty.lanes) } else { reg }),
            Rep::Vector(parts) => Rep::Vector(self.half_of(&parts, upper, element_bytes(ty.elem), ty.lanes)),
            Rep::Lanes(bytes, parts) => Rep::Lanes(bytes, self.half_of(&parts, upper, bytes, ty.lanes)),
            other => unreachable!("half of {other:?}"),
        }
    }

    /// Half of a vector, which has so many lanes.
    fn half_of(&mut self, parts: &[Reg], upper: bool, bytes: u8, lanes: u8) -> Parts {
        if parts.len() > 1 {
            let middle = parts.len() / 2;
            return if upper { parts[middle..].into() } else { parts[..middle].into() };
        }
        if !upper {
            return parts.into();
        }
        let total = usize::from(bytes) * usize::from(lanes) * 2;
        let reg = if total == 8 {
            // Two lanes of four bytes are half a register.
            self.one_imm(Op::Vpshufd, Width::V128, Rm::Reg(parts[0]), 1)
        } else {
            self.upper_half(parts[0], width(total))
        };
        smallvec![reg]
    }

    pub(super) fn interleave(&mut self, x: Val, y: Val, upper: bool, ty: Ty) -> Rep {
        let (width, count) = self.shape(ty);
        let (xs, ys) = (self.vector(x), self.vector(y));
        let bytes = element_bytes(ty.elem);
        if count == 1 {
            return Rep::Vector(smallvec![self.interleave_half(xs[0], ys[0], upper, width, bytes, ty.lanes)]);
        }
        // Each register of the operands makes two of the result.
        let first = if upper { count / 2 } else { 0 };
        let per = ty.lanes / count as u8;
        let made = (0..count).map(|i| {
            let from = first + i / 2;
            self.interleave_half(xs[from], ys[from], i % 2 == 1, width, bytes, per)
        });
        Rep::Vector(made.collect())
    }

    /// The lower or upper halves of two registers, lane by lane in turn.
    fn interleave_half(&mut self, x: Reg, y: Reg, upper: bool, width: Width, bytes: u8, lanes: u8) -> Reg {
        let (low, high) = if bytes == 8 { (Op::Vunpcklpd, Op::Vunpckhpd) } else { (Op::Vunpcklps, Op::Vunpckhps) };
        match (width, self.isa) {
            (Width::V128, _) if lanes * bytes == 8 => {
                // Half a register.
                let both = self.two(low, width, x, Rm::Reg(y));
                if upper { self.upper_half(both, width) } else { both }
            }
            (Width::V128, _) => self.two(if upper { high } else { low }, width, x, Rm::Reg(y)),
            (_, Isa::Avx2) => {
                // These work on each half of the registers.
                let l = self.two(low, width, x, Rm::Reg(y));
                let h = self.two(high, width, x, Rm::Reg(y));
                self.two_imm(Op::Vperm2f128, width, l, Rm::Reg(h), if upper { 0x31 } else { 0x20 })
            }
            (_, Isa::Avx512) => {
                // Numbers from `lanes` on are lanes of the second table.
                let half = if upper { lanes / 2 } else { 0 };
                let order = (0..lanes / 2).flat_map(|i| [half + i, lanes + half + i]);
                let bytes_of = |i: u8| {
                    if bytes == 8 { u64::from(i).to_le_bytes().to_vec() } else { u32::from(i).to_le_bytes().to_vec() }
                };
                let order = self.whole(order.flat_map(bytes_of).collect());
                let to = self.copy(x);
                let op = if bytes == 8 { Op::Vpermt2pd } else { Op::Vpermt2ps };
                self.push(Inst::new(op, width, &[to, order, y]));
                to
            }
        }
    }
}
