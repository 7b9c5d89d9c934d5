//! Loads and stores of kernels.

use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Type, Value, condcodes::IntCC, types};
use dlc_ir::DType;
use smallvec::smallvec;

use super::function::args;
use super::value::{Lowering, Parts, Rep, flags, part_lanes, part_type, parts, scalar_type};
use crate::kernel::{Access, Buf, Elem, Ty, Val};

impl Lowering<'_, '_> {
    /// The address of an element, as a value and a displacement in bytes. Intermediate sums may wrap: an element that is in
    /// bounds in exact arithmetic is so modulo 2⁶⁴ as well.
    fn address(&mut self, buf: Buf, index: (Option<Value>, i64), size: i64) -> (Value, i64) {
        let base = self.bases[buf.0 as usize];
        let (value, constant) = index;
        let address = match value {
            None => base,
            Some(v) if size == 1 => self.b.ins().iadd(base, v),
            Some(v) => {
                let scaled = self.b.ins().ishl_imm_u(v, i64::from(size.trailing_zeros()));
                self.b.ins().iadd(base, scaled)
            }
        };
        self.displace(address, constant.wrapping_mul(size))
    }

    /// Limits displacements to what instructions encode.
    fn displace(&mut self, address: Value, displacement: i64) -> (Value, i64) {
        if i32::try_from(displacement).is_ok_and(|d| d.unsigned_abs() < 1 << 30) {
            (address, displacement)
        } else {
            (self.b.ins().iadd_imm_s(address, displacement), 0)
        }
    }

    /// One element of a buffer, as a scalar.
    fn load_scalar(&mut self, dtype: DType, (address, displacement): (Value, i64)) -> Value {
        let at = displacement as i32;
        match dtype {
            DType::U8 => self.b.ins().uload8(types::I32, flags(), address, at),
            DType::Bool => self.b.ins().load(types::I8, flags(), address, at),
            DType::F32 | DType::F64 | DType::I32 | DType::I64 => {
                self.b.ins().load(scalar_type(Elem::of(dtype)), flags(), address, at)
            }
        }
    }

    fn store_scalar(&mut self, dtype: DType, value: Value, (address, displacement): (Value, i64)) {
        let at = displacement as i32;
        match dtype {
            DType::U8 => self.b.ins().istore8(flags(), value, address, at),
            DType::F32 | DType::F64 | DType::I32 | DType::I64 | DType::Bool => {
                self.b.ins().store(flags(), value, address, at)
            }
        };
    }

    /// Whether a vector can be loaded in whole registers.
    fn is_wide_memory(dtype: DType) -> bool {
        dtype.size() > 1
    }

    pub fn load(&mut self, access: &Access, ty: Ty) -> Rep {
        let (dtype, _) = self.kernel.extent(access.buf);
        let size = dtype.size() as i64;
        let (value, constant) = self.index(access.index);
        let start = (value, constant.wrapping_add(access.offset));
        if let Some(active) = access.active {
            return self.load_tail(access, active, ty, dtype);
        }
        let at = self.address(access.buf, start, size);
        if ty.lanes == 1 {
            return Rep::Scalar(self.load_scalar(dtype, at));
        }
        if access.stride == 1 {
            return self.load_contiguous(at, ty, dtype);
        }
        let step = access.stride * size;
        self.gather_lanes(ty, dtype, |this, lane| this.displace(at.0, at.1 + step * i64::from(lane)))
    }

    fn load_contiguous(&mut self, (address, displacement): (Value, i64), ty: Ty, dtype: DType) -> Rep {
        if Self::is_wide_memory(dtype) && ty.lanes >= part_lanes(ty.elem) {
            let loaded = (0..parts(ty) as i64).map(|i| {
                let (address, at) = self.displace(address, displacement + 16 * i);
                self.b.ins().load(part_type(ty.elem), flags(), address, at as i32)
            });
            return Rep::Vector(loaded.collect());
        }
        if !Self::is_wide_memory(dtype) && ty.lanes >= 4 {
            let bytes = self.load_bytes((address, displacement), ty.lanes);
            let lanes = self.widen_bytes(bytes, ty.lanes);
            return if dtype == DType::Bool { self.nonzero(lanes) } else { Rep::Vector(lanes) };
        }
        let size = dtype.size() as i64;
        self.gather_lanes(ty, dtype, |this, lane| this.displace(address, displacement + size * i64::from(lane)))
    }

    /// 4, 8 or 16 bytes in the low end of a register.
    fn load_bytes(&mut self, (address, displacement): (Value, i64), count: u8) -> Value {
        let at = displacement as i32;
        match count {
            16 => self.b.ins().load(types::I8X16, flags(), address, at),
            8 => {
                let x = self.b.ins().load(types::I64, flags(), address, at);
                let x = self.b.ins().scalar_to_vector(types::I64X2, x);
                self.cast(x, types::I8X16)
            }
            _ => {
                let x = self.b.ins().load(types::I32, flags(), address, at);
                let x = self.b.ins().scalar_to_vector(types::I32X4, x);
                self.cast(x, types::I8X16)
            }
        }
    }

    /// Bytes to lanes of 32 bits.
    fn widen_bytes(&mut self, bytes: Value, lanes: u8) -> Parts {
        let mut halves: Parts = smallvec![self.b.ins().uwiden_low(bytes)];
        if lanes > 8 {
            halves.push(self.b.ins().uwiden_high(bytes));
        }
        let mut out = Parts::new();
        for half in halves {
            out.push(self.b.ins().uwiden_low(half));
            if lanes > 4 {
                out.push(self.b.ins().uwiden_high(half));
            }
        }
        out
    }

    /// The mask of the lanes that are not zero.
    pub fn nonzero(&mut self, lanes: Parts) -> Rep {
        let zero = self.make_const(crate::kernel::Const::I32(0), 2);
        Rep::Mask32(lanes.iter().map(|&x| self.b.ins().icmp(IntCC::NotEqual, x, zero)).collect())
    }

    fn gather_lanes(&mut self, ty: Ty, dtype: DType, mut at: impl FnMut(&mut Self, u8) -> (Value, i64)) -> Rep {
        let elem = if ty.elem == Elem::Bool { Elem::I32 } else { ty.elem };
        let lanes = self.lanewise(ty.with_elem(elem), |this, lane| {
            let at = at(this, lane);
            let x = this.load_scalar(dtype, at);
            if dtype == DType::Bool { this.b.ins().uextend(types::I32, x) } else { x }
        });
        if ty.elem == Elem::Bool { self.nonzero(lanes) } else { Rep::Vector(lanes) }
    }

    pub fn gather(&mut self, buf: Buf, index: Val, offset: i64, ty: Ty) -> Rep {
        let (dtype, _) = self.kernel.extent(buf);
        let size = dtype.size() as i64;
        let index = self.vector(index);
        self.gather_lanes(ty, dtype, |this, lane| {
            let i = this.extract(&index, Elem::I64, lane);
            this.address(buf, (Some(i), offset), size)
        })
    }

    /// A stack slot for a vector, and its address.
    fn slot(&mut self, ty: Ty, size: i64) -> Value {
        let bytes = u32::from(ty.lanes) * size as u32;
        let slot = self.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, bytes.max(16), 4));
        self.b.ins().stack_addr(types::I64, slot, 0)
    }

    /// Calls `body` for the active lanes, with their byte offsets in a stack slot and in memory.
    fn each_active(
        &mut self,
        access: &Access,
        active: Val,
        ty: Ty,
        size: i64,
        body: impl FnMut(&mut Self, Value, Value),
    ) {
        if self.kernel.ty(active).elem == Elem::Bool {
            return self.each_where(access, active, ty, size, body);
        }
        self.each_of_first(access, active, ty, size, body);
    }

    /// The same for the lanes in which a mask holds, one branch after the other.
    fn each_where(
        &mut self,
        access: &Access,
        mask: Val,
        ty: Ty,
        size: i64,
        mut body: impl FnMut(&mut Self, Value, Value),
    ) {
        let (value, constant) = self.index(access.index);
        let from = self.address(access.buf, (value, constant.wrapping_add(access.offset)), size);
        let lanes = (ty.lanes > 1).then(|| self.mask(mask, false));
        for lane in 0..ty.lanes {
            let holds = match &lanes {
                Some(parts) => self.extract(parts, Elem::I32, lane),
                None => self.scalar(mask),
            };
            let (then, done) = (self.b.create_block(), self.b.create_block());
            self.b.ins().brif(holds, then, &[], done, &[]);
            self.b.switch_to_block(then);
            let offset = self.b.ins().iconst(types::I64, i64::from(lane) * size);
            let at = self.b.ins().iadd_imm_s(from.0, from.1.wrapping_add(i64::from(lane) * access.stride * size));
            body(self, offset, at);
            self.b.ins().jump(done, &[]);
            self.b.switch_to_block(done);
        }
    }

    /// The same for a number of the first lanes, in a loop.
    fn each_of_first(
        &mut self,
        access: &Access,
        active: Val,
        ty: Ty,
        size: i64,
        mut body: impl FnMut(&mut Self, Value, Value),
    ) {
        let active = self.scalar(active);
        let most = self.b.ins().iconst(types::I64, i64::from(ty.lanes));
        let active = self.b.ins().smin(active, most);
        let (value, constant) = self.index(access.index);
        let from = self.address(access.buf, (value, constant.wrapping_add(access.offset)), size);
        let start = self.b.ins().iadd_imm_s(from.0, from.1);
        let header = self.b.create_block();
        let exit = self.b.create_block();
        for _ in 0..2 {
            self.b.append_block_param(header, types::I64);
        }
        let zero = self.b.ins().iconst(types::I64, 0);
        let some = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, active, 0);
        self.b.ins().brif(some, header, &args(&[zero, start]), exit, &[]);
        self.b.switch_to_block(header);
        let (lane, at) = (self.b.block_params(header)[0], self.b.block_params(header)[1]);
        let offset = self.b.ins().ishl_imm_u(lane, i64::from(size.trailing_zeros()));
        body(self, offset, at);
        let lane = self.b.ins().iadd_imm_s(lane, 1);
        let at = self.b.ins().iadd_imm_s(at, access.stride * size);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, lane, active);
        self.b.ins().brif(more, header, &args(&[lane, at]), exit, &[]);
        self.b.switch_to_block(exit);
    }

    fn load_tail(&mut self, access: &Access, active: Val, ty: Ty, dtype: DType) -> Rep {
        let size = dtype.size() as i64;
        let slot = self.slot(ty, size);
        let zero = self.make_const(crate::kernel::Const::I64(0), 2);
        for i in 0..(i64::from(ty.lanes) * size + 15) / 16 {
            self.b.ins().store(flags(), zero, slot, 16 * i as i32);
        }
        let unit = unit_type(dtype);
        self.each_active(access, active, ty, size, |this, offset, at| {
            let x = this.b.ins().load(unit, flags(), at, 0);
            let to = this.b.ins().iadd(slot, offset);
            this.b.ins().store(flags(), x, to, 0);
        });
        if ty.lanes == 1 {
            return Rep::Scalar(self.load_scalar(dtype, (slot, 0)));
        }
        self.load_contiguous((slot, 0), ty, dtype)
    }

    pub fn store(&mut self, access: &Access, value: Val) {
        let ty = self.kernel.ty(value);
        let (dtype, _) = self.kernel.extent(access.buf);
        let size = dtype.size() as i64;
        if let Some(active) = access.active {
            let slot = self.slot(ty, size);
            self.store_contiguous((slot, 0), value, ty, dtype);
            let unit = unit_type(dtype);
            return self.each_active(access, active, ty, size, |this, offset, at| {
                let from = this.b.ins().iadd(slot, offset);
                let x = this.b.ins().load(unit, flags(), from, 0);
                this.b.ins().store(flags(), x, at, 0);
            });
        }
        let (index, constant) = self.index(access.index);
        let at = self.address(access.buf, (index, constant.wrapping_add(access.offset)), size);
        if ty.lanes == 1 || access.stride == 1 {
            return self.store_contiguous(at, value, ty, dtype);
        }
        self.scatter_lanes(at, access.stride * size, value, ty, dtype);
    }

    fn scatter_lanes(&mut self, at: (Value, i64), step: i64, value: Val, ty: Ty, dtype: DType) {
        let lanes = self.storable(value, ty);
        let elem = if ty.elem == Elem::Bool { Elem::I32 } else { ty.elem };
        for lane in 0..ty.lanes {
            let mut x = self.extract(&lanes, elem, lane);
            if dtype == DType::Bool {
                x = self.b.ins().ireduce(types::I8, x);
            }
            let at = self.displace(at.0, at.1 + step * i64::from(lane));
            self.store_scalar(dtype, x, at);
        }
    }

    /// The lanes of a vector; those of a mask as 0 and 1.
    fn storable(&mut self, value: Val, ty: Ty) -> Parts {
        if ty.elem != Elem::Bool {
            return self.vector(value);
        }
        let one = self.make_const(crate::kernel::Const::I32(1), 2);
        let mask = self.mask(value, false);
        mask.iter().map(|&m| self.b.ins().band(m, one)).collect()
    }

    fn store_contiguous(&mut self, at: (Value, i64), value: Val, ty: Ty, dtype: DType) {
        if ty.lanes == 1 {
            let x = self.scalar(value);
            return self.store_scalar(dtype, x, at);
        }
        if Self::is_wide_memory(dtype) && ty.lanes >= part_lanes(ty.elem) {
            for (i, part) in self.vector(value).into_iter().enumerate() {
                let (address, displacement) = self.displace(at.0, at.1 + 16 * i as i64);
                self.b.ins().store(flags(), part, address, displacement as i32);
            }
            return;
        }
        if !Self::is_wide_memory(dtype) && ty.lanes >= 4 {
            let lanes = self.storable(value, ty);
            let bytes = self.narrow_bytes(&lanes);
            let at32 = at.1 as i32;
            match ty.lanes {
                16 => self.b.ins().store(flags(), bytes, at.0, at32),
                8 => {
                    let x = self.cast(bytes, types::I64X2);
                    let x = self.b.ins().extractlane(x, 0);
                    self.b.ins().store(flags(), x, at.0, at32)
                }
                _ => {
                    let x = self.cast(bytes, types::I32X4);
                    let x = self.b.ins().extractlane(x, 0);
                    self.b.ins().store(flags(), x, at.0, at32)
                }
            };
            return;
        }
        self.scatter_lanes(at, dtype.size() as i64, value, ty, dtype);
    }

    /// The low bytes of lanes of 32 bits.
    fn narrow_bytes(&mut self, lanes: &[Value]) -> Value {
        let low = self.make_const(crate::kernel::Const::I32(255), 2);
        let lanes: Parts = lanes.iter().map(|&x| self.b.ins().band(x, low)).collect();
        let halves: Parts = lanes.chunks(2).map(|p| self.b.ins().unarrow(p[0], p[p.len() - 1])).collect();
        let (x, y) = (halves[0], halves[halves.len() - 1]);
        self.b.ins().unarrow(x, y)
    }
}

/// The type with which an element is copied.
fn unit_type(dtype: DType) -> Type {
    match dtype.size() {
        1 => types::I8,
        4 => types::I32,
        _ => types::I64,
    }
}
