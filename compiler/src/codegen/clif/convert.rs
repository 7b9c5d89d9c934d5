//! Conversions between element types.

use cranelift_codegen::ir::{
    InstBuilder, Value,
    condcodes::{FloatCC, IntCC},
    types,
};

use super::value::{Lowering, Parts, Rep, part_type, scalar_type};
use crate::kernel::{Const, Elem, Ty, Val};

/// The upper half of a register, in its lower half.
const UPPER: [u8; 16] = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
/// The lower halves of two registers.
const LOWER_HALVES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];

impl Lowering<'_, '_> {
    pub fn bitcast(&mut self, x: Val, ty: Ty) -> Rep {
        if ty.lanes == 1 {
            let x = self.scalar(x);
            return Rep::Scalar(self.cast(x, scalar_type(ty.elem)));
        }
        let parts = self.vector(x);
        Rep::Vector(parts.iter().map(|&p| self.cast(p, part_type(ty.elem))).collect())
    }

    pub fn convert(&mut self, x: Val, ty: Ty) -> Rep {
        let from = self.kernel.ty(x);
        if from.lanes == 1 {
            let value = self.scalar(x);
            return Rep::Scalar(self.convert_scalar(value, from.elem, ty.elem));
        }
        if from.elem == Elem::Bool {
            return self.mask_to_number(x, ty);
        }
        let parts = self.vector(x);
        match (from.elem, ty.elem) {
            (Elem::F32, Elem::Bool) | (Elem::I32, Elem::Bool) => Rep::Mask32(self.not_zero(&parts, from.elem)),
            (Elem::F64, Elem::Bool) | (Elem::I64, Elem::Bool) => Rep::Mask64(self.not_zero(&parts, from.elem)),
            (Elem::F32, Elem::F64) => Rep::Vector(self.promote(&parts, ty.lanes)),
            (Elem::F64, Elem::F32) => Rep::Vector(self.demote(&parts)),
            (Elem::F32, Elem::I32) => {
                Rep::Vector(parts.iter().map(|&p| self.b.ins().fcvt_to_sint_sat(types::I32X4, p)).collect())
            }
            (Elem::I32, Elem::F32) => {
                Rep::Vector(parts.iter().map(|&p| self.b.ins().fcvt_from_sint(types::F32X4, p)).collect())
            }
            (Elem::I32, Elem::I64) => Rep::Vector(self.widen(&parts, ty.lanes)),
            (Elem::I64, Elem::I32) => Rep::Vector(self.narrow(&parts)),
            _ => Rep::Vector(self.lanewise(ty, |this, lane| {
                let value = this.extract(&parts, from.elem, lane);
                this.convert_scalar(value, from.elem, ty.elem)
            })),
        }
    }

    fn convert_scalar(&mut self, x: Value, from: Elem, to: Elem) -> Value {
        let kind = scalar_type(to);
        match (from, to) {
            (Elem::F32, Elem::F64) => self.b.ins().fpromote(kind, x),
            (Elem::F64, Elem::F32) => self.b.ins().fdemote(kind, x),
            (Elem::F32, Elem::Bool) => {
                let zero = self.b.ins().f32const(0.0);
                self.b.ins().fcmp(FloatCC::NotEqual, x, zero)
            }
            (Elem::F64, Elem::Bool) => {
                let zero = self.b.ins().f64const(0.0);
                self.b.ins().fcmp(FloatCC::NotEqual, x, zero)
            }
            (Elem::F32 | Elem::F64, _) => self.b.ins().fcvt_to_sint_sat(kind, x),
            (Elem::Bool, Elem::F32 | Elem::F64) => {
                let wide = self.b.ins().uextend(types::I32, x);
                self.b.ins().fcvt_from_sint(kind, wide)
            }
            (_, Elem::F32 | Elem::F64) => self.b.ins().fcvt_from_sint(kind, x),
            (Elem::Bool, _) => self.b.ins().uextend(kind, x),
            (_, Elem::Bool) => self.b.ins().icmp_imm_s(IntCC::NotEqual, x, 0),
            (Elem::I32, _) => self.b.ins().sextend(kind, x),
            _ => self.b.ins().ireduce(kind, x),
        }
    }

    fn not_zero(&mut self, parts: &[Value], elem: Elem) -> Parts {
        let zero = self.make_const(Const::int(elem, 0), 2);
        let test = |this: &mut Self, p: Value| {
            if elem.is_float() {
                this.b.ins().fcmp(FloatCC::NotEqual, p, zero)
            } else {
                this.b.ins().icmp(IntCC::NotEqual, p, zero)
            }
        };
        parts.iter().map(|&p| test(self, p)).collect()
    }

    /// A mask is and-ed with the bits of 1.
    fn mask_to_number(&mut self, x: Val, ty: Ty) -> Rep {
        let one = self.make_const(Const::int(ty.elem, 1), 2);
        let mask = self.mask(x, ty.elem.bits() == 64);
        let kind = part_type(ty.elem);
        let numbers = mask.iter().map(|&m| {
            let m = self.cast(m, kind);
            self.b.ins().band(m, one)
        });
        Rep::Vector(numbers.collect())
    }

    fn promote(&mut self, parts: &[Value], lanes: u8) -> Parts {
        let mut out = Parts::new();
        for &part in parts {
            out.push(self.b.ins().fvpromote_low(part));
            if usize::from(lanes) > out.len() * 2 {
                let upper = self.shuffle(part, part, UPPER, types::F32X4);
                out.push(self.b.ins().fvpromote_low(upper));
            }
        }
        out
    }

    fn demote(&mut self, parts: &[Value]) -> Parts {
        let demoted: Parts = parts.iter().map(|&p| self.b.ins().fvdemote(p)).collect();
        let join = |this: &mut Self, pair: &[Value]| match pair {
            [x, y] => this.shuffle(*x, *y, LOWER_HALVES, types::F32X4),
            _ => pair[0],
        };
        demoted.chunks(2).map(|pair| join(self, pair)).collect()
    }
}
