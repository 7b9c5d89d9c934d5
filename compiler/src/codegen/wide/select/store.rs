//! Stores.

use dlc_ir::DType;
use smallvec::SmallVec;

use super::value::{Parts, element_bytes, shape};
use super::{Condition, Inst, Mem, Op, Reg, Rm, Select, Width};
use crate::codegen::wide::code::{Code, RAX};
use crate::codegen::wide::isa::Isa;
use crate::kernel::{Access, AccessMode, Buf, BufKind, Const, Elem, Ty, Val};

impl Select<'_> {
    /// Whether what is written to one buffer may be read from another one.
    fn aliases(&self, written: Buf, read: Buf) -> bool {
        let shared = |buf: Buf| match self.kernel.buffer(buf) {
            BufKind::Operand(i) => self.kernel.operands[i].mode != AccessMode::Read,
            BufKind::Scratch(_) | BufKind::Table(_) => false,
        };
        written == read || shared(written) && shared(read)
    }

    pub(super) fn store(&mut self, access: &Access, value: Val) {
        let ty = self.kernel.ty(value);
        let (dtype, _) = self.kernel.extent(access.buf);
        self.materialize(value);
        let aliased: SmallVec<[Buf; 4]> =
            self.pending.iter().map(|&(_, buf)| buf).filter(|&buf| self.aliases(access.buf, buf)).collect();
        if !aliased.is_empty() {
            self.flush_from(|buf| aliased.contains(&buf));
        }
        let mem = self.start(access, dtype.size());
        if ty.lanes == 1 {
            return self.store_scalar(mem, access.active, value, dtype);
        }
        let size = dtype.size();
        let (width, parts) = self.shape(ty);
        let per = ty.lanes / parts as u8;
        let bytes = element_bytes(ty.elem);
        let registers = self.storable(value, ty);
        if self.streams(access) && size > 1 && width.size() == usize::from(per * bytes) {
            return self.stream(mem, width, &registers);
        }
        if access.stride == 1 {
            match (self.isa, access.active) {
                (Isa::Avx512, active) => {
                    let partial = usize::from(ty.lanes * bytes) < 16;
                    let mask = match active {
                        Some(active) => Some(self.active_lanes(active, ty.lanes, bytes)[0]),
                        None if partial => Some(self.mask_of(((1u32 << ty.lanes) - 1) as u16)),
                        None => None,
                    };
                    let op = match size {
                        1 => Op::Vpmovdb,
                        4 => Op::VmovupsStore,
                        _ => Op::VmovupdStore,
                    };
                    for (i, reg) in registers.into_iter().enumerate() {
                        let i = i as u8;
                        let at = Mem { displacement: mem.displacement + i32::from(i * per) * size as i32, ..mem };
                        let mut inst = Inst::new(op, width, &[reg]).with(Rm::Mem(at));
                        if let Some(mask) = mask {
                            inst = inst.under(self.mask_part(mask, i * per));
                        }
                        self.push(inst);
                    }
                    return;
                }
                (Isa::Avx2, Some(active)) if size > 1 => {
                    let op = if size == 4 { Op::VmaskmovpsStore } else { Op::VmaskmovpdStore };
                    let masks = self.active_lanes(active, ty.lanes, bytes);
                    for (i, (reg, mask)) in registers.into_iter().zip(masks).enumerate() {
                        self.push(Inst::new(op, width, &[mask, reg]).with(Rm::Mem(mem.part(i as i32, width))));
                    }
                    return;
                }
                (Isa::Avx2, None) if size > 1 && usize::from(ty.lanes * bytes) >= 16 => {
                    for (i, reg) in registers.into_iter().enumerate() {
                        let at = mem.part(i as i32, width);
                        self.push(Inst::new(Op::VmovupsStore, width, &[reg]).with(Rm::Mem(at)));
                    }
                    return;
                }
                (Isa::Avx2, None) if size == 1 && ty.lanes >= 4 => return self.store_bytes(mem, &registers, ty.lanes),
                (Isa::Avx2, _) => {}
            }
        }
        // One by one, by way of the stack.
        self.function.stack = self.function.stack.max((parts * width.size()) as u32);
        for (i, reg) in registers.into_iter().enumerate() {
            let at = Mem::stack((i * width.size()) as i32);
            self.push(Inst::new(Op::VmovupsStore, width, &[reg]).with(Rm::Mem(at)));
        }
        let flat = self.flat(mem);
        let addresses: SmallVec<[Mem; 16]> =
            (0..i64::from(ty.lanes)).map(|lane| self.lane_address(flat, lane, access.stride * size as i64)).collect();
        let one = |this: &mut Self, lane: i64| {
            let (load, store, width) = match size {
                1 => (Op::Mov, Op::MovByteStore, Width::W32),
                4 => (Op::Mov, Op::MovStore, Width::W32),
                _ => (Op::Mov, Op::MovStore, Width::W64),
            };
            let from = Mem::stack((lane * i64::from(bytes)) as i32);
            this.push(Inst::new(load, width, &[RAX]).with(Rm::Mem(from)));
            this.push(Inst::new(store, width, &[RAX]).with(Rm::Mem(addresses[lane as usize])));
        };
        match access.active {
            Some(active) => self.each_active(active, ty.lanes, one),
            None => (0..i64::from(ty.lanes)).for_each(|lane| one(self, lane)),
        }
    }

    /// Whether vectors are written past the caches.
    fn streams(&self, access: &Access) -> bool {
        let mode = |i: usize| self.kernel.operands[i].mode;
        let streams = matches!(self.kernel.buffer(access.buf), BufKind::Operand(i) if mode(i) == AccessMode::Stream);
        streams && access.stride == 1 && access.active.is_none()
    }

    /// Writes whole registers past the caches, if the address allows it.
    fn stream(&mut self, mem: Mem, width: Width, registers: &[Reg]) {
        self.function.streams = true;
        let (odd, done) = (self.function.new_label(), self.function.new_label());
        let write = |this: &mut Self, op: Op| {
            for (i, &reg) in registers.iter().enumerate() {
                this.push(Inst::new(op, width, &[reg]).with(Rm::Mem(mem.part(i as i32, width))));
            }
        };
        self.push(Inst::new(Op::Lea, Width::W64, &[RAX]).with(Rm::Mem(mem)));
        let low = width.size() as i64 - 1;
        self.push(Inst::new(Op::TestImm, Width::W32, &[RAX]).imm(low));
        self.function.code.push(Code::Branch(Condition::NotEqual, odd));
        write(self, Op::VmovntpsStore);
        self.function.code.extend([Code::RareBegin, Code::Bind(odd)]);
        write(self, Op::VmovupsStore);
        self.function.code.extend([Code::Jump(done), Code::RareEnd, Code::Bind(done)]);
    }

    /// The lanes of a vector; those of a mask as 0 and 1.
    fn storable(&mut self, value: Val, ty: Ty) -> Parts {
        if ty.elem != Elem::Bool {
            return self.vector(value);
        }
        let one = self.uniform(Const::I32(1));
        self.masked_constant(value, one, ty)
    }

    fn store_scalar(&mut self, mem: Mem, active: Option<Val>, value: Val, dtype: DType) {
        let reg = self.scalar(value);
        let float = self.kernel.ty(value).elem.is_float();
        let (op, width) = match (dtype.size(), float) {
            (1, _) => (Op::MovByteStore, Width::W32),
            (4, true) => (Op::VmovssStore, Width::V128),
            (_, true) => (Op::VmovsdStore, Width::V128),
            (4, false) => (Op::MovStore, Width::W32),
            (_, false) => (Op::MovStore, Width::W64),
        };
        let store = Inst::new(op, width, &[reg]).with(Rm::Mem(mem));
        match active {
            Some(active) => self.each_active(active, 1, |this, _| this.push(store)),
            None => self.push(store),
        }
    }

    /// Stores the low bytes of lanes of 32 bits, with AVX2.
    fn store_bytes(&mut self, mem: Mem, parts: &[Reg], lanes: u8) {
        let (width, _) = shape(self.isa, 4, lanes);
        let low = self.uniform(Const::I32(255));
        let parts: Parts = parts.iter().map(|&x| self.two(Op::Vandps, width, x, Rm::Reg(low))).collect();
        let (first, second) = match (width, parts.len()) {
            (Width::V128, _) => (parts[0], parts[0]),
            (_, 1) => (parts[0], self.upper_half(parts[0], width)),
            _ => {
                // The instruction packs each half of the registers: 0 4 2 6 … become 0 1 2 3 ….
                let words = self.two(Op::Vpackusdw, width, parts[0], Rm::Reg(parts[1]));
                let words = self.one_imm(Op::VpermqImm, width, Rm::Reg(words), 0b11_01_10_00);
                let upper = self.upper_half(words, width);
                let bytes = self.two(Op::Vpackuswb, Width::V128, words, Rm::Reg(upper));
                return self.push(Inst::new(Op::VmovupsStore, Width::V128, &[bytes]).with(Rm::Mem(mem)));
            }
        };
        let words = self.two(Op::Vpackusdw, Width::V128, first, Rm::Reg(second));
        let bytes = self.two(Op::Vpackuswb, Width::V128, words, Rm::Reg(words));
        let op = if lanes == 8 { Op::VmovsdStore } else { Op::VmovssStore };
        self.push(Inst::new(op, Width::V128, &[bytes]).with(Rm::Mem(mem)));
    }
}
