//! Addresses and loads.

use dlc_ir::DType;
use smallvec::{SmallVec, smallvec};

use super::value::{Parts, Rep, element_bytes};
use super::{Code, Condition, Inst, Mem, Op, PARAMETERS, Reg, Rm, Select, Width};
use crate::codegen::wide::code::{FIXED, RAX};
use crate::codegen::wide::inst::Base;
use crate::codegen::wide::isa::Isa;
use crate::kernel::{Access, Buf, BufKind, Const, Elem, Ty, Val};

/// Displacements are kept below this, so that those of the parts of a vector fit too.
const FAR: i64 = 1 << 30;

/// The parameter that is the table of operands, and the one that is scratch memory.
const OPERANDS: Reg = Reg(FIXED);
const SCRATCH: Reg = Reg(FIXED + PARAMETERS - 1);

impl Select<'_> {
    /// The register with a buffer's address, and the offset of the buffer from it.
    fn base(&mut self, buf: Buf) -> (Reg, i64) {
        let entry = match self.kernel.buffer(buf) {
            BufKind::Scratch(i) => return (SCRATCH, self.scratch_layout[i] as i64),
            BufKind::Operand(i) => i,
            // The tables follow the operands in the table of pointers.
            BufKind::Table(i) => self.kernel.operands.len() + i,
        };
        if let Some(reg) = self.bases[buf.0 as usize] {
            return (reg, 0);
        }
        let reg = self.function.new_reg(super::Class::General, 8, 0);
        let from = Mem::at(OPERANDS, entry as i32 * 8);
        self.prologue.push(Code::Inst(Inst::new(Op::Mov, Width::W64, &[reg]).with(Rm::Mem(from))));
        self.bases[buf.0 as usize] = Some(reg);
        (reg, 0)
    }

    /// The address of an element. Intermediate sums may wrap: an element that is in bounds in exact arithmetic is so modulo 2⁶⁴ as
    /// well.
    pub(super) fn address(&mut self, buf: Buf, (index, constant): (Option<Reg>, i64), size: usize) -> Mem {
        let (mut base, offset) = self.base(buf);
        let mut displacement = constant.wrapping_mul(size as i64).wrapping_add(offset);
        if displacement.unsigned_abs() >= FAR as u64 {
            base = self.plus(base, displacement);
            displacement = 0;
        }
        Mem {
            base: Base::Register(base),
            index: index.map(|reg| (reg, size.trailing_zeros() as u8)),
            displacement: displacement as i32,
            broadcast: false,
        }
    }

    pub(super) fn start(&mut self, access: &Access, size: usize) -> Mem {
        let (index, constant) = self.index(access.index);
        self.address(access.buf, (index, constant.wrapping_add(access.offset)), size)
    }

    /// An address without an index, from which those of all lanes are constants away.
    pub(super) fn flat(&mut self, mem: Mem) -> Mem {
        if mem.index.is_none() {
            return mem;
        }
        let to = self.new_general();
        self.push(Inst::new(Op::Lea, Width::W64, &[to]).with(Rm::Mem(mem)));
        Mem::at(to, 0)
    }

    /// The address of a lane.
    pub(super) fn lane_address(&mut self, flat: Mem, lane: i64, step: i64) -> Mem {
        let displacement = i64::from(flat.displacement) + lane * step;
        if displacement.unsigned_abs() < FAR as u64 {
            return Mem { displacement: displacement as i32, ..flat };
        }
        let Base::Register(base) = flat.base else { unreachable!("buffers are not in the frame") };
        Mem::at(self.plus(base, displacement), 0)
    }

    /// Loads a register of a value of this type.
    pub(super) fn load_part(&mut self, mem: Mem, width: Width, ty: Ty) -> Reg {
        let bytes = element_bytes(ty.elem);
        let op = match (ty.lanes * bytes, bytes) {
            _ if mem.broadcast => match bytes {
                4 => Op::Vbroadcastss,
                _ if width == Width::V128 => Op::Vpbroadcastq,
                _ => Op::Vbroadcastsd,
            },
            (4, _) => Op::Vmovss,
            (8, _) => Op::Vmovsd,
            _ => Op::Vmovups,
        };
        self.one(op, width, Rm::Mem(Mem { broadcast: false, ..mem }))
    }

    pub(super) fn load(&mut self, val: Val, access: &Access, ty: Ty) -> Rep {
        let (dtype, _) = self.kernel.extent(access.buf);
        let size = dtype.size();
        if let Some(active) = access.active {
            return self.load_active(access, active, ty, dtype);
        }
        let mem = self.start(access, size);
        if ty.lanes == 1 {
            return if ty.elem.is_float() {
                self.load_later(val, access.buf, mem, Width::V128, 1, ty)
            } else {
                Rep::Scalar(self.load_scalar(mem, ty, size))
            };
        }
        let (width, parts) = self.shape(ty);
        match access.stride {
            0 => {
                let scalar = self.load_scalar(mem, Ty::scalar(ty.elem), size);
                let all = self.repeat_scalar(scalar, ty);
                self.of_bytes(all, ty)
            }
            1 if size > 1 => self.load_later(val, access.buf, mem, width, parts as u8, ty),
            1 if ty.lanes >= 4 => {
                // Bytes become lanes of 32 bits.
                let step = i32::from(ty.lanes) / parts as i32;
                let loaded = (0..parts as i32).map(|i| {
                    let mem = Mem { displacement: mem.displacement + i * step, ..mem };
                    self.one(Op::Vpmovzxbd, width, Rm::Mem(mem))
                });
                let loaded = loaded.collect();
                self.of_bytes(loaded, ty)
            }
            2 if size > 1 && usize::from(ty.lanes * element_bytes(ty.elem)) >= 16 => self.load_every_second(mem, ty),
            stride => {
                let flat = self.flat(mem);
                if let Some(indices) = self.regular_indices(stride, ty, size) {
                    return Rep::Vector(self.gather_parts(flat, &indices, 4, ty, None));
                }
                self.load_lanes(ty, dtype, |this, lane| this.lane_address(flat, lane, stride * size as i64))
            }
        }
    }

    /// A load of whole registers, which becomes part of the instruction that uses it if only one does.
    fn load_later(&mut self, val: Val, buf: Buf, mem: Mem, width: Width, parts: u8, ty: Ty) -> Rep {
        let whole = ty.lanes == 1 || usize::from(ty.lanes * element_bytes(ty.elem)) >= 16;
        if whole && self.uses[val.0 as usize] == 1 {
            self.pending.push((val, buf));
            return Rep::Pending(mem, width, parts);
        }
        let loaded: Parts = (0..i32::from(parts)).map(|i| self.load_part(mem.part(i, width), width, ty)).collect();
        self.of_parts(ty, loaded)
    }

    /// One element of so many bytes, in a register of the class of its type.
    pub(super) fn load_scalar(&mut self, mem: Mem, ty: Ty, size: usize) -> Reg {
        if ty.elem.is_float() {
            return self.load_part(mem, Width::V128, ty);
        }
        let to = self.new_general();
        let (op, width) = match size {
            1 => (Op::Movzx, Width::W32),
            4 => (Op::Mov, Width::W32),
            _ => (Op::Mov, Width::W64),
        };
        self.push(Inst::new(op, width, &[to]).with(Rm::Mem(mem)));
        to
    }

    /// A scalar of the class of its type, in every lane; a boolean as a number.
    pub(super) fn repeat_scalar(&mut self, scalar: Reg, ty: Ty) -> Parts {
        let (width, parts) = self.shape(ty);
        let wide = element_bytes(ty.elem) == 8;
        let low = if ty.elem.is_float() {
            scalar
        } else {
            let low = self.new_vector(Width::V128);
            self.push(Inst::new(if wide { Op::Vmovq } else { Op::Vmovd }, Width::V128, &[low, scalar]));
            low
        };
        let all = self.one(if wide { Op::Vpbroadcastq } else { Op::Vpbroadcastd }, width, Rm::Reg(low));
        smallvec![all; parts]
    }

    /// Lanes of 32 bits that were bytes: numbers, or a mask of those that are not zero.
    fn of_bytes(&mut self, parts: Parts, ty: Ty) -> Rep {
        if ty.elem != Elem::Bool {
            return Rep::Vector(parts);
        }
        let (width, _) = self.shape(ty);
        match self.isa {
            Isa::Avx512 => {
                let to = self.new_mask();
                self.push(Inst::new(Op::Vptestmd, width, &[to, parts[0]]).with(Rm::Reg(parts[0])));
                Rep::Mask(to)
            }
            Isa::Avx2 => {
                let zero = self.uniform(Const::I32(0));
                Rep::Lanes(4, parts.into_iter().map(|x| self.two(Op::Vpcmpgtd, width, x, Rm::Reg(zero))).collect())
            }
        }
    }

    /// Loads lanes one by one, by way of the stack.
    pub(super) fn load_lanes(&mut self, ty: Ty, dtype: DType, mut at: impl FnMut(&mut Self, i64) -> Mem) -> Rep {
        for lane in 0..i64::from(ty.lanes) {
            let mem = at(self, lane);
            self.load_lane(mem, dtype, lane);
        }
        self.loaded_lanes(ty)
    }

    /// Copies an element to its lane on the stack.
    pub(super) fn load_lane(&mut self, mem: Mem, dtype: DType, lane: i64) {
        let (op, width, bytes) = match dtype.size() {
            1 => (Op::Movzx, Width::W32, 4),
            4 => (Op::Mov, Width::W32, 4),
            _ => (Op::Mov, Width::W64, 8),
        };
        self.push(Inst::new(op, width, &[RAX]).with(Rm::Mem(mem)));
        self.push(Inst::new(Op::MovStore, width, &[RAX]).with(Rm::Mem(Mem::stack((lane * bytes) as i32))));
    }

    /// The vector of the lanes on the stack.
    pub(super) fn loaded_lanes(&mut self, ty: Ty) -> Rep {
        let (width, parts) = self.shape(ty);
        self.function.stack = self.function.stack.max((parts * width.size()) as u32);
        let loaded = (0..parts as i32)
            .map(|i| self.one(Op::Vmovups, width, Rm::Mem(Mem::stack(i * width.size() as i32))))
            .collect();
        self.of_bytes(loaded, ty)
    }

    /// A load of the active lanes; the others are zero.
    fn load_active(&mut self, access: &Access, active: Val, ty: Ty, dtype: DType) -> Rep {
        let size = dtype.size();
        let vector = Ty { lanes: ty.lanes.max(4), ..ty };
        let mem = self.start(access, size);
        let (width, parts) = self.shape(vector);
        let per = vector.lanes / parts as u8;
        let bytes = element_bytes(ty.elem);
        let contiguous = access.stride == 1 || ty.lanes == 1;
        if !contiguous && let Some(indices) = self.regular_indices(access.stride, ty, size) {
            let mask = self.active_lanes(active, ty.lanes, bytes);
            let flat = self.flat(mem);
            return Rep::Vector(self.gather_parts(flat, &indices, 4, ty, Some(&mask)));
        }
        let loaded: Parts = match self.isa {
            Isa::Avx512 if contiguous => {
                let op = match size {
                    1 => Op::Vpmovzxbd,
                    4 => Op::Vmovups,
                    _ => Op::Vmovupd,
                };
                let mask = self.active_lanes(active, ty.lanes, bytes)[0];
                (0..parts as u8)
                    .map(|i| {
                        let mask = self.mask_part(mask, i * per);
                        let at = Mem { displacement: mem.displacement + i32::from(i * per) * size as i32, ..mem };
                        let to = self.new_vector(width);
                        self.push(Inst::new(op, width, &[to]).with(Rm::Mem(at)).zeroing(mask));
                        to
                    })
                    .collect()
            }
            Isa::Avx2 if contiguous && size > 1 && ty.lanes > 1 => {
                let op = if size == 4 { Op::Vmaskmovps } else { Op::Vmaskmovpd };
                let (width, _) = self.shape(ty);
                let masks = self.active_lanes(active, ty.lanes, bytes);
                masks
                    .into_iter()
                    .enumerate()
                    .map(|(i, mask)| {
                        let to = self.new_vector(width);
                        let at = mem.part(i as i32, width);
                        self.push(Inst::new(op, width, &[to, mask]).with(Rm::Mem(at)));
                        to
                    })
                    .collect()
            }
            _ => return self.load_some_lanes(access, active, ty, dtype, mem),
        };
        if ty.lanes == 1 {
            return match ty.elem {
                Elem::F32 | Elem::F64 => Rep::Scalar(loaded[0]),
                elem => Rep::Scalar(self.lowest_general(loaded[0], elem)),
            };
        }
        if size == 1 { self.of_bytes(loaded, ty) } else { Rep::Vector(loaded) }
    }

    /// Runs `body` for the lanes that are active, one by one.
    pub(super) fn each_active(&mut self, active: Val, lanes: u8, mut body: impl FnMut(&mut Self, i64)) {
        if self.kernel.ty(active).elem == Elem::Bool {
            let flags = self.lane_flags(active);
            let per = lanes.div_ceil(flags.len() as u8);
            for lane in 0..lanes {
                let skip = self.function.new_label();
                let flag = flags[usize::from(lane / per)];
                self.push(Inst::new(Op::TestImm, Width::W32, &[flag]).imm(1 << (lane % per)));
                self.function.code.push(Code::Branch(Condition::Equal, skip));
                body(self, i64::from(lane));
                self.function.code.push(Code::Bind(skip));
            }
            return;
        }
        let done = self.function.new_label();
        let n = self.general(active);
        for lane in 0..i64::from(lanes) {
            self.push(Inst::new(Op::CmpImm, Width::W64, &[n]).imm(lane));
            self.function.code.push(Code::Branch(Condition::LessOrEqual, done));
            body(self, lane);
        }
        self.function.code.push(Code::Bind(done));
    }

    /// Loads the active lanes one by one, by way of the stack.
    fn load_some_lanes(&mut self, access: &Access, active: Val, ty: Ty, dtype: DType, mem: Mem) -> Rep {
        let (width, parts) = self.shape(ty);
        let zero = self.uniform(Const::F32(0));
        for i in 0..parts {
            let at = Mem::stack((i * width.size()) as i32);
            self.push(Inst::new(Op::VmovupsStore, width, &[zero]).with(Rm::Mem(at)));
        }
        let flat = self.flat(mem);
        let step = if ty.lanes == 1 { 1 } else { access.stride } * dtype.size() as i64;
        let addresses: SmallVec<[Mem; 16]> =
            (0..i64::from(ty.lanes)).map(|lane| self.lane_address(flat, lane, step)).collect();
        self.each_active(active, ty.lanes, |this, lane| this.load_lane(addresses[lane as usize], dtype, lane));
        if ty.lanes > 1 {
            return self.loaded_lanes(ty);
        }
        self.function.stack = self.function.stack.max(width.size() as u32);
        // A byte has become four.
        Rep::Scalar(self.load_scalar(Mem::stack(0), ty, usize::from(element_bytes(ty.elem))))
    }
}
