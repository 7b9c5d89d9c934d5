//! Arithmetic: floats, and what integers of vectors share with them.

use smallvec::{SmallVec, smallvec};

use super::value::{Parts, Rep};
use super::{Inst, Op, Reg, Rm, Select, Width};
use crate::codegen::wide::isa::Isa;
use crate::kernel::{Binary, Const, Elem, Inst as KernelInst, Ty, Unary, Val};

/// An operation on vectors of f32, f64, i32, i64.
pub(super) type ByElem = [Op; 4];

const ADD: ByElem = [Op::Vaddps, Op::Vaddpd, Op::Vpaddd, Op::Vpaddq];
const SUB: ByElem = [Op::Vsubps, Op::Vsubpd, Op::Vpsubd, Op::Vpsubq];
pub(super) const AND: ByElem = [Op::Vandps, Op::Vandpd, Op::Vandps, Op::Vandpd];
pub(super) const OR: ByElem = [Op::Vorps, Op::Vorpd, Op::Vorps, Op::Vorpd];
pub(super) const XOR: ByElem = [Op::Vxorps, Op::Vxorpd, Op::Vxorps, Op::Vxorpd];
pub(super) const BLEND: ByElem = [Op::Vblendmps, Op::Vblendmpd, Op::Vpblendmd, Op::Vpblendmq];

/// Bits of the rounding modes of `vrndscale` and `vround`; 8 suppresses the inexact flag.
const NEAREST: i64 = 8;
const FLOOR: i64 = 9;
const CEIL: i64 = 10;
const TRUNC: i64 = 11;

/// The predicate of `vcmpps` for unordered.
pub(super) const UNORDERED: i64 = 3;

/// The entry of a [table](ByElem).
pub(super) fn by_elem(table: ByElem, elem: Elem) -> Op {
    table[match elem {
        Elem::F32 => 0,
        Elem::F64 => 1,
        Elem::I32 | Elem::Bool => 2,
        Elem::I64 => 3,
    }]
}

/// One of four: f32 or f64, vectors or scalars.
fn float_op(ty: Ty, [ps, pd, ss, sd]: [Op; 4]) -> Op {
    match (ty.elem, ty.lanes) {
        (Elem::F32, 1) => ss,
        (Elem::F32, _) => ps,
        (_, 1) => sd,
        _ => pd,
    }
}

impl Select<'_> {
    pub(super) fn inst(&mut self, val: Val, inst: &KernelInst) {
        let ty = self.kernel.ty(val);
        let rep = match *inst {
            KernelInst::Const(c) => Rep::Const(c),
            KernelInst::Iota => self.iota(ty),
            KernelInst::Unary(_, x) if ty.elem == Elem::Bool => self.mask_not(x, ty),
            KernelInst::Unary(op, x) => self.unary(op, x, ty),
            KernelInst::Binary(op, x, y) => self.binary(op, x, y, ty),
            KernelInst::Fma(a, b, c) => self.fma(a, b, c, ty),
            KernelInst::DivFloor(x, d) => self.divide(x, d, ty, false),
            KernelInst::Mod(x, d) => self.divide(x, d, ty, true),
            KernelInst::Compare(op, x, y) => self.compare(val, op, x, y),
            KernelInst::Select(c, x, y) => self.select(c, x, y, ty),
            KernelInst::Convert(x) => self.convert(x, ty),
            KernelInst::Bitcast(x) => self.bitcast(x, ty),
            KernelInst::Splat(x) => self.splat(val, x, ty),
            KernelInst::Lane(x, lane) => self.lane(x, lane),
            KernelInst::Half(x, upper) => self.half(x, upper, ty),
            KernelInst::Interleave(x, y, upper) => self.interleave(x, y, upper, ty),
            KernelInst::Any(x) => self.any(x),
            KernelInst::Load(ref access) => self.load(val, access, ty),
            KernelInst::Gather { buf, index, offset } => self.gather(buf, index, offset, ty),
        };
        self.set(val, rep);
    }

    /// A value of registers of the vector class: a scalar float or a vector.
    pub(super) fn of_parts(&self, ty: Ty, parts: Parts) -> Rep {
        if ty.lanes == 1 { Rep::Scalar(parts[0]) } else { Rep::Vector(parts) }
    }

    /// An instruction `to = op(x, y)` in a new register.
    pub(super) fn two(&mut self, op: Op, width: Width, x: Reg, y: Rm) -> Reg {
        let to = self.new_vector(width);
        self.function.hint(to, x);
        self.push(Inst::new(op, width, &[to, x]).with(y));
        to
    }

    /// An instruction `to = op(x)` in a new register.
    pub(super) fn one(&mut self, op: Op, width: Width, x: Rm) -> Reg {
        let to = self.new_vector(width);
        if let Rm::Reg(x) = x {
            self.function.hint(to, x);
        }
        self.push(Inst::new(op, width, &[to]).with(x));
        to
    }

    /// The same with an immediate operand.
    pub(super) fn one_imm(&mut self, op: Op, width: Width, x: Rm, imm: i64) -> Reg {
        let to = self.new_vector(width);
        self.push(Inst::new(op, width, &[to]).with(x).imm(imm));
        to
    }

    /// `to = op(x, y, imm)` in a new register.
    pub(super) fn two_imm(&mut self, op: Op, width: Width, x: Reg, y: Rm, imm: i64) -> Reg {
        let to = self.new_vector(width);
        self.push(Inst::new(op, width, &[to, x]).with(y).imm(imm));
        to
    }

    fn unary(&mut self, op: Unary, x: Val, ty: Ty) -> Rep {
        if !ty.elem.is_float() {
            return if ty.lanes == 1 { self.unary_general(op, x, ty) } else { self.unary_lanes(op, x, ty) };
        }
        let (width, _) = self.shape(ty);
        let bits = |f: u32, d: u64| if ty.elem == Elem::F32 { Const::F32(f) } else { Const::F64(d) };
        if let Unary::Neg | Unary::Abs = op {
            let (table, mask) = match op {
                Unary::Neg => (XOR, bits(1 << 31, 1 << 63)),
                _ => (AND, bits(!(1 << 31), !(1 << 63))),
            };
            let mask = self.uniform(mask);
            let parts = self.parts(x);
            let parts = parts.into_iter().map(|x| self.two(by_elem(table, ty.elem), width, x, Rm::Reg(mask)));
            let parts = parts.collect();
            return self.of_parts(ty, parts);
        }
        let (ops, imm) = match (op, self.isa) {
            (Unary::Sqrt, _) => ([Op::Vsqrtps, Op::Vsqrtpd, Op::Vsqrtss, Op::Vsqrtsd], None),
            (_, isa) => {
                let mode = match op {
                    Unary::Floor => FLOOR,
                    Unary::Ceil => CEIL,
                    Unary::Trunc => TRUNC,
                    _ => NEAREST,
                };
                let ops = match isa {
                    Isa::Avx512 => [Op::Vrndscaleps, Op::Vrndscalepd, Op::Vrndscaless, Op::Vrndscalesd],
                    Isa::Avx2 => [Op::Vroundps, Op::Vroundpd, Op::Vroundss, Op::Vroundsd],
                };
                (ops, Some(mode))
            }
        };
        let op = float_op(ty, ops);
        let operands = self.operands(x);
        let parts: Parts = operands
            .into_iter()
            .map(|x| {
                let to = self.new_vector(width);
                let inst = if ty.lanes == 1 {
                    // The scalar forms take the upper lanes of another operand.
                    let upper = match x {
                        Rm::Reg(reg) => reg,
                        Rm::Mem(_) => self.uniform(bits(0, 0)),
                    };
                    Inst::new(op, width, &[to, upper]).with(x)
                } else {
                    Inst::new(op, width, &[to]).with(x)
                };
                self.push(Inst { imm, ..inst });
                to
            })
            .collect();
        self.of_parts(ty, parts)
    }

    fn binary(&mut self, op: Binary, x: Val, y: Val, ty: Ty) -> Rep {
        match (ty.elem, ty.lanes) {
            (Elem::Bool, _) => self.mask_binary(op, x, y, ty),
            (Elem::F32 | Elem::F64, _) => self.binary_float(op, x, y, ty),
            (Elem::I32 | Elem::I64, 1) => self.binary_general(op, x, y, ty),
            (Elem::I32 | Elem::I64, _) => match op {
                Binary::Add | Binary::Sub => {
                    let table = if op == Binary::Add { ADD } else { SUB };
                    self.map_two(by_elem(table, ty.elem), x, y, ty, op == Binary::Add)
                }
                Binary::And => self.map_two(by_elem(AND, ty.elem), x, y, ty, true),
                Binary::Or => self.map_two(by_elem(OR, ty.elem), x, y, ty, true),
                Binary::Xor => self.map_two(by_elem(XOR, ty.elem), x, y, ty, true),
                _ => self.binary_lanes(op, x, y, ty),
            },
        }
    }

    /// Applies an instruction to the registers of two values.
    pub(super) fn map_two(&mut self, op: Op, x: Val, y: Val, ty: Ty, commutes: bool) -> Rep {
        let (width, _) = self.shape(ty);
        // A load, or else a constant, is best the operand that may be memory.
        let swap = commutes && !self.is_memory(y) && (self.is_memory(x) || self.constant_of(x).is_some());
        let (x, y) = if swap { (y, x) } else { (x, y) };
        let xs = self.parts(x);
        let ys = self.operands(y);
        let parts = xs.into_iter().zip(ys).map(|(x, y)| self.two(op, width, x, y)).collect();
        self.of_parts(ty, parts)
    }

    fn binary_float(&mut self, op: Binary, x: Val, y: Val, ty: Ty) -> Rep {
        let (ops, commutes) = match op {
            Binary::Scale => return self.scale_float(x, y, ty),
            Binary::Add => ([Op::Vaddps, Op::Vaddpd, Op::Vaddss, Op::Vaddsd], true),
            Binary::Sub => ([Op::Vsubps, Op::Vsubpd, Op::Vsubss, Op::Vsubsd], false),
            Binary::Mul => ([Op::Vmulps, Op::Vmulpd, Op::Vmulss, Op::Vmulsd], true),
            Binary::Div => ([Op::Vdivps, Op::Vdivpd, Op::Vdivss, Op::Vdivsd], false),
            Binary::Min => ([Op::Vminps, Op::Vminpd, Op::Vminss, Op::Vminsd], false),
            Binary::Max => ([Op::Vmaxps, Op::Vmaxpd, Op::Vmaxss, Op::Vmaxsd], false),
            _ => unreachable!("the verifier admits {op:?} of integers only"),
        };
        let op_code = float_op(ty, ops);
        if !matches!(op, Binary::Min | Binary::Max) {
            return self.map_two(op_code, x, y, ty, commutes);
        }
        // The instruction gives the second operand where one is NaN, which is wrong where only the first is.
        if self.constant_of(x).is_some_and(Const::is_number) {
            return self.map_two(op_code, x, y, ty, false);
        }
        let (width, _) = self.shape(ty);
        let xs = self.parts(x);
        let ys = self.operands(y);
        let parts = xs
            .into_iter()
            .zip(ys)
            .map(|(x, y)| {
                let least = self.two(op_code, width, x, y);
                self.where_nan(ty.elem, width, x, least)
            })
            .collect();
        self.of_parts(ty, parts)
    }

    /// `x * 2^y`. Scalars are computed as vectors: no other lane is slow or raises anything.
    fn scale_float(&mut self, x: Val, y: Val, ty: Ty) -> Rep {
        let (width, _) = self.shape(ty);
        let f32 = ty.elem == Elem::F32;
        let (xs, ys) = (self.parts(x), self.parts(y));
        if self.isa == Isa::Avx512 {
            let op = if f32 { Op::Vscalefps } else { Op::Vscalefpd };
            let parts = xs.into_iter().zip(ys).map(|(x, y)| self.two(op, width, x, Rm::Reg(y))).collect();
            return self.of_parts(ty, parts);
        }
        // In two steps, since 2^y may overflow or underflow where the result does not.
        let (round, add, sub, mul, shift, bits) = if f32 {
            (Op::Vroundps, Op::Vaddps, Op::Vsubps, Op::Vmulps, Op::VpslldImm, 23)
        } else {
            (Op::Vroundpd, Op::Vaddpd, Op::Vsubpd, Op::Vmulpd, Op::VpsllqImm, 52)
        };
        // Adding this leaves the biased exponent in the low bits.
        let magic = if f32 { 12_583_039.0 } else { 6_755_399_441_056_767.0 };
        let (half, magic) = (self.uniform(Const::float(ty.elem, 0.5)), self.uniform(Const::float(ty.elem, magic)));
        let mut scaled = |x: Reg, y: Reg| {
            let halved = self.two(mul, width, y, Rm::Reg(half));
            let first = self.one_imm(round, width, Rm::Reg(halved), FLOOR);
            let second = self.two(sub, width, y, Rm::Reg(first));
            let mut product = x;
            for n in [first, second] {
                let raw = self.two(add, width, n, Rm::Reg(magic));
                let power = self.one_imm(shift, width, Rm::Reg(raw), bits);
                product = self.two(mul, width, product, Rm::Reg(power));
            }
            product
        };
        let parts = xs.into_iter().zip(ys).map(|(x, y)| scaled(x, y)).collect();
        self.of_parts(ty, parts)
    }

    /// The mask of the lanes of floats for which a predicate of `vcmpps` holds.
    pub(super) fn compare_to_mask(&mut self, elem: Elem, width: Width, x: Reg, y: Reg, predicate: i64) -> Reg {
        let op = if elem == Elem::F32 { Op::VcmppsMask } else { Op::VcmppdMask };
        let to = self.new_mask();
        self.push(Inst::new(op, width, &[to, x]).with(Rm::Reg(y)).imm(predicate));
        to
    }

    /// `x` where it is NaN, elsewhere `y`.
    fn where_nan(&mut self, elem: Elem, width: Width, x: Reg, y: Reg) -> Reg {
        let f32 = elem == Elem::F32;
        match self.isa {
            Isa::Avx512 => {
                let nan = self.compare_to_mask(elem, width, x, x, UNORDERED);
                let to = self.copy(y);
                let op = if f32 { Op::Vmovups } else { Op::Vmovupd };
                self.push(Inst::new(op, width, &[to]).with(Rm::Reg(x)).under(nan));
                to
            }
            Isa::Avx2 => {
                let op = if f32 { Op::Vcmpps } else { Op::Vcmppd };
                let nan = self.two_imm(op, width, x, Rm::Reg(x), UNORDERED);
                self.blend(elem, width, nan, x, y)
            }
        }
    }

    /// `if mask { x } else { y }` with AVX2's masks.
    pub(super) fn blend(&mut self, elem: Elem, width: Width, mask: Reg, x: Reg, y: Reg) -> Reg {
        let op = if matches!(elem, Elem::F64 | Elem::I64) { Op::Vblendvpd } else { Op::Vblendvps };
        let to = self.new_vector(width);
        self.push(Inst::new(op, width, &[to, y, x, mask]));
        to
    }

    /// `a * b + c`. The instruction overwrites one operand: preferably one that nothing uses any more; one of the two others may be
    /// memory, which determines the form.
    fn fma(&mut self, a: Val, b: Val, c: Val, ty: Ty) -> Rep {
        let (width, _) = self.shape(ty);
        let forms = |ops132, ops213, ops231| [float_op(ty, ops132), float_op(ty, ops213), float_op(ty, ops231)];
        let [form132, form213, form231] = forms(
            [Op::Vfmadd132ps, Op::Vfmadd132pd, Op::Vfmadd132ss, Op::Vfmadd132sd],
            [Op::Vfmadd213ps, Op::Vfmadd213pd, Op::Vfmadd213ss, Op::Vfmadd213sd],
            [Op::Vfmadd231ps, Op::Vfmadd231pd, Op::Vfmadd231ss, Op::Vfmadd231sd],
        );
        // The multiplicand that may be memory comes second.
        let (a, b) =
            if self.is_memory(a) && !self.is_memory(b) || self.constant_of(a).is_some() { (b, a) } else { (a, b) };
        let free = |this: &Self, val: Val| this.dies(val) && !this.is_memory(val) && this.constant_of(val).is_none();
        // Which operand is overwritten, then the two others: the last may be memory.
        let (op, over, register, last) = if free(self, c) {
            (form231, c, a, b)
        } else if free(self, a) {
            if self.is_memory(b) { (form132, a, c, b) } else { (form213, a, b, c) }
        } else if free(self, b) {
            (form213, b, a, c)
        } else {
            (form231, c, a, b)
        };
        let over = self.parts(over);
        let registers = self.parts(register);
        let lasts = self.operands(last);
        let parts = over
            .into_iter()
            .zip(registers.into_iter().zip(lasts))
            .map(|(over, (register, last))| {
                let to = self.copy(over);
                self.push(Inst::new(op, width, &[to, register]).with(last));
                to
            })
            .collect();
        self.of_parts(ty, parts)
    }

    fn select(&mut self, c: Val, x: Val, y: Val, ty: Ty) -> Rep {
        if ty.elem == Elem::Bool {
            return self.mask_select(c, x, y, ty);
        }
        if ty.lanes == 1 && !ty.elem.is_float() {
            return self.select_general(c, x, y, ty);
        }
        let (width, count) = self.shape(ty);
        let bytes = super::value::element_bytes(ty.elem);
        match self.isa {
            Isa::Avx512 => {
                let mask = if ty.lanes == 1 { self.scalar_mask(c) } else { self.mask(c) };
                let op = by_elem(BLEND, ty.elem);
                let ys = self.parts(y);
                let xs = self.operands(x);
                let lanes = ty.lanes / count as u8;
                let parts = ys
                    .into_iter()
                    .zip(xs)
                    .enumerate()
                    .map(|(i, (y, x))| {
                        let mask = self.mask_part(mask, i as u8 * lanes);
                        let to = self.new_vector(width);
                        self.push(Inst::new(op, width, &[to, y]).with(x).under(mask));
                        to
                    })
                    .collect();
                self.of_parts(ty, parts)
            }
            Isa::Avx2 => {
                let masks: Parts =
                    if ty.lanes == 1 { smallvec![self.scalar_lanes(c, bytes)] } else { self.mask_lanes(c, bytes) };
                let (xs, ys) = (self.parts(x), self.parts(y));
                let parts: SmallVec<[Reg; 2]> = masks
                    .into_iter()
                    .zip(xs.into_iter().zip(ys))
                    .map(|(mask, (x, y))| self.blend(ty.elem, width, mask, x, y))
                    .collect();
                self.of_parts(ty, parts)
            }
        }
    }
}
