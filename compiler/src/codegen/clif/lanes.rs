//! Instructions that move values between lanes.

use cranelift_codegen::ir::{InstBuilder, condcodes::IntCC, types};

use super::value::{Lowering, Parts, Rep, part_lanes, part_type, parts};
use crate::kernel::{Const, Elem, Ty, Val};

impl Lowering<'_, '_> {
    pub fn iota(&mut self, ty: Ty) -> Rep {
        if ty.lanes == 1 {
            return Rep::Const(Const::int(ty.elem, 0));
        }
        let n = part_lanes(ty.elem);
        let made = (0..parts(ty) as u8).map(|part| {
            let lanes = part * n..(part + 1) * n;
            let bytes: Vec<u8> = match ty.elem {
                Elem::I32 => lanes.flat_map(|i| i32::from(i).to_le_bytes()).collect(),
                _ => lanes.flat_map(|i| i64::from(i).to_le_bytes()).collect(),
            };
            self.const_bytes(bytes, part_type(ty.elem))
        });
        Rep::Vector(made.collect())
    }

    pub fn interleave(&mut self, x: Val, y: Val, upper: bool, ty: Ty) -> Rep {
        let (xs, ys) = (self.vector(x), self.vector(y));
        let size = (ty.elem.bits() / 8) as u8;
        // The bytes of element `i` of a register, of the first or of the second one.
        let bytes = |lane: u8, second: bool| {
            let start = lane * size + if second { 16 } else { 0 };
            start..start + size
        };
        let n = part_lanes(ty.elem);
        let first = if upper { ty.lanes / 2 } else { 0 };
        let out = (0..parts(ty) as u8).map(|part| {
            let start = first + part * n.min(ty.lanes) / 2;
            let (source, lane) = (usize::from(start / n), start % n);
            let mut pick = [0; 16];
            let order = (0..n / 2).flat_map(|i| [(lane + i, false), (lane + i, true)]);
            for (to, from) in pick.iter_mut().zip(order.flat_map(|(lane, second)| bytes(lane, second))) {
                *to = from;
            }
            if ty.lanes < n {
                // Half a register: only its lower two lanes are defined.
                let order = [(first, false), (first, true), (first, false), (first, true)];
                for (to, from) in pick.iter_mut().zip(order.into_iter().flat_map(|(lane, second)| bytes(lane, second)))
                {
                    *to = from;
                }
            }
            self.shuffle(xs[source], ys[source], pick, part_type(ty.elem))
        });
        Rep::Vector(out.collect())
    }

    /// Broadcasts one lane of a register to all lanes of registers.
    fn splat_lane(&mut self, x: Val, lane: u8, ty: Ty) -> Rep {
        let source = self.vector(x);
        let n = part_lanes(ty.elem);
        let size = 16 / n;
        let pick = std::array::from_fn(|i| lane % n * size + i as u8 % size);
        let part = source[usize::from(lane / n)];
        let part = self.shuffle(part, part, pick, part_type(ty.elem));
        Rep::Vector(smallvec::smallvec![part; parts(ty)])
    }

    pub fn splat(&mut self, x: Val, ty: Ty) -> Rep {
        if ty.elem != Elem::Bool
            && let Some(&(vector, lane)) = self.lanes_of.get(&x)
            && matches!(self.rep(vector), Rep::Vector(_))
        {
            return self.splat_lane(vector, lane, ty);
        }
        let scalar = self.scalar(x);
        if ty.elem == Elem::Bool {
            // 0 or 1 becomes 0 or -1.
            let wide = self.b.ins().uextend(types::I32, scalar);
            let ones = self.b.ins().ineg(wide);
            let part = self.b.ins().splat(types::I32X4, ones);
            return Rep::Mask32(smallvec::smallvec![part; parts(ty)]);
        }
        let part = self.b.ins().splat(part_type(ty.elem), scalar);
        Rep::Vector(smallvec::smallvec![part; parts(ty)])
    }

    pub fn lane(&mut self, x: Val, lane: u8) -> Rep {
        let ty = self.kernel.ty(x);
        if let Some(c) = self.constant(x) {
            return Rep::Const(c);
        }
        if ty.elem == Elem::Bool {
            let mask = self.mask(x, false);
            let bits = self.extract(&mask, Elem::I32, lane);
            let byte = self.b.ins().ireduce(types::I8, bits);
            return Rep::Scalar(self.b.ins().band_imm_u(byte, 1));
        }
        let parts = self.vector(x);
        Rep::Scalar(self.extract(&parts, ty.elem, lane))
    }

    pub fn half(&mut self, x: Val, upper: bool, ty: Ty) -> Rep {
        if let Some(c) = self.constant(x) {
            return Rep::Const(c);
        }
        if ty.lanes == 1 {
            return self.lane(x, u8::from(upper));
        }
        let (wide, source) = match self.rep(x).clone() {
            Rep::Mask64(parts) => (true, parts),
            Rep::Mask32(parts) | Rep::Vector(parts) => (ty.elem.bits() == 64, parts),
            other => unreachable!("half of {other:?}"),
        };
        let out: Parts = if source.len() > 1 {
            let middle = source.len() / 2;
            if upper { source[middle..].into() } else { source[..middle].into() }
        } else if upper {
            debug_assert!(!wide, "a register of 64-bit lanes splits into scalars");
            let kind = self.b.func.dfg.value_type(source[0]);
            let pick = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
            smallvec::smallvec![self.shuffle(source[0], source[0], pick, kind)]
        } else {
            source
        };
        match self.rep(x) {
            Rep::Mask64(_) => Rep::Mask64(out),
            Rep::Mask32(_) => Rep::Mask32(out),
            _ => Rep::Vector(out),
        }
    }

    pub fn any(&mut self, x: Val) -> Rep {
        if let Some(c) = self.constant(x) {
            return Rep::Const(c);
        }
        let lanes = self.kernel.ty(x).lanes;
        if lanes == 1 {
            return Rep::Scalar(self.scalar(x));
        }
        let wide = self.is_wide(x);
        let mask = self.mask(x, wide);
        if !wide && lanes == 2 {
            // The upper lanes of the register are undefined.
            let (a, b) = (self.extract(&mask, Elem::I32, 0), self.extract(&mask, Elem::I32, 1));
            let both = self.b.ins().bor(a, b);
            return Rep::Scalar(self.b.ins().icmp_imm_s(IntCC::NotEqual, both, 0));
        }
        let mut all = mask[0];
        for &part in &mask[1..] {
            all = self.b.ins().bor(all, part);
        }
        Rep::Scalar(self.b.ins().vany_true(all))
    }
}
