//! The representation of kernel values in Cranelift.

use cranelift_codegen::ir::{Block, ConstantData, InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FunctionBuilder;
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use crate::kernel::{Const, Elem, Kernel, Ty, Val};

/// The registers of a vector, lowest lanes first.
pub(super) type Parts = SmallVec<[Value; 4]>;

/// A value of a kernel.
#[derive(Clone, Debug)]
pub(super) enum Rep {
    /// Not defined yet.
    Undefined,
    /// A constant, materialised at its uses.
    Const(Const),
    /// A scalar; booleans are `i8` 0 or 1.
    Scalar(Value),
    /// A scalar `i64`: a value and a constant, which loads and stores take as their displacement.
    Index(Value, i64),
    /// A vector: four 32-bit lanes a register, or two of 64 bits. An incomplete register has undefined upper lanes.
    Vector(Parts),
    /// A mask with lanes of 32 bits, zero or all ones.
    Mask32(Parts),
    /// A mask with lanes of 64 bits.
    Mask64(Parts),
}

/// The state of translating a kernel.
pub(super) struct Lowering<'a, 'f> {
    pub b: FunctionBuilder<'f>,
    pub kernel: &'a Kernel,
    pub reps: Vec<Rep>,
    /// The first byte of every buffer.
    pub bases: Vec<Value>,
    /// Constants of the current block: materialised once per block, which keeps their live ranges short.
    pub consts: FxHashMap<(Const, u8), (Block, Value)>,
    /// Scalars that are lanes of vectors, so that splatting them needs no extraction.
    pub lanes_of: FxHashMap<Val, (Val, u8)>,
    /// Whether the machine has `blendv`.
    pub x86: bool,
    /// A block for each status that a check can end with.
    pub exits: Vec<(i32, Block)>,
}

/// Memory accesses of kernels do not trap; vectors are unaligned in general.
pub(super) fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// The flags of a cast between vector types.
pub(super) fn cast_flags() -> MemFlagsData {
    MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little)
}

/// The scalar type of an element.
pub(super) fn scalar_type(elem: Elem) -> Type {
    match elem {
        Elem::F32 => types::F32,
        Elem::F64 => types::F64,
        Elem::I32 => types::I32,
        Elem::I64 => types::I64,
        Elem::Bool => types::I8,
    }
}

/// The type of one register of a vector; masks are held in lanes of 32 bits unless said otherwise.
pub(super) fn part_type(elem: Elem) -> Type {
    match elem {
        Elem::F32 => types::F32X4,
        Elem::F64 => types::F64X2,
        Elem::I32 | Elem::Bool => types::I32X4,
        Elem::I64 => types::I64X2,
    }
}

/// Lanes of one register.
pub(super) fn part_lanes(elem: Elem) -> u8 {
    match elem {
        Elem::F64 | Elem::I64 => 2,
        _ => 4,
    }
}

/// The number of registers of a vector.
pub(super) fn parts(ty: Ty) -> usize {
    usize::from(ty.lanes.div_ceil(part_lanes(ty.elem)))
}

impl Lowering<'_, '_> {
    pub fn set(&mut self, val: Val, rep: Rep) {
        self.reps[val.0 as usize] = rep;
    }

    pub fn rep(&self, val: Val) -> &Rep {
        &self.reps[val.0 as usize]
    }

    pub fn constant(&self, val: Val) -> Option<Const> {
        match self.rep(val) {
            Rep::Const(c) => Some(*c),
            _ => None,
        }
    }

    /// A scalar `i64` as a value and a constant; no value for a constant.
    pub fn index(&mut self, val: Val) -> (Option<Value>, i64) {
        match *self.rep(val) {
            Rep::Const(Const::I64(c)) => (None, c),
            Rep::Index(v, c) => (Some(v), c),
            Rep::Scalar(v) => (Some(v), 0),
            ref other => unreachable!("an index is a scalar, not {other:?}"),
        }
    }

    /// A scalar.
    pub fn scalar(&mut self, val: Val) -> Value {
        match *self.rep(val) {
            Rep::Scalar(v) | Rep::Index(v, 0) => v,
            Rep::Index(v, c) => self.b.ins().iadd_imm_s(v, c),
            Rep::Const(c) => self.make_const(c, 1),
            ref other => unreachable!("%{} is {other:?}, not a scalar", val.0),
        }
    }

    /// The registers of a vector other than a mask.
    pub fn vector(&mut self, val: Val) -> Parts {
        match self.rep(val) {
            Rep::Vector(parts) => parts.clone(),
            Rep::Const(c) => {
                let c = *c;
                let count = parts(self.kernel.ty(val));
                let value = self.make_const(c, 2);
                smallvec![value; count]
            }
            other => unreachable!("%{} is {other:?}, not a vector", val.0),
        }
    }

    /// A mask with lanes of 32 or 64 bits.
    pub fn mask(&mut self, val: Val, wide: bool) -> Parts {
        let lanes = self.kernel.ty(val).lanes;
        match self.rep(val).clone() {
            Rep::Const(c) => {
                let elem = if wide { Elem::I64 } else { Elem::I32 };
                let ones = Const::int(elem, if c == Const::Bool(true) { -1 } else { 0 });
                let value = self.make_const(ones, 2);
                smallvec![value; parts(Ty::vector(elem, lanes))]
            }
            Rep::Mask32(parts) if wide => self.widen(&parts, lanes),
            Rep::Mask64(parts) if !wide => self.narrow(&parts),
            Rep::Mask32(parts) | Rep::Mask64(parts) => parts,
            other => unreachable!("%{} is {other:?}, not a mask", val.0),
        }
    }

    /// Whether a mask is held in lanes of 64 bits.
    pub fn is_wide(&self, val: Val) -> bool {
        matches!(self.rep(val), Rep::Mask64(_))
    }

    /// Lanes of 32 bits, sign-extended to 64.
    pub fn widen(&mut self, parts: &[Value], lanes: u8) -> Parts {
        let mut out = Parts::new();
        for &part in parts {
            out.push(self.b.ins().swiden_low(part));
            if usize::from(lanes) > out.len() * 2 {
                out.push(self.b.ins().swiden_high(part));
            }
        }
        out
    }

    /// The low halves of lanes of 64 bits.
    pub fn narrow(&mut self, parts: &[Value]) -> Parts {
        let pick: [u8; 16] = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];
        parts
            .chunks(2)
            .map(|pair| {
                let (x, y) = (pair[0], pair[pair.len() - 1]);
                self.shuffle(x, y, pick, types::I32X4)
            })
            .collect()
    }

    /// Shuffles the bytes of two registers.
    pub fn shuffle(&mut self, x: Value, y: Value, pick: [u8; 16], ty: Type) -> Value {
        let x = self.cast(x, types::I8X16);
        let y = self.cast(y, types::I8X16);
        let mask = self.b.func.dfg.immediates.push(ConstantData::from(pick.as_slice()));
        let bytes = self.b.ins().shuffle(x, y, mask);
        self.cast(bytes, ty)
    }

    /// The same bits as another type of the same size.
    pub fn cast(&mut self, x: Value, ty: Type) -> Value {
        if self.b.func.dfg.value_type(x) == ty {
            return x;
        }
        self.b.ins().bitcast(ty, cast_flags(), x)
    }

    /// A constant: scalar for one lane, a register full of it otherwise.
    pub fn make_const(&mut self, c: Const, lanes: u8) -> Value {
        let key = (c, lanes.min(2));
        let block = self.b.current_block().expect("code is emitted into a block");
        if let Some(&(at, value)) = self.consts.get(&key)
            && at == block
        {
            return value;
        }
        let value = match (c, lanes) {
            (Const::F32(bits), 1) => self.b.ins().f32const(f32::from_bits(bits)),
            (Const::F64(bits), 1) => self.b.ins().f64const(f64::from_bits(bits)),
            (Const::I32(x), 1) => self.b.ins().iconst(types::I32, i64::from(x as u32)),
            (Const::I64(x), 1) => self.b.ins().iconst(types::I64, x),
            (Const::Bool(x), 1) => self.b.ins().iconst(types::I8, i64::from(x)),
            (Const::F32(bits), _) => self.repeat_bytes(&bits.to_le_bytes(), types::F32X4),
            (Const::F64(bits), _) => self.repeat_bytes(&bits.to_le_bytes(), types::F64X2),
            (Const::I32(x), _) => self.repeat_bytes(&x.to_le_bytes(), types::I32X4),
            (Const::I64(x), _) => self.repeat_bytes(&x.to_le_bytes(), types::I64X2),
            (Const::Bool(x), _) => self.repeat_bytes(&[if x { 0xff } else { 0 }], types::I32X4),
        };
        self.consts.insert(key, (block, value));
        value
    }

    fn repeat_bytes(&mut self, bytes: &[u8], ty: Type) -> Value {
        let data: Vec<u8> = bytes.iter().copied().cycle().take(16).collect();
        self.const_bytes(data, ty)
    }

    /// A register with these 16 bytes.
    pub fn const_bytes(&mut self, data: Vec<u8>, ty: Type) -> Value {
        let handle = self.b.func.dfg.constants.insert(ConstantData::from(data));
        self.b.ins().vconst(ty, handle)
    }

    /// One lane of a vector other than a mask.
    pub fn extract(&mut self, parts: &[Value], elem: Elem, lane: u8) -> Value {
        let n = part_lanes(elem);
        self.b.ins().extractlane(parts[usize::from(lane / n)], lane % n)
    }

    /// Makes a vector lane by lane.
    pub fn lanewise(&mut self, ty: Ty, mut lane: impl FnMut(&mut Self, u8) -> Value) -> Parts {
        let n = part_lanes(ty.elem);
        let mut out = Parts::new();
        for first in (0..ty.lanes).step_by(usize::from(n)) {
            let value = lane(self, first);
            let mut part = self.b.ins().scalar_to_vector(part_type(ty.elem), value);
            for i in 1..n.min(ty.lanes - first) {
                let value = lane(self, first + i);
                part = self.b.ins().insertlane(part, value, i);
            }
            out.push(part);
        }
        out
    }

    /// The values of a representation as block parameters; masks are narrowed first.
    pub fn flatten(&mut self, val: Val, out: &mut Vec<Value>) {
        let ty = self.kernel.ty(val);
        if ty.lanes == 1 {
            let v = self.scalar(val);
            out.push(v);
        } else if ty.elem == Elem::Bool {
            out.extend(self.mask(val, false));
        } else {
            out.extend(self.vector(val));
        }
    }

    /// The inverse of [`Lowering::flatten`].
    pub fn unflatten(&mut self, val: Val, values: &mut impl Iterator<Item = Value>) {
        let ty = self.kernel.ty(val);
        let count = if ty.lanes == 1 { 1 } else { parts(ty) };
        let taken: Parts = values.take(count).collect();
        let rep = match ty {
            Ty { lanes: 1, .. } => Rep::Scalar(taken[0]),
            Ty { elem: Elem::Bool, .. } => Rep::Mask32(taken),
            _ => Rep::Vector(taken),
        };
        self.set(val, rep);
    }

    /// Appends parameters for a value of this type to a block.
    pub fn append_params(&mut self, block: Block, ty: Ty) {
        if ty.lanes == 1 {
            self.b.append_block_param(block, scalar_type(ty.elem));
        } else {
            for _ in 0..parts(ty) {
                self.b.append_block_param(block, part_type(ty.elem));
            }
        }
    }
}
