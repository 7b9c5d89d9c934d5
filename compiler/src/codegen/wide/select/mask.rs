//! Booleans: masks of vectors, and scalars. AVX-512 has mask registers; AVX2's masks are vectors with lanes that are zero or all ones,
//! as wide as the lanes of what was compared.

use smallvec::{SmallVec, smallvec};

use super::arith::{AND, OR, XOR, by_elem};
use super::value::{Parts, Rep, element_bytes, shape};
use super::{Code, Condition, Inst, Op, Prefix, Reg, Rm, Select, Width};
use crate::codegen::wide::code::RAX;
use crate::codegen::wide::isa::Isa;
use crate::kernel::{Binary, Compare, Const, Elem, Ty, Val};

impl Select<'_> {
    /// A mask in a mask register.
    pub(super) fn mask(&mut self, val: Val) -> Reg {
        match *self.rep(val) {
            Rep::Mask(reg) => reg,
            Rep::Const(c) => self.mask_of(if c == Const::Bool(true) { u16::MAX } else { 0 }),
            ref other => unreachable!("%{} is {other:?}, not a mask", val.0),
        }
    }

    /// A mask with these bits.
    pub(super) fn mask_of(&mut self, bits: u16) -> Reg {
        self.load_integer(RAX, i64::from(bits));
        let to = self.new_mask();
        self.push(Inst::new(Op::KmovwFromGeneral, Width::W32, &[to, RAX]));
        to
    }

    /// A scalar boolean as a mask of one lane.
    pub(super) fn scalar_mask(&mut self, val: Val) -> Reg {
        let reg = self.general(val);
        let to = self.new_mask();
        self.push(Inst::new(Op::KmovwFromGeneral, Width::W32, &[to, reg]));
        to
    }

    /// The mask for lanes from `lane` on.
    pub(super) fn mask_part(&mut self, mask: Reg, lane: u8) -> Reg {
        if lane == 0 {
            return mask;
        }
        let to = self.new_mask();
        self.push(Inst::new(Op::Kshiftrw, Width::W32, &[to, mask]).imm(i64::from(lane)));
        to
    }

    /// A mask in vector registers, with lanes of so many bytes.
    pub(super) fn mask_lanes(&mut self, val: Val, bytes: u8) -> Parts {
        let lanes = self.kernel.ty(val).lanes;
        match self.rep(val).clone() {
            Rep::Const(c) => {
                let elem = if bytes == 8 { Elem::I64 } else { Elem::I32 };
                let reg = self.uniform(Const::int(elem, if c == Const::Bool(true) { -1 } else { 0 }));
                smallvec![reg; shape(self.isa, bytes, lanes).1]
            }
            Rep::Lanes(has, parts) if has == bytes => parts,
            Rep::Lanes(4, parts) => self.widen(&parts, lanes),
            Rep::Lanes(_, parts) => self.narrow(&parts, lanes),
            other => unreachable!("%{} is {other:?}, not a mask", val.0),
        }
    }

    /// A scalar boolean as a mask in the lanes of a vector register.
    pub(super) fn scalar_lanes(&mut self, val: Val, bytes: u8) -> Reg {
        self.all_bits(val);
        let to = self.new_vector(Width::V128);
        self.push(Inst::new(if bytes == 8 { Op::Vmovq } else { Op::Vmovd }, Width::V128, &[to, RAX]));
        to
    }

    /// The bytes of the lanes of a mask, where it is in vector registers.
    fn lane_bytes(&self, val: Val) -> Option<u8> {
        match self.rep(val) {
            Rep::Lanes(bytes, _) => Some(*bytes),
            _ => None,
        }
    }

    /// A boolean or a mask in registers; with lanes of so many bytes where it is in vector registers.
    fn boolean(&mut self, x: Val, ty: Ty, bytes: u8) -> Rep {
        match (ty.lanes, self.isa) {
            (1, _) => Rep::Scalar(self.general(x)),
            (_, Isa::Avx512) => Rep::Mask(self.mask(x)),
            (_, Isa::Avx2) => Rep::Lanes(bytes, self.mask_lanes(x, bytes)),
        }
    }

    pub(super) fn mask_not(&mut self, x: Val, ty: Ty) -> Rep {
        let bytes = self.lane_bytes(x).unwrap_or(4);
        let x = self.boolean(x, ty, bytes);
        self.invert(x, ty)
    }

    pub(super) fn mask_binary(&mut self, op: Binary, x: Val, y: Val, ty: Ty) -> Rep {
        let bytes = self.lane_bytes(x).or(self.lane_bytes(y)).unwrap_or(4);
        let x = self.boolean(x, ty, bytes);
        self.join(op, x, y, ty)
    }

    fn masks(&mut self, op: Op, x: Reg, y: Reg) -> Reg {
        let to = self.new_mask();
        self.push(Inst::new(op, Width::W32, &[to, x, y]));
        to
    }

    pub(super) fn mask_select(&mut self, c: Val, x: Val, y: Val, ty: Ty) -> Rep {
        if ty.lanes == 1 {
            return self.select_general(c, x, y, ty);
        }
        match self.isa {
            Isa::Avx512 => {
                let (c, x, y) = (self.mask(c), self.mask(x), self.mask(y));
                let first = self.masks(Op::Kandw, c, x);
                let second = self.masks(Op::Kandnw, c, y);
                Rep::Mask(self.masks(Op::Korw, first, second))
            }
            Isa::Avx2 => {
                let known = [c, x, y].into_iter().find_map(|val| self.lane_bytes(val));
                let bytes = known.unwrap_or(4);
                let (width, _) = shape(self.isa, bytes, ty.lanes);
                let [cs, xs, ys] = [c, x, y].map(|val| self.mask_lanes(val, bytes));
                let parts = (0..cs.len()).map(|i| self.blend(Elem::F32, width, cs[i], xs[i], ys[i])).collect();
                Rep::Lanes(bytes, parts)
            }
        }
    }

    pub(super) fn compare(&mut self, val: Val, op: Compare, x: Val, y: Val) -> Rep {
        let ty = self.kernel.ty(x);
        if ty.elem == Elem::Bool {
            return self.compare_booleans(op, x, y, ty);
        }
        if ty.lanes == 1 {
            return self.compare_scalar(val, op, x, y);
        }
        let xs = self.vector(x);
        let ys = match self.isa {
            Isa::Avx512 => self.operands(y),
            Isa::Avx2 => self.vector(y).into_iter().map(Rm::Reg).collect(),
        };
        self.compare_parts(op, ty, xs, ys)
    }

    /// A comparison of the registers of two vectors.
    pub(super) fn compare_parts(&mut self, op: Compare, ty: Ty, xs: Parts, ys: SmallVec<[Rm; 2]>) -> Rep {
        let (width, count) = self.shape(ty);
        let pairs = xs.into_iter().zip(ys);
        if self.isa == Isa::Avx2 {
            let parts = pairs.map(|(x, y)| self.compare_avx2(op, ty.elem, width, x, y)).collect();
            return Rep::Lanes(element_bytes(ty.elem), parts);
        }
        let (op_code, imm) = match ty.elem {
            Elem::F32 => (Op::VcmppsMask, op.of_floats()),
            Elem::F64 => (Op::VcmppdMask, op.of_floats()),
            Elem::I32 | Elem::Bool => (Op::Vpcmpd, op.of_integers()),
            Elem::I64 => (Op::Vpcmpq, op.of_integers()),
        };
        let parts: Parts = pairs
            .map(|(x, y)| {
                let to = self.new_mask();
                self.push(Inst::new(op_code, width, &[to, x]).with(y).imm(imm));
                to
            })
            .collect();
        // Two registers of eight lanes.
        Rep::Mask(if count == 1 { parts[0] } else { self.masks(Op::Kunpckbw, parts[1], parts[0]) })
    }

    fn compare_avx2(&mut self, op: Compare, elem: Elem, width: Width, x: Reg, y: Rm) -> Reg {
        if elem.is_float() {
            let op_code = if elem == Elem::F32 { Op::Vcmpps } else { Op::Vcmppd };
            return self.two_imm(op_code, width, x, y, op.of_floats());
        }
        let (equal, greater) =
            if elem == Elem::I32 { (Op::Vpcmpeqd, Op::Vpcmpgtd) } else { (Op::Vpcmpeqq, Op::Vpcmpgtq) };
        let Rm::Reg(y) = y else { unreachable!("loads are not part of comparisons here") };
        let (op_code, p, q, inverse) = match op {
            Compare::Eq => (equal, x, y, false),
            Compare::Ne => (equal, x, y, true),
            Compare::Gt => (greater, x, y, false),
            Compare::Le => (greater, x, y, true),
            Compare::Lt => (greater, y, x, false),
            Compare::Ge => (greater, y, x, true),
        };
        let mask = self.two(op_code, width, p, Rm::Reg(q));
        if !inverse {
            return mask;
        }
        let ones = self.uniform(Const::I32(-1));
        self.two(Op::Vxorps, width, mask, Rm::Reg(ones))
    }

    /// Comparisons of booleans are logic: `x < y` is `!x & y`.
    fn compare_booleans(&mut self, op: Compare, x: Val, y: Val, ty: Ty) -> Rep {
        let different = |this: &mut Self, x: Val, y: Val| this.mask_binary(Binary::Xor, x, y, ty);
        // `not(x) op y` or `x op not(y)`.
        let (x, y, join) = match op {
            Compare::Ne => return different(self, x, y),
            Compare::Eq => {
                let rep = different(self, x, y);
                return self.invert(rep, ty);
            }
            Compare::Lt => (x, y, Binary::And),
            Compare::Le => (x, y, Binary::Or),
            Compare::Gt => (y, x, Binary::And),
            Compare::Ge => (y, x, Binary::Or),
        };
        let not = self.mask_not(x, ty);
        self.join(join, not, y, ty)
    }

    /// The complement.
    fn invert(&mut self, x: Rep, ty: Ty) -> Rep {
        match x {
            Rep::Scalar(x) => {
                let to = self.copy(x);
                self.push(Inst::new(Op::XorImm, Width::W32, &[to]).imm(1));
                Rep::Scalar(to)
            }
            Rep::Mask(x) => {
                let to = self.new_mask();
                self.push(Inst::new(Op::Knotw, Width::W32, &[to, x]));
                Rep::Mask(to)
            }
            Rep::Lanes(bytes, parts) => {
                let (width, _) = shape(self.isa, bytes, ty.lanes);
                let ones = self.uniform(Const::I32(-1));
                Rep::Lanes(bytes, parts.into_iter().map(|x| self.two(Op::Vxorps, width, x, Rm::Reg(ones))).collect())
            }
            other => unreachable!("{other:?} is not a boolean"),
        }
    }

    /// A logical operation, with lanes as wide as those of the first operand.
    fn join(&mut self, op: Binary, x: Rep, y: Val, ty: Ty) -> Rep {
        let which = match op {
            Binary::And | Binary::Min => 0,
            Binary::Or | Binary::Max => 1,
            _ => 2,
        };
        match x {
            Rep::Scalar(x) => {
                let y = self.general(y);
                Rep::Scalar(self.over([Op::And, Op::Or, Op::Xor][which], Width::W32, x, Rm::Reg(y)))
            }
            Rep::Mask(x) => {
                let y = self.mask(y);
                Rep::Mask(self.masks([Op::Kandw, Op::Korw, Op::Kxorw][which], x, y))
            }
            Rep::Lanes(bytes, xs) => {
                let (width, _) = shape(self.isa, bytes, ty.lanes);
                let op = by_elem([AND, OR, XOR][which], Elem::F32);
                let ys = self.mask_lanes(y, bytes);
                Rep::Lanes(bytes, xs.into_iter().zip(ys).map(|(x, y)| self.two(op, width, x, Rm::Reg(y))).collect())
            }
            other => unreachable!("{other:?} is not a boolean"),
        }
    }

    pub(super) fn any(&mut self, x: Val) -> Rep {
        let ty = self.kernel.ty(x);
        if let Some(c) = self.constant_of(x) {
            return Rep::Const(c);
        }
        if ty.lanes == 1 {
            return Rep::Scalar(self.general(x));
        }
        match self.isa {
            Isa::Avx512 => {
                let mask = self.mask(x);
                match ty.lanes {
                    16 => self.push(Inst::new(Op::Kortestw, Width::W32, &[mask, mask])),
                    8 => self.push(Inst::new(Op::Kortestb, Width::W32, &[mask, mask])),
                    lanes => {
                        self.push(Inst::new(Op::KmovwToGeneral, Width::W32, &[RAX, mask]));
                        self.push(Inst::new(Op::TestImm, Width::W32, &[RAX]).imm((1 << lanes) - 1));
                    }
                }
            }
            Isa::Avx2 => {
                let bytes = self.lane_bytes(x).expect("a mask that is not constant is in registers");
                let (width, _) = shape(self.isa, bytes, ty.lanes);
                let parts = self.mask_lanes(x, bytes);
                let mut all = parts[0];
                for &part in &parts[1..] {
                    all = self.two(Op::Vorps, width, all, Rm::Reg(part));
                }
                let op = if bytes == 8 { Op::Vmovmskpd } else { Op::Vmovmskps };
                self.push(Inst::new(op, width, &[RAX, all]));
                let lanes = (width.size() / usize::from(bytes)).min(usize::from(ty.lanes));
                self.push(Inst::new(Op::TestImm, Width::W32, &[RAX]).imm((1 << lanes) - 1));
            }
        }
        Rep::Scalar(self.set_flag(Condition::NotEqual))
    }

    /// The mask of the lanes of an access that are active, with lanes of so many bytes where it is in vector registers. Registers may
    /// have more lanes; these are not active.
    pub(super) fn active_lanes(&mut self, active: Val, lanes: u8, bytes: u8) -> Parts {
        if self.kernel.ty(active).elem != Elem::Bool {
            return self.prefix(active, lanes, bytes);
        }
        let is_partial = usize::from(lanes * bytes) < Width::V128.size();
        match self.isa {
            Isa::Avx512 if lanes == 1 => smallvec![self.scalar_mask(active)],
            Isa::Avx512 => {
                let mask = self.mask(active);
                if !is_partial {
                    return smallvec![mask];
                }
                let all = self.mask_of(((1u32 << lanes) - 1) as u16);
                smallvec![self.masks(Op::Kandw, mask, all)]
            }
            Isa::Avx2 if lanes == 1 => smallvec![self.scalar_lanes(active, bytes)],
            Isa::Avx2 => {
                let parts = self.mask_lanes(active, bytes);
                if !is_partial {
                    return parts;
                }
                let used = usize::from(lanes * bytes);
                let all = (0..Width::V128.size()).map(|byte| if byte < used { u8::MAX } else { 0 }).collect();
                let all = self.whole(all);
                smallvec![self.two(Op::Vandps, Width::V128, parts[0], Rm::Reg(all))]
            }
        }
    }

    /// A bit for each lane of a mask, from the lowest on, in as many general registers as the mask has registers.
    pub(super) fn lane_flags(&mut self, mask: Val) -> Parts {
        let lanes = self.kernel.ty(mask).lanes;
        if lanes == 1 {
            return smallvec![self.general(mask)];
        }
        match self.isa {
            Isa::Avx512 => {
                let mask = self.mask(mask);
                let to = self.new_general();
                self.push(Inst::new(Op::KmovwToGeneral, Width::W32, &[to, mask]));
                smallvec![to]
            }
            Isa::Avx2 => {
                let bytes = self.lane_bytes(mask).unwrap_or(4);
                let (width, _) = shape(self.isa, bytes, lanes);
                let op = if bytes == 8 { Op::Vmovmskpd } else { Op::Vmovmskps };
                let parts = self.mask_lanes(mask, bytes);
                let flags = parts.into_iter().map(|part| {
                    let to = self.new_general();
                    self.push(Inst::new(op, width, &[to, part]));
                    to
                });
                flags.collect()
            }
        }
    }

    /// The mask of the first lanes, of which `active` are to be accessed, with lanes of so many bytes where it is in vector
    /// registers.
    pub(super) fn prefix(&mut self, active: Val, lanes: u8, bytes: u8) -> Parts {
        let known = |p: &&Prefix| (p.active, p.lanes, p.bytes) == (active, lanes, bytes);
        if let Some(prefix) = self.prefixes.iter().find(known) {
            return prefix.parts.clone();
        }
        let parts: Parts = match self.isa {
            Isa::Avx512 => {
                // `bzhi` takes the lowest byte of the count only, so it is clamped before.
                match self.known(active) {
                    Some(n) => smallvec![self.mask_of(((1u32 << n.clamp(0, i64::from(lanes))) - 1) as u16)],
                    None => {
                        let n = self.general(active);
                        let clamped = self.clamp(n, i64::from(lanes));
                        self.load_integer(RAX, -1);
                        self.push(Inst::new(Op::Bzhi, Width::W32, &[RAX, RAX, clamped]));
                        let to = self.new_mask();
                        self.push(Inst::new(Op::KmovwFromGeneral, Width::W32, &[to, RAX]));
                        smallvec![to]
                    }
                }
            }
            Isa::Avx2 => {
                let n = self.general(active);
                let clamped = self.clamp(n, i64::from(lanes));
                let low = self.new_vector(Width::V128);
                self.push(Inst::new(Op::Vmovd, Width::V128, &[low, clamped]));
                let (part, count) = shape(self.isa, bytes, lanes);
                let broadcast = self.one(Op::Vpbroadcastd, part, Rm::Reg(low));
                // Lanes that a register has beyond those of the vector get numbers that are never active.
                let per = (part.size() / usize::from(bytes)) as u32;
                let repeat = u32::from(bytes) / 4;
                (0..count as u32)
                    .map(|i| {
                        let numbers = (0..per * repeat).flat_map(|j| (i * per + j / repeat).to_le_bytes()).collect();
                        let numbers = self.whole(numbers);
                        self.two(Op::Vpcmpgtd, part, broadcast, Rm::Reg(numbers))
                    })
                    .collect()
            }
        };
        self.prefixes.push(Prefix { active, lanes, bytes, parts: parts.clone() });
        parts
    }

    /// A number of lanes, between 0 and the number that there are.
    fn clamp(&mut self, n: Reg, lanes: i64) -> Reg {
        let to = self.copy(n);
        let (zero, most) = (self.integer(0), self.integer(lanes));
        for (limit, condition) in [(zero, Condition::Less), (most, Condition::Greater)] {
            self.push(Inst::new(Op::Cmp, Width::W64, &[to]).with(Rm::Reg(limit)));
            self.function.code.push(Code::Choose(condition, Width::W64, to, limit));
        }
        to
    }

    /// Lanes of 32 bits, sign-extended to 64.
    pub(super) fn widen(&mut self, parts: &[Reg], lanes: u8) -> Parts {
        let (to, count) = shape(self.isa, 8, lanes);
        if count == 1 {
            return smallvec![self.one(Op::Vpmovsxdq, to, Rm::Reg(parts[0]))];
        }
        // Every register makes two.
        parts
            .iter()
            .flat_map(|&part| {
                let upper = self.upper_half(part, to);
                [self.one(Op::Vpmovsxdq, to, Rm::Reg(part)), self.one(Op::Vpmovsxdq, to, Rm::Reg(upper))]
            })
            .collect()
    }
}

impl Compare {
    /// The predicate of `vcmpps`: false of NaN, but for `!=`; no exceptions matter.
    fn of_floats(self) -> i64 {
        match self {
            Compare::Eq => 0,
            Compare::Ne => 4,
            Compare::Lt => 1,
            Compare::Le => 2,
            Compare::Gt => 14,
            Compare::Ge => 13,
        }
    }

    /// The predicate of `vpcmpd`.
    fn of_integers(self) -> i64 {
        match self {
            Compare::Eq => 0,
            Compare::Lt => 1,
            Compare::Le => 2,
            Compare::Ne => 4,
            Compare::Ge => 5,
            Compare::Gt => 6,
        }
    }
}
