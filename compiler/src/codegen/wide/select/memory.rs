//! Loads and stores.

use dlc_ir::DType;
use smallvec::{SmallVec, smallvec};

use super::value::{Parts, Rep, element_bytes, shape};
use super::{Code, Condition, Inst, Mem, Op, PARAMETERS, Reg, Rm, Select, Width};
use crate::codegen::wide::code::{FIXED, RAX, RDX};
use crate::codegen::wide::inst::Base;
use crate::codegen::wide::isa::{Isa, width};
use crate::kernel::{Access, AccessMode, Buf, BufKind, Const, Elem, Ty, Val};

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
    fn address(&mut self, buf: Buf, (index, constant): (Option<Reg>, i64), size: usize) -> Mem {
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

    fn start(&mut self, access: &Access, size: usize) -> Mem {
        let (index, constant) = self.index(access.index);
        self.address(access.buf, (index, constant.wrapping_add(access.offset)), size)
    }

    /// An address without an index, from which those of all lanes are constants away.
    fn flat(&mut self, mem: Mem) -> Mem {
        if mem.index.is_none() {
            return mem;
        }
        let to = self.new_general();
        self.push(Inst::new(Op::Lea, Width::W64, &[to]).with(Rm::Mem(mem)));
        Mem::at(to, 0)
    }

    /// The address of a lane.
    fn lane_address(&mut self, flat: Mem, lane: i64, step: i64) -> Mem {
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
            return self.load_prefix(access, active, ty, dtype);
        }
        let mem = self.start(access, size);
        if ty.lanes == 1 {
            if !ty.elem.is_float() {
                let to = self.new_general();
                let (op, width) = match size {
                    1 => (Op::Movzx, Width::W32),
                    4 => (Op::Mov, Width::W32),
                    _ => (Op::Mov, Width::W64),
                };
                self.push(Inst::new(op, width, &[to]).with(Rm::Mem(mem)));
                return Rep::Scalar(to);
            }
            return self.load_later(val, access.buf, mem, Width::V128, 1, ty);
        }
        let (width, parts) = self.shape(ty);
        match access.stride {
            0 => {
                let lane = Access { stride: 1, ..*access };
                let scalar = self.load_scalar(&lane, ty, dtype);
                self.repeat_scalar(scalar, ty)
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

    /// Loads every second element: two registers of consecutive elements, which share one so that nothing beyond the last is read,
    /// and one that picks lanes of them.
    fn load_every_second(&mut self, mem: Mem, ty: Ty) -> Rep {
        let (width, parts) = self.shape(ty);
        let bytes = i32::from(element_bytes(ty.elem));
        let lanes = width.bytes() as i32 / bytes;
        let made = (0..parts as i32).map(|i| {
            let at = |element: i32| Mem { displacement: mem.displacement + (2 * i * lanes + element) * bytes, ..mem };
            let first = self.one(Op::Vmovups, width, Rm::Mem(at(0)));
            let second = Rm::Mem(at(lanes - 1));
            match (width, bytes) {
                (Width::V128, 4) => self.two_imm(Op::Vshufps, width, first, second, 0b11_01_10_00),
                (Width::V128, _) => self.two_imm(Op::Vshufpd, width, first, second, 0b10),
                (_, 4) if self.isa == Isa::Avx2 => {
                    let pairs = self.two_imm(Op::Vshufps, width, first, second, 0b11_01_10_00);
                    self.one_imm(Op::VpermpdImm, width, Rm::Reg(pairs), 0b11_01_10_00)
                }
                (_, _) if self.isa == Isa::Avx2 => {
                    let pairs = self.two_imm(Op::Vshufpd, width, first, second, 0b1010);
                    self.one_imm(Op::VpermpdImm, width, Rm::Reg(pairs), 0b11_01_10_00)
                }
                (_, _) => {
                    // Numbers from `lanes` on are lanes of the second table.
                    let half = lanes / 2;
                    let order = (0..half).map(|i| 2 * i).chain((0..half).map(|i| lanes + 2 * i + 1));
                    let of = |i: i32| {
                        if bytes == 8 { i64::from(i).to_le_bytes().to_vec() } else { i.to_le_bytes().to_vec() }
                    };
                    let order = self.whole(order.flat_map(of).collect());
                    let op = if bytes == 8 { Op::Vpermt2pd } else { Op::Vpermt2ps };
                    self.push(Inst::new(op, width, &[first, order]).with(second));
                    first
                }
            }
        });
        Rep::Vector(made.collect())
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

    /// One element as a scalar, of the class of its type.
    fn load_scalar(&mut self, access: &Access, ty: Ty, dtype: DType) -> Reg {
        let mem = self.start(access, dtype.size());
        match (dtype.size(), ty.elem.is_float()) {
            (4, true) => self.one(Op::Vmovss, Width::V128, Rm::Mem(mem)),
            (_, true) => self.one(Op::Vmovsd, Width::V128, Rm::Mem(mem)),
            (size, false) => {
                let to = self.new_general();
                let op = if size == 1 { Op::Movzx } else { Op::Mov };
                let width = if size == 8 { Width::W64 } else { Width::W32 };
                self.push(Inst::new(op, width, &[to]).with(Rm::Mem(mem)));
                to
            }
        }
    }

    /// A scalar of the class of its type, in every lane.
    fn repeat_scalar(&mut self, scalar: Reg, ty: Ty) -> Rep {
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
        let parts: Parts = smallvec![all; parts];
        if ty.elem == Elem::Bool { self.of_bytes(parts, ty) } else { Rep::Vector(parts) }
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
    fn load_lanes(&mut self, ty: Ty, dtype: DType, mut at: impl FnMut(&mut Self, i64) -> Mem) -> Rep {
        for lane in 0..i64::from(ty.lanes) {
            let mem = at(self, lane);
            self.load_lane(mem, dtype, lane);
        }
        self.loaded_lanes(ty)
    }

    /// Copies an element to its lane on the stack.
    fn load_lane(&mut self, mem: Mem, dtype: DType, lane: i64) {
        let (op, width, bytes) = match dtype.size() {
            1 => (Op::Movzx, Width::W32, 4),
            4 => (Op::Mov, Width::W32, 4),
            _ => (Op::Mov, Width::W64, 8),
        };
        self.push(Inst::new(op, width, &[RAX]).with(Rm::Mem(mem)));
        self.push(Inst::new(Op::MovStore, width, &[RAX]).with(Rm::Mem(Mem::stack((lane * bytes) as i32))));
    }

    /// The vector of the lanes on the stack.
    fn loaded_lanes(&mut self, ty: Ty) -> Rep {
        let (width, parts) = self.shape(ty);
        self.function.stack = self.function.stack.max((parts * width.size()) as u32);
        let loaded = (0..parts as i32)
            .map(|i| self.one(Op::Vmovups, width, Rm::Mem(Mem::stack(i * width.size() as i32))))
            .collect();
        self.of_bytes(loaded, ty)
    }

    /// Indices of 32 bits of elements with a distance, if these fit and elements can be gathered.
    fn regular_indices(&mut self, stride: i64, ty: Ty, size: usize) -> Option<Parts> {
        let last = stride.checked_mul(i64::from(ty.lanes) - 1)?;
        if size == 1 || i32::try_from(last).is_err() {
            return None;
        }
        let (_, parts) = self.shape(ty);
        let per = i64::from(ty.lanes) / parts as i64;
        let part = |i: i64| (i * per..(i + 1) * per).flat_map(|lane| ((lane * stride) as i32).to_le_bytes()).collect();
        Some((0..parts as i64).map(|i| self.whole(part(i))).collect())
    }

    /// Gathers elements at indices of `index_bytes` from an address without an index, into registers with as many lanes as an index
    /// register has, under a mask of all or of the first lanes.
    fn gather_parts(&mut self, flat: Mem, indices: &[Reg], index_bytes: u8, ty: Ty, prefix: Option<&[Reg]>) -> Parts {
        let bytes = element_bytes(ty.elem);
        let wide = bytes == 8;
        let per = ty.lanes / indices.len() as u8;
        let to_width = width(usize::from(per * bytes));
        let encoded = width(usize::from(per * bytes.max(index_bytes)));
        let zero = self.uniform(Const::F32(0));
        let ops = match self.isa {
            Isa::Avx512 => [[Op::Vgatherdps, Op::Vgatherdpd], [Op::Vgatherqps, Op::Vgatherqpd]],
            Isa::Avx2 => [[Op::VgatherdpsVex, Op::VgatherdpdVex], [Op::VgatherqpsVex, Op::VgatherqpdVex]],
        };
        let op = ops[usize::from(index_bytes == 8)][usize::from(wide)];
        let scale = bytes.trailing_zeros() as u8;
        let mut made = Parts::new();
        for (i, &index) in indices.iter().enumerate() {
            let mem = Mem { index: Some((index, scale)), ..flat };
            let to = self.new_vector(to_width);
            self.function.code.push(Code::Moves(smallvec![(to, zero)]));
            // The instruction clears its mask.
            match self.isa {
                Isa::Avx512 => {
                    let mask = match prefix {
                        Some(masks) => {
                            let part = self.mask_part(masks[0], i as u8 * per);
                            self.copy(part)
                        }
                        None => self.mask_of(((1u32 << per) - 1) as u16),
                    };
                    self.push(Inst::new(op, encoded, &[to]).with(Rm::Mem(mem)).under(mask));
                }
                Isa::Avx2 => {
                    debug_assert!(prefix.is_none(), "lanes of a prefix are loaded one by one");
                    let ones = self.uniform(Const::I32(-1));
                    let mask = self.new_vector(to_width);
                    self.function.code.push(Code::Moves(smallvec![(mask, ones)]));
                    self.push(Inst::new(op, encoded, &[to, mask]).with(Rm::Mem(mem)));
                }
            }
            made.push(to);
        }
        made
    }

    pub(super) fn gather(&mut self, buf: Buf, index: Val, offset: i64, ty: Ty) -> Rep {
        let (dtype, _) = self.kernel.extent(buf);
        let size = dtype.size();
        let flat = self.address(buf, (None, offset), size);
        if ty.lanes == 1 {
            let index = self.general(index);
            let mem = Mem { index: Some((index, size.trailing_zeros() as u8)), ..flat };
            let elem = if ty.elem == Elem::Bool { Elem::I32 } else { ty.elem };
            if elem.is_float() {
                return Rep::Scalar(self.load_part(mem, Width::V128, ty));
            }
            let to = self.new_general();
            let op = if size == 1 { Op::Movzx } else { Op::Mov };
            let width = if size == 8 { Width::W64 } else { Width::W32 };
            self.push(Inst::new(op, width, &[to]).with(Rm::Mem(mem)));
            return Rep::Scalar(to);
        }
        let indices = self.vector(index);
        if size == 1 {
            return self.gather_bytes(flat, &indices, ty);
        }
        let parts = self.gather_parts(flat, &indices, 8, ty, None);
        // Elements of four bytes fill half of a register of indices.
        let (full, count) = self.shape(ty);
        if parts.len() == count {
            return Rep::Vector(parts);
        }
        Rep::Vector(parts.chunks(2).map(|pair| self.join_halves(pair[0], pair[1], full)).collect())
    }

    /// Bytes at indices, one by one, by way of the stack.
    fn gather_bytes(&mut self, flat: Mem, indices: &[Reg], ty: Ty) -> Rep {
        let (index_width, count) = shape(self.isa, 8, ty.lanes);
        let (width, parts) = self.shape(ty);
        let second = parts * width.size();
        self.function.stack = self.function.stack.max((second + count * index_width.size()) as u32);
        for (i, &part) in indices.iter().enumerate() {
            let at = Mem::stack((second + i * index_width.size()) as i32);
            self.push(Inst::new(Op::VmovupsStore, index_width, &[part]).with(Rm::Mem(at)));
        }
        for lane in 0..i32::from(ty.lanes) {
            let at = Mem::stack(second as i32 + 8 * lane);
            self.push(Inst::new(Op::Mov, Width::W64, &[RDX]).with(Rm::Mem(at)));
            self.load_lane(Mem { index: Some((RDX, 0)), ..flat }, DType::U8, i64::from(lane));
        }
        self.loaded_lanes(ty)
    }

    /// A load of the first lanes; the others are zero.
    fn load_prefix(&mut self, access: &Access, active: Val, ty: Ty, dtype: DType) -> Rep {
        let size = dtype.size();
        let vector = Ty { lanes: ty.lanes.max(4), ..ty };
        let mem = self.start(access, size);
        let (width, parts) = self.shape(vector);
        let per = vector.lanes / parts as u8;
        let bytes = element_bytes(ty.elem);
        let contiguous = access.stride == 1 || ty.lanes == 1;
        if self.isa == Isa::Avx512
            && !contiguous
            && let Some(indices) = self.regular_indices(access.stride, ty, size)
        {
            let mask = self.prefix(active, ty.lanes, bytes);
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
                let mask = self.prefix(active, ty.lanes, bytes)[0];
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
                let masks = self.prefix(active, ty.lanes, bytes);
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
                elem => Rep::Scalar(self.to_general(loaded[0], elem)),
            };
        }
        if size == 1 { self.of_bytes(loaded, ty) } else { Rep::Vector(loaded) }
    }

    /// Runs `body` for the first lanes, of which `active` are to be accessed, one by one.
    fn each_active(&mut self, active: Val, lanes: u8, mut body: impl FnMut(&mut Self, i64)) {
        let done = self.function.new_label();
        let n = self.general(active);
        for lane in 0..i64::from(lanes) {
            self.push(Inst::new(Op::CmpImm, Width::W64, &[n]).imm(lane));
            self.function.code.push(Code::Branch(Condition::LessOrEqual, done));
            body(self, lane);
        }
        self.function.code.push(Code::Bind(done));
    }

    /// Loads the first lanes one by one, by way of the stack.
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
        if ty.elem.is_float() {
            return Rep::Scalar(self.load_part(Mem::stack(0), Width::V128, ty));
        }
        let to = self.new_general();
        let width = if ty.elem == Elem::I64 { Width::W64 } else { Width::W32 };
        self.push(Inst::new(Op::Mov, width, &[to]).with(Rm::Mem(Mem::stack(0))));
        Rep::Scalar(to)
    }

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
        if access.stride == 1 {
            match (self.isa, access.active) {
                (Isa::Avx512, active) => {
                    let partial = usize::from(ty.lanes * bytes) < 16;
                    let mask = match active {
                        Some(active) => Some(self.prefix(active, ty.lanes, bytes)[0]),
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
                    let masks = self.prefix(active, ty.lanes, bytes);
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
