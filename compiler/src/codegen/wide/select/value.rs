//! The representation of kernel values in registers.

use smallvec::{SmallVec, smallvec};

use super::{Code, Constant, Inst, Mem, Moves, Op, Reg, Rm, Select, Width};
use crate::codegen::wide::code::{FIXED, RAX};
use crate::codegen::wide::inst::{Base, Class};
use crate::codegen::wide::isa::{Isa, width};
use crate::kernel::{Buf, Compare, Const, Elem, Ty, Val};

/// The registers of a vector, lowest lanes first.
pub(super) type Parts = SmallVec<[Reg; 2]>;

/// A value of a kernel.
#[derive(Clone, Debug)]
pub(super) enum Rep {
    /// Not defined yet.
    Undefined,
    /// A constant, in every lane.
    Const(Const),
    /// A scalar: integers and booleans (0 or 1) in a general register, floats in the lowest lane of a vector register.
    Scalar(Reg),
    /// A scalar `i64`: a register and a constant, which becomes a displacement.
    Index(Reg, i64),
    /// A vector. An incomplete register has undefined upper lanes.
    Vector(Parts),
    /// A mask in a mask register, with undefined bits above the lanes.
    Mask(Reg),
    /// A mask in vector registers with lanes of so many bytes, zero or all ones.
    Lanes(u8, Parts),
    /// A load that is not emitted yet: parts that follow each other in memory.
    Pending(Mem, Width, u8),
    /// A comparison of scalars that is not emitted yet.
    Test(Compare, Val, Val),
}

/// Bytes of an element in a register; four for booleans.
pub(super) fn element_bytes(elem: Elem) -> u8 {
    match elem {
        Elem::F32 | Elem::I32 | Elem::Bool => 4,
        Elem::F64 | Elem::I64 => 8,
    }
}

/// The width and the number of the registers of a vector with lanes of so many bytes.
pub(super) fn shape(isa: Isa, bytes: u8, lanes: u8) -> (Width, usize) {
    let total = usize::from(bytes) * usize::from(lanes);
    let most = isa.bytes();
    (width(total.min(most)), total.div_ceil(most))
}

impl Select<'_> {
    pub(super) fn set(&mut self, val: Val, rep: Rep) {
        self.blocks[val.0 as usize] = self.block;
        self.reps[val.0 as usize] = rep;
    }

    pub(super) fn rep(&self, val: Val) -> &Rep {
        &self.reps[val.0 as usize]
    }

    pub(super) fn constant_of(&self, val: Val) -> Option<Const> {
        match self.rep(val) {
            Rep::Const(c) => Some(*c),
            _ => None,
        }
    }

    /// The integer that a value is known to be.
    pub(super) fn known(&self, val: Val) -> Option<i64> {
        match self.constant_of(val)? {
            Const::I32(x) => Some(i64::from(x)),
            Const::I64(x) => Some(x),
            Const::Bool(x) => Some(i64::from(x)),
            Const::F32(_) | Const::F64(_) => None,
        }
    }

    /// The shape of the registers of a type.
    pub(super) fn shape(&self, ty: Ty) -> (Width, usize) {
        shape(self.isa, element_bytes(ty.elem), ty.lanes)
    }

    /// Emits what is pending of a value.
    pub(super) fn materialize(&mut self, val: Val) {
        match *self.rep(val) {
            Rep::Pending(mem, width, parts) => {
                let ty = self.kernel.ty(val);
                self.pending.retain(|&(v, _)| v != val);
                let regs: Parts =
                    (0..i32::from(parts)).map(|i| self.load_part(mem.part(i, width), width, ty)).collect();
                let rep = if ty.lanes == 1 { Rep::Scalar(regs[0]) } else { Rep::Vector(regs) };
                self.reps[val.0 as usize] = rep;
            }
            Rep::Test(op, x, y) => {
                let reg = self.truth(op, x, y);
                self.reps[val.0 as usize] = Rep::Scalar(reg);
            }
            _ => {}
        }
    }

    /// Emits all loads that are pending, since control flow divides.
    pub(super) fn flush(&mut self) {
        self.flush_from(|_| true);
    }

    /// Emits the loads that are pending from some buffers, since these may be written.
    pub(super) fn flush_from(&mut self, buffers: impl Fn(Buf) -> bool) {
        let (now, later) = std::mem::take(&mut self.pending).into_iter().partition(|&(_, buf)| buffers(buf));
        self.pending = later;
        let now: Vec<(Val, Buf)> = now;
        for (val, _) in now {
            self.materialize(val);
        }
    }

    /// A scalar in a register of its class.
    pub(super) fn scalar(&mut self, val: Val) -> Reg {
        if self.kernel.ty(val).elem.is_float() { self.float(val) } else { self.general(val) }
    }

    /// A scalar float, in the lowest lane of a vector register.
    pub(super) fn float(&mut self, val: Val) -> Reg {
        self.materialize(val);
        match *self.rep(val) {
            Rep::Scalar(reg) => reg,
            Rep::Const(c) => self.uniform(c),
            ref other => unreachable!("%{} is {other:?}, not a float", val.0),
        }
    }

    /// A scalar integer or boolean, in a general register.
    pub(super) fn general(&mut self, val: Val) -> Reg {
        self.materialize(val);
        match *self.rep(val) {
            Rep::Scalar(reg) | Rep::Index(reg, 0) => reg,
            Rep::Index(reg, c) => self.plus(reg, c),
            Rep::Const(_) => {
                let x = self.known(val).expect("a float is in no general register");
                self.integer(x)
            }
            ref other => unreachable!("%{} is {other:?}, not an integer", val.0),
        }
    }

    /// A number in a new general register.
    pub(super) fn integer(&mut self, x: i64) -> Reg {
        let reg = self.new_general();
        self.load_integer(reg, x);
        reg
    }

    /// Sets a general register.
    pub(super) fn load_integer(&mut self, reg: Reg, x: i64) {
        self.push(Inst::new(Op::MovImm, Width::W64, &[reg]).imm(x));
    }

    /// `reg + c` in a new register.
    pub(super) fn plus(&mut self, reg: Reg, c: i64) -> Reg {
        if let Ok(displacement) = i32::try_from(c) {
            let to = self.new_general();
            let mem = Mem { base: Base::Register(reg), index: None, displacement, broadcast: false };
            self.push(Inst::new(Op::Lea, Width::W64, &[to]).with(Rm::Mem(mem)));
            return to;
        }
        let to = self.integer(c);
        self.push(Inst::new(Op::Add, Width::W64, &[to]).with(Rm::Reg(reg)));
        to
    }

    /// A scalar `i64` as a register and a constant.
    pub(super) fn index(&mut self, val: Val) -> (Option<Reg>, i64) {
        self.materialize(val);
        match *self.rep(val) {
            Rep::Const(Const::I64(c)) => (None, c),
            Rep::Index(reg, c) => (Some(reg), c),
            Rep::Scalar(reg) => (Some(reg), 0),
            ref other => unreachable!("an index is a scalar, not {other:?}"),
        }
    }

    /// The registers of a vector other than a mask.
    pub(super) fn vector(&mut self, val: Val) -> Parts {
        self.materialize(val);
        match self.rep(val) {
            Rep::Vector(parts) => parts.clone(),
            Rep::Const(c) => {
                let c = *c;
                let (_, parts) = self.shape(self.kernel.ty(val));
                let reg = self.uniform(c);
                smallvec![reg; parts]
            }
            other => unreachable!("%{} is {other:?}, not a vector", val.0),
        }
    }

    /// The registers of a value other than a mask, a scalar float as one.
    pub(super) fn parts(&mut self, val: Val) -> Parts {
        if self.kernel.ty(val).lanes == 1 { smallvec![self.float(val)] } else { self.vector(val) }
    }

    /// The same as operands that may be memory: a load that nothing else uses.
    pub(super) fn operands(&mut self, val: Val) -> SmallVec<[Rm; 2]> {
        if let Rep::Pending(mem, width, parts) = *self.rep(val) {
            self.pending.retain(|&(v, _)| v != val);
            return (0..i32::from(parts)).map(|i| Rm::Mem(mem.part(i, width))).collect();
        }
        self.parts(val).into_iter().map(Rm::Reg).collect()
    }

    /// Whether a value becomes a memory operand.
    pub(super) fn is_memory(&self, val: Val) -> bool {
        matches!(self.rep(val), Rep::Pending(..))
    }

    /// A register with a constant in every lane, as wide as registers are: it serves vectors of all widths and scalars.
    pub(super) fn uniform(&mut self, c: Const) -> Reg {
        let (bits, bytes) = match c {
            Const::F32(bits) => (u64::from(bits), 4),
            Const::F64(bits) => (bits, 8),
            Const::I32(x) => (u64::from(x as u32), 4),
            Const::I64(x) => (x as u64, 8),
            Const::Bool(x) => (if x { u64::from(u32::MAX) } else { 0 }, 4),
        };
        if let Some(&reg) = self.constants.get(&(bits, bytes)) {
            return reg;
        }
        let element = &bits.to_le_bytes()[..usize::from(bytes)];
        let constant = match self.isa {
            Isa::Avx512 => Constant::Broadcast { offset: self.pool(element, usize::from(bytes)), bytes },
            // Without broadcasting operands, instructions read whole registers.
            Isa::Avx2 => Constant::Whole { offset: self.pool(&element.repeat(32 / usize::from(bytes)), 32) },
        };
        let reg = self.define_constant(constant);
        self.constants.insert((bits, bytes), reg);
        reg
    }

    /// A register with these bytes.
    pub(super) fn whole(&mut self, bytes: Vec<u8>) -> Reg {
        if let Some(&reg) = self.wholes.get(&bytes) {
            return reg;
        }
        let mut full = bytes.clone();
        full.resize(self.isa.bytes(), 0);
        let offset = self.pool(&full, self.isa.bytes());
        let reg = self.define_constant(Constant::Whole { offset });
        self.wholes.insert(bytes, reg);
        reg
    }

    fn pool(&mut self, bytes: &[u8], align: usize) -> u32 {
        let pool = &mut self.function.pool;
        pool.resize(pool.len().next_multiple_of(align), 0);
        let offset = pool.len() as u32;
        pool.extend_from_slice(bytes);
        offset
    }

    /// Defines a constant in the prologue.
    fn define_constant(&mut self, constant: Constant) -> Reg {
        let reg = self.function.new_reg(Class::Vector, self.isa.bytes() as u8, 0);
        self.function.regs[(reg.0 - FIXED) as usize].constant = Some(constant);
        self.prologue.push(Code::Inst(constant_load(constant, reg, self.isa.widest())));
        reg
    }

    /// Registers like those of a value, one loop deeper, which a loop carries; they begin as the value is.
    pub(super) fn carry(&mut self, val: Val, entry: &mut Moves) -> Rep {
        self.depth += 1;
        let rep = self.place(val);
        self.depth -= 1;
        self.assign(&rep, val, entry);
        rep
    }

    /// Registers for a value, which are assigned where control flow meets.
    pub(super) fn place(&mut self, val: Val) -> Rep {
        let ty = self.kernel.ty(val);
        let (width, parts) = self.shape(ty);
        match ty {
            Ty { lanes: 1, elem } if elem.is_float() => Rep::Scalar(self.new_vector(Width::V128)),
            Ty { lanes: 1, .. } => Rep::Scalar(self.new_general()),
            Ty { elem: Elem::Bool, .. } if self.isa == Isa::Avx512 => Rep::Mask(self.new_mask()),
            Ty { elem: Elem::Bool, .. } => Rep::Lanes(4, (0..parts).map(|_| self.new_vector(width)).collect()),
            _ => Rep::Vector((0..parts).map(|_| self.new_vector(width)).collect()),
        }
    }

    /// Adds the copies of a value to the registers of a [place](Select::place).
    pub(super) fn assign(&mut self, place: &Rep, val: Val, moves: &mut Moves) {
        let (to, from): (Parts, Parts) = match place {
            Rep::Scalar(reg) => (smallvec![*reg], smallvec![self.scalar(val)]),
            Rep::Vector(parts) => (parts.clone(), self.vector(val)),
            Rep::Mask(reg) => (smallvec![*reg], smallvec![self.mask(val)]),
            Rep::Lanes(bytes, parts) => (parts.clone(), self.mask_lanes(val, *bytes)),
            other => unreachable!("{other:?} is not a place"),
        };
        for (to, from) in to.into_iter().zip(from) {
            self.suggest(to, from);
            moves.push((to, from));
        }
    }

    /// New registers with what is in those that a loop has carried.
    pub(super) fn fresh(&mut self, carried: &Rep, moves: &mut Moves) -> Rep {
        let mut one = |this: &mut Self, from: Reg| {
            let to = this.new_like(from);
            this.function.hint(to, from);
            moves.push((to, from));
            to
        };
        match carried {
            Rep::Scalar(reg) => Rep::Scalar(one(self, *reg)),
            Rep::Mask(reg) => Rep::Mask(one(self, *reg)),
            Rep::Vector(parts) => Rep::Vector(parts.iter().map(|&part| one(self, part)).collect()),
            Rep::Lanes(bytes, parts) => Rep::Lanes(*bytes, parts.iter().map(|&part| one(self, part)).collect()),
            other => unreachable!("{other:?} is not carried"),
        }
    }

    /// Suggests that two registers that are copied be one, where nothing was suggested before.
    fn suggest(&mut self, x: Reg, y: Reg) {
        for (reg, other) in [(x, y), (y, x)] {
            if self.function.reg(reg).hint.is_none() {
                self.function.hint(reg, other);
            }
        }
    }

    /// A boolean in a new general register, by the flags of the instruction before.
    pub(super) fn set_flag(&mut self, condition: super::Condition) -> Reg {
        let to = self.new_general();
        self.function.code.push(Code::Set(condition, RAX));
        self.push(Inst::new(Op::Movzx, Width::W32, &[to]).with(Rm::Reg(RAX)));
        to
    }
}

/// The instruction that makes a constant, at least 256 bits wide.
pub(in crate::codegen::wide) fn constant_load(constant: Constant, to: Reg, width: Width) -> Inst {
    let (op, offset) = match constant {
        Constant::Broadcast { offset, bytes: 4 } => (Op::Vbroadcastss, offset),
        Constant::Broadcast { offset, .. } => (Op::Vbroadcastsd, offset),
        Constant::Whole { offset } => (Op::Vmovups, offset),
    };
    let mem = Mem { base: Base::Pool, index: None, displacement: offset as i32, broadcast: false };
    Inst::new(op, width, &[to]).with(Rm::Mem(mem))
}
