//! Loads of elements that are not consecutive.

use dlc_ir::DType;
use smallvec::smallvec;

use super::value::{Parts, Rep, element_bytes, shape};
use super::{Code, Inst, Mem, Op, Reg, Rm, Select, Width};
use crate::codegen::wide::code::RDX;
use crate::codegen::wide::isa::{Isa, width};
use crate::kernel::{Buf, Const, Ty, Val};

impl Select<'_> {
    /// Loads every second element: two registers of consecutive elements, which share one so that nothing beyond the last is read,
    /// and one that picks lanes of them.
    pub(super) fn load_every_second(&mut self, mem: Mem, ty: Ty) -> Rep {
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

    /// Indices of 32 bits of elements with a distance, if these fit and elements can be gathered.
    pub(super) fn regular_indices(&mut self, stride: i64, ty: Ty, size: usize) -> Option<Parts> {
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
    /// register has, under a mask, if not all are active.
    pub(super) fn gather_parts(
        &mut self,
        flat: Mem,
        indices: &[Reg],
        index_bytes: u8,
        ty: Ty,
        active: Option<&[Reg]>,
    ) -> Parts {
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
                    let mask = match active {
                        Some(masks) => {
                            let part = self.mask_part(masks[0], i as u8 * per);
                            self.copy(part)
                        }
                        None => self.mask_of(((1u32 << per) - 1) as u16),
                    };
                    self.push(Inst::new(op, encoded, &[to]).with(Rm::Mem(mem)).under(mask));
                }
                Isa::Avx2 => {
                    let lanes = active.map_or_else(|| self.uniform(Const::I32(-1)), |masks| masks[i]);
                    let mask = self.new_vector(to_width);
                    self.function.code.push(Code::Moves(smallvec![(mask, lanes)]));
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
            return Rep::Scalar(self.load_scalar(mem, ty, size));
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
}
