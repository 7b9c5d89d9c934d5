//! The builder of kernels.
//!
//! Whoever builds a kernel writes loops and arithmetic naively; the builder merges equal pure instructions and puts
//! each one into the outermost block in which its operands are known, so that emitters need neither value numbering
//! nor invariant motion. Loads of [`Mode::Read`] operands and tables move out of loops that certainly run at least
//! once; all other loads stay where they are built.
//!
//! Arithmetic on indices is folded as it is built, with the help of the ranges of loop variables: `(i * 4 + j) / 4` with
//! `j` in `0..4` is `i`.

use std::sync::Arc;

use dlc_ir::DType;
use rustc_hash::FxHashMap;

use super::ir::*;

/// Builds one [`Kernel`]. Ill-typed operands are bugs of the caller and panic.
pub struct Builder {
    operands: Vec<Operand>,
    scratch: Vec<Scratch>,
    tables: Vec<Table>,
    chunks: usize,
    values: Vec<ValueInfo>,
    scopes: Vec<Scope>,
}

struct ValueInfo {
    ty: Ty,
    /// The nesting depth of the block that defines it.
    depth: usize,
    inst: Option<Inst>,
    /// Inclusive bounds of a scalar `i64`, where known.
    range: Option<(i64, i64)>,
}

#[derive(Default)]
struct Scope {
    stmts: Block,
    memo: FxHashMap<(Inst, Ty), Val>,
    /// Whether the block runs whenever the one around it does.
    certain: bool,
}

/// Buffers are numbered while the kernel is built, before the number of operands is known: scratch buffers and tables
/// count from these and are renumbered by [`Builder::finish`].
const SCRATCH_BASE: u32 = 1 << 16;
const TABLE_BASE: u32 = 1 << 17;

impl Builder {
    /// A kernel whose work is split into `chunks` chunks (at least one).
    pub fn new(chunks: usize) -> Self {
        assert!(chunks >= 1, "a kernel has at least one chunk");
        let mut b = Builder {
            operands: Vec::new(),
            scratch: Vec::new(),
            tables: Vec::new(),
            chunks,
            values: Vec::new(),
            scopes: vec![Scope { certain: true, ..Scope::default() }],
        };
        let last = chunks as i64;
        b.define(Ty::INDEX, 0, None, Some((0, last - 1)));
        b.define(Ty::INDEX, 0, None, Some((1, last)));
        b
    }

    /// Adds an operand.
    pub fn operand(&mut self, dtype: DType, elements: usize, mode: Mode) -> Buf {
        self.operands.push(Operand { dtype, elements, mode });
        Buf(self.operands.len() as u32 - 1)
    }

    /// Adds private memory.
    pub fn scratch(&mut self, dtype: DType, elements: usize) -> Buf {
        self.scratch.push(Scratch { dtype, elements });
        Buf(SCRATCH_BASE + self.scratch.len() as u32 - 1)
    }

    /// Adds constant data, unless it is there already.
    pub fn table(&mut self, dtype: DType, bytes: &[u8]) -> Buf {
        let known = self.tables.iter().position(|t| t.dtype == dtype && *t.bytes == *bytes);
        let index = known.unwrap_or_else(|| {
            self.tables.push(Table { dtype, bytes: Arc::from(bytes) });
            self.tables.len() - 1
        });
        Buf(TABLE_BASE + index as u32)
    }

    /// The type of a value.
    pub fn ty(&self, val: Val) -> Ty {
        self.values[val.0 as usize].ty
    }

    /// The range of chunks that a call executes. The kernel writes the loop over it itself, with
    /// [`Builder::chunk_loop`] or in the middle of other loops.
    pub fn chunk_range(&self) -> (Val, Val) {
        (Kernel::BEGIN, Kernel::END)
    }

    /// `for chunk in begin..end { body }` over the chunks of a call.
    pub fn chunk_loop(&mut self, body: impl FnOnce(&mut Self, Val)) {
        let last = self.chunks as i64 - 1;
        if last == 0 {
            let zero = self.index(0);
            return body(self, zero);
        }
        self.looped(Kernel::BEGIN, Kernel::END, 1, false, &[], Some((0, last)), |b, var, _| {
            body(b, var);
            Vec::new()
        });
    }

    /// The finished kernel.
    pub fn finish(mut self) -> Kernel {
        assert_eq!(self.scopes.len(), 1, "finish is called outside of loops");
        let mut body = std::mem::take(&mut self.scopes[0].stmts);
        let scratch_at = self.operands.len() as u32;
        let table_at = scratch_at + self.scratch.len() as u32;
        let mut renumber = |buf: &mut Buf| {
            if buf.0 >= TABLE_BASE {
                buf.0 = buf.0 - TABLE_BASE + table_at;
            } else if buf.0 >= SCRATCH_BASE {
                buf.0 = buf.0 - SCRATCH_BASE + scratch_at;
            }
        };
        renumber_block(&mut body, &mut renumber);
        let mut kernel = Kernel {
            operands: self.operands,
            scratch: self.scratch,
            tables: self.tables,
            chunks: self.chunks,
            values: self.values.iter().map(|v| v.ty).collect(),
            body,
        };
        super::clean::clean(&mut kernel);
        kernel
    }

    fn define(&mut self, ty: Ty, depth: usize, inst: Option<Inst>, range: Option<(i64, i64)>) -> Val {
        self.values.push(ValueInfo { ty, depth, inst, range });
        Val(self.values.len() as u32 - 1)
    }

    fn info(&self, val: Val) -> &ValueInfo {
        &self.values[val.0 as usize]
    }

    /// Defines a value in the outermost possible block, or finds it there.
    fn pure(&mut self, inst: Inst, ty: Ty) -> Val {
        let depth = operands_of(&inst).map(|v| self.info(v).depth).max().unwrap_or(0);
        self.place(inst, ty, depth, true)
    }

    fn place(&mut self, inst: Inst, ty: Ty, depth: usize, memo: bool) -> Val {
        if memo && let Some(&val) = self.scopes[depth].memo.get(&(inst, ty)) {
            return val;
        }
        let range = self.range_of(&inst, ty);
        let val = self.define(ty, depth, Some(inst), range);
        let scope = &mut self.scopes[depth];
        scope.stmts.push(Stmt::Let(val, inst));
        if memo {
            scope.memo.insert((inst, ty), val);
        }
        val
    }

    fn range_of(&self, inst: &Inst, ty: Ty) -> Option<(i64, i64)> {
        if ty != Ty::INDEX {
            return None;
        }
        let range = |v: Val| self.info(v).range;
        match *inst {
            Inst::Const(Const::I64(c)) => Some((c, c)),
            Inst::Binary(op, a, b) => {
                let ((a0, a1), (b0, b1)) = (range(a)?, range(b)?);
                match op {
                    Binary::Add => Some((a0.checked_add(b0)?, a1.checked_add(b1)?)),
                    Binary::Sub => Some((a0.checked_sub(b1)?, a1.checked_sub(b0)?)),
                    Binary::Mul => {
                        let products = [(a0, b0), (a0, b1), (a1, b0), (a1, b1)];
                        let mut bounds: Option<(i64, i64)> = None;
                        for (x, y) in products {
                            let p = x.checked_mul(y)?;
                            bounds = Some(bounds.map_or((p, p), |(lo, hi)| (lo.min(p), hi.max(p))));
                        }
                        bounds
                    }
                    Binary::Min => Some((a0.min(b0), a1.min(b1))),
                    Binary::Max => Some((a0.max(b0), a1.max(b1))),
                    _ => None,
                }
            }
            Inst::DivFloor(a, d) => range(a).map(|(lo, hi)| (lo.div_euclid(d), hi.div_euclid(d))),
            Inst::Mod(_, d) => Some((0, d - 1)),
            _ => None,
        }
    }

    /// The bounds (inclusive) of an index, where the builder knows them.
    pub fn range(&self, val: Val) -> Option<(i64, i64)> {
        self.info(val).range
    }

    // ---- constants -------------------------------------------------------------------------------------------------

    /// A constant of a type.
    pub fn constant(&mut self, c: Const, lanes: u8) -> Val {
        self.pure(Inst::Const(c), Ty::vector(c.elem(), lanes))
    }

    /// A scalar `i64` constant.
    pub fn index(&mut self, i: i64) -> Val {
        self.constant(Const::I64(i), 1)
    }

    /// The number `x`, rounded to the element type of `ty`, in every lane.
    pub fn float(&mut self, ty: Ty, x: f64) -> Val {
        self.constant(Const::float(ty.elem, x), ty.lanes)
    }

    /// The integer `x`, wrapped to the element type of `ty`, in every lane.
    pub fn int(&mut self, ty: Ty, x: i64) -> Val {
        self.constant(Const::int(ty.elem, x), ty.lanes)
    }

    /// The value of a constant scalar `i64`.
    pub fn known_index(&self, val: Val) -> Option<i64> {
        match self.info(val).inst {
            Some(Inst::Const(Const::I64(c))) => Some(c),
            _ => None,
        }
    }

    /// The numbers of the lanes.
    pub fn iota(&mut self, ty: Ty) -> Val {
        assert!(ty.elem.is_int(), "iota is integer");
        self.pure(Inst::Iota, ty)
    }

    // ---- arithmetic ------------------------------------------------------------------------------------------------

    /// A scalar in every lane; a vector of that many lanes stays as it is.
    pub fn splat(&mut self, x: Val, lanes: u8) -> Val {
        let ty = self.ty(x);
        if ty.lanes == lanes {
            return x;
        }
        assert_eq!(ty.lanes, 1, "only a scalar can be splatted");
        let wide = Ty::vector(ty.elem, lanes);
        match self.info(x).inst {
            Some(Inst::Const(c)) => self.constant(c, lanes),
            _ => self.pure(Inst::Splat(x), wide),
        }
    }

    fn unify(&mut self, vals: &mut [Val]) -> u8 {
        let lanes = vals.iter().map(|&v| self.ty(v).lanes).max().unwrap_or(1);
        for v in vals {
            *v = self.splat(*v, lanes);
        }
        lanes
    }

    /// An operation on one value.
    pub fn unary(&mut self, op: Unary, x: Val) -> Val {
        let ty = self.ty(x);
        let fits = match op {
            Unary::Neg | Unary::Abs => ty.elem != Elem::Bool,
            Unary::Not => !ty.elem.is_float(),
            _ => ty.elem.is_float(),
        };
        assert!(fits, "{op:?} of {:?}", ty.elem);
        self.pure(Inst::Unary(op, x), ty)
    }

    /// An operation on two values; a scalar meets every lane of a vector.
    pub fn binary(&mut self, op: Binary, x: Val, y: Val) -> Val {
        let mut vals = [x, y];
        self.unify(&mut vals);
        let [x, y] = vals;
        let ty = self.ty(x);
        assert_eq!(ty, self.ty(y), "operands of {op:?} differ in type");
        if ty == Ty::INDEX {
            return super::fold::index_binary(self, op, x, y);
        }
        self.binary_raw(op, x, y)
    }

    pub(super) fn binary_raw(&mut self, op: Binary, x: Val, y: Val) -> Val {
        let ty = self.ty(x);
        self.pure(Inst::Binary(op, x, y), ty)
    }

    pub(super) fn inst(&self, val: Val) -> Option<Inst> {
        self.info(val).inst
    }

    /// `x + y`.
    pub fn add(&mut self, x: Val, y: Val) -> Val {
        self.binary(Binary::Add, x, y)
    }

    /// `x - y`.
    pub fn sub(&mut self, x: Val, y: Val) -> Val {
        self.binary(Binary::Sub, x, y)
    }

    /// `x * y`.
    pub fn mul(&mut self, x: Val, y: Val) -> Val {
        self.binary(Binary::Mul, x, y)
    }

    /// `x / y`; see [`Binary::Div`].
    pub fn div(&mut self, x: Val, y: Val) -> Val {
        self.binary(Binary::Div, x, y)
    }

    /// `x + c` for an index.
    pub fn add_const(&mut self, x: Val, c: i64) -> Val {
        let c = self.index(c);
        self.add(x, c)
    }

    /// `x * c` for an index.
    pub fn mul_const(&mut self, x: Val, c: i64) -> Val {
        let c = self.index(c);
        self.mul(x, c)
    }

    /// `x / d` rounded down, for an integer and a positive constant.
    pub fn div_floor(&mut self, x: Val, d: i64) -> Val {
        assert!(d > 0 && self.ty(x).elem.is_int());
        if d == 1 {
            return x;
        }
        super::fold::div_floor(self, x, d)
    }

    /// `x mod d`, not negative, for an integer and a positive constant.
    pub fn modulo(&mut self, x: Val, d: i64) -> Val {
        assert!(d > 0 && self.ty(x).elem.is_int());
        super::fold::modulo(self, x, d)
    }

    pub(super) fn div_floor_raw(&mut self, x: Val, d: i64) -> Val {
        let ty = self.ty(x);
        self.pure(Inst::DivFloor(x, d), ty)
    }

    pub(super) fn modulo_raw(&mut self, x: Val, d: i64) -> Val {
        let ty = self.ty(x);
        self.pure(Inst::Mod(x, d), ty)
    }

    /// `a * b + c`, rounded once.
    pub fn fma(&mut self, a: Val, b: Val, c: Val) -> Val {
        let mut vals = [a, b, c];
        self.unify(&mut vals);
        let [a, b, c] = vals;
        let ty = self.ty(a);
        assert!(ty.elem.is_float() && self.ty(b) == ty && self.ty(c) == ty, "fma wants floats of one type");
        self.pure(Inst::Fma(a, b, c), ty)
    }

    /// A comparison.
    pub fn compare(&mut self, op: Compare, x: Val, y: Val) -> Val {
        let mut vals = [x, y];
        self.unify(&mut vals);
        let [x, y] = vals;
        let ty = self.ty(x);
        assert_eq!(ty, self.ty(y), "operands of {op:?} differ in type");
        if let (Some((a0, a1)), Some((b0, b1))) = (self.range(x), self.range(y)) {
            let known = match op {
                Compare::Lt => (a1 < b0, a0 >= b1),
                Compare::Le => (a1 <= b0, a0 > b1),
                Compare::Gt => (a0 > b1, a1 <= b0),
                Compare::Ge => (a0 >= b1, a1 < b0),
                Compare::Eq => (a0 == a1 && (a0, a1) == (b0, b1), a1 < b0 || b1 < a0),
                Compare::Ne => (a1 < b0 || b1 < a0, a0 == a1 && (a0, a1) == (b0, b1)),
            };
            if known.0 || known.1 {
                return self.constant(Const::Bool(known.0), 1);
            }
        }
        self.pure(Inst::Compare(op, x, y), ty.with_elem(Elem::Bool))
    }

    /// The value of a constant scalar truth value.
    pub fn known_bool(&self, val: Val) -> Option<bool> {
        match self.info(val).inst {
            Some(Inst::Const(Const::Bool(c))) => Some(c),
            _ => None,
        }
    }

    /// Logical and of truth values, folded where one is known.
    pub fn and(&mut self, x: Val, y: Val) -> Val {
        match (self.known_bool(x), self.known_bool(y)) {
            (Some(true), _) => y,
            (_, Some(true)) => x,
            _ => self.binary(Binary::And, x, y),
        }
    }

    /// `if cond { x } else { y }`, lane by lane.
    pub fn select(&mut self, cond: Val, x: Val, y: Val) -> Val {
        match self.known_bool(cond) {
            Some(true) => return x,
            Some(false) => return y,
            None if x == y => return x,
            None => {}
        }
        let mut vals = [cond, x, y];
        self.unify(&mut vals);
        let [cond, x, y] = vals;
        let ty = self.ty(x);
        assert!(self.ty(cond).elem == Elem::Bool && self.ty(y) == ty, "select wants a condition and two equal types");
        self.pure(Inst::Select(cond, x, y), ty)
    }

    /// Conversion to another element type.
    pub fn convert(&mut self, x: Val, elem: Elem) -> Val {
        let ty = self.ty(x);
        if ty.elem == elem {
            return x;
        }
        self.pure(Inst::Convert(x), ty.with_elem(elem))
    }

    /// The same bits as another element type.
    pub fn bitcast(&mut self, x: Val, elem: Elem) -> Val {
        let ty = self.ty(x);
        if ty.elem == elem {
            return x;
        }
        assert_eq!(ty.elem.bits(), elem.bits(), "bitcast keeps the width");
        self.pure(Inst::Bitcast(x), ty.with_elem(elem))
    }

    /// One lane.
    pub fn lane(&mut self, x: Val, lane: u8) -> Val {
        let ty = self.ty(x);
        assert!(lane < ty.lanes);
        if ty.lanes == 1 {
            return x;
        }
        self.pure(Inst::Lane(x, lane), Ty::scalar(ty.elem))
    }

    /// Half of the lanes.
    pub fn half(&mut self, x: Val, upper: bool) -> Val {
        let ty = self.ty(x);
        assert!(ty.lanes > 1);
        self.pure(Inst::Half(x, upper), Ty::vector(ty.elem, ty.lanes / 2))
    }

    /// Lanes of the lower or the upper halves of two vectors in turn.
    pub fn interleave(&mut self, x: Val, y: Val, upper: bool) -> Val {
        let ty = self.ty(x);
        assert!(ty == self.ty(y) && ty.lanes > 1 && ty.elem != Elem::Bool, "interleave wants two vectors of numbers");
        self.pure(Inst::Interleave(x, y, upper), ty)
    }

    /// Whether any lane is set.
    pub fn any(&mut self, mask: Val) -> Val {
        assert_eq!(self.ty(mask).elem, Elem::Bool);
        if self.ty(mask).lanes == 1 {
            return mask;
        }
        self.pure(Inst::Any(mask), Ty::scalar(Elem::Bool))
    }

    /// Combines the lanes of a vector into a scalar: the lower half with the upper half, until one lane is left.
    pub fn reduce_lanes(&mut self, mut x: Val, mut combine: impl FnMut(&mut Self, Val, Val) -> Val) -> Val {
        while self.ty(x).lanes > 1 {
            let (low, high) = (self.half(x, false), self.half(x, true));
            x = combine(self, low, high);
        }
        x
    }

    // ---- memory ----------------------------------------------------------------------------------------------------

    fn is_constant_memory(&self, buf: Buf) -> bool {
        buf.0 >= TABLE_BASE || (buf.0 < SCRATCH_BASE && self.operands[buf.0 as usize].mode == Mode::Read)
    }

    fn dtype(&self, buf: Buf) -> DType {
        match buf.0 {
            TABLE_BASE.. => self.tables[(buf.0 - TABLE_BASE) as usize].dtype,
            SCRATCH_BASE.. => self.scratch[(buf.0 - SCRATCH_BASE) as usize].dtype,
            i => self.operands[i as usize].dtype,
        }
    }

    /// The block into which a load goes: out of loops that certainly run, if nothing can write the memory meanwhile.
    fn load_depth(&self, buf: Buf, operands: impl Iterator<Item = Val>) -> usize {
        let mut depth = self.scopes.len() - 1;
        if self.is_constant_memory(buf) {
            let known = operands.map(|v| self.info(v).depth).max().unwrap_or(0);
            while depth > known && self.scopes[depth].certain {
                depth -= 1;
            }
        }
        depth
    }

    /// Moves the constant part of an index into the offset.
    fn split_offset(&self, mut access: Access) -> Access {
        while let Some(Inst::Binary(Binary::Add, x, c)) = self.info(access.index).inst {
            match self.known_index(c) {
                Some(c) => (access.index, access.offset) = (x, access.offset + c),
                None => break,
            }
        }
        access
    }

    /// Reads one element.
    pub fn load(&mut self, buf: Buf, index: Val) -> Val {
        self.load_lanes(buf, index, 1)
    }

    /// Reads consecutive elements.
    pub fn load_lanes(&mut self, buf: Buf, index: Val, lanes: u8) -> Val {
        self.load_access(Access { buf, index, offset: 0, stride: 1, active: None }, lanes)
    }

    /// Reads elements as an [`Access`] says. A stride of 0 reads one element into every lane.
    pub fn load_access(&mut self, access: Access, lanes: u8) -> Val {
        if access.stride == 0 && access.active.is_none() {
            let x = self.load_access(Access { stride: 1, ..access }, 1);
            return self.splat(x, lanes);
        }
        let access = self.normal(access, lanes);
        let ty = Ty::vector(Elem::of(self.dtype(access.buf)), lanes);
        let depth = self.load_depth(access.buf, [access.index].into_iter().chain(access.active));
        self.place(Inst::Load(access), ty, depth, self.is_constant_memory(access.buf))
    }

    fn normal(&mut self, access: Access, lanes: u8) -> Access {
        assert_eq!(self.ty(access.index), Ty::INDEX, "an index is a scalar i64");
        let mut access = self.split_offset(access);
        if lanes == 1 {
            access.stride = 1;
        }
        if let Some(active) = access.active {
            assert_eq!(self.ty(active), Ty::INDEX);
            if self.range(active).is_some_and(|(low, _)| low >= i64::from(lanes)) {
                access.active = None;
            }
        }
        access
    }

    /// Reads an element for each lane of an `i64` vector.
    pub fn gather(&mut self, buf: Buf, index: Val) -> Val {
        let lanes = self.ty(index).lanes;
        if lanes == 1 {
            return self.load(buf, index);
        }
        assert_eq!(self.ty(index).elem, Elem::I64);
        let ty = Ty::vector(Elem::of(self.dtype(buf)), lanes);
        let depth = self.load_depth(buf, [index].into_iter());
        self.place(Inst::Gather { buf, index, offset: 0 }, ty, depth, self.is_constant_memory(buf))
    }

    /// Writes consecutive elements.
    pub fn store(&mut self, buf: Buf, index: Val, value: Val) {
        self.store_access(Access { buf, index, offset: 0, stride: 1, active: None }, value);
    }

    /// Writes elements as an [`Access`] says.
    pub fn store_access(&mut self, access: Access, value: Val) {
        let ty = self.ty(value);
        assert_eq!(ty.elem, Elem::of(self.dtype(access.buf)), "the stored value has the buffer's type");
        assert!(!self.is_constant_memory(access.buf), "the buffer can be written");
        let access = self.normal(access, ty.lanes);
        self.push(Stmt::Store(access, value));
    }

    fn push(&mut self, stmt: Stmt) {
        let scope = self.scopes.last_mut().expect("a builder always has a scope");
        scope.stmts.push(stmt);
    }

    /// Ends the kernel with `status` unless `cond` holds.
    pub fn check(&mut self, cond: Val, status: i32) {
        assert!(status != 0, "status 0 means success");
        assert_eq!(self.ty(cond), Ty::scalar(Elem::Bool));
        if self.known_bool(cond) != Some(true) {
            self.push(Stmt::Check(cond, status));
        }
    }

    // ---- control flow ----------------------------------------------------------------------------------------------

    /// `for var in (begin..end).step_by(step) { body }`.
    pub fn repeat(&mut self, begin: Val, end: Val, step: i64, body: impl FnOnce(&mut Self, Val)) {
        self.fold(begin, end, step, &[], |b, var, _| {
            body(b, var);
            Vec::new()
        });
    }

    /// `for var in 0..n { body }`; a loop of one turn is no loop.
    pub fn count(&mut self, n: usize, body: impl FnOnce(&mut Self, Val)) {
        let (begin, end) = (self.index(0), self.index(n as i64));
        self.repeat(begin, end, 1, body);
    }

    /// A loop that carries values: `body` gets them and returns the next ones; the result is those after the last turn.
    pub fn fold(
        &mut self,
        begin: Val,
        end: Val,
        step: i64,
        init: &[Val],
        body: impl FnOnce(&mut Self, Val, &[Val]) -> Vec<Val>,
    ) -> Vec<Val> {
        if let (Some(b), Some(e)) = (self.known_index(begin), self.known_index(end)) {
            if b >= e {
                return init.to_vec();
            }
            if b + step >= e {
                return body(self, begin, init);
            }
        }
        self.looped(begin, end, step, false, init, None, body)
    }

    /// Like [`Builder::fold`] with constant bounds, unrolled: emitters write the body once for every turn.
    pub fn unrolled(
        &mut self,
        turns: usize,
        init: &[Val],
        body: impl FnOnce(&mut Self, Val, &[Val]) -> Vec<Val>,
    ) -> Vec<Val> {
        let (begin, end) = (self.index(0), self.index(turns as i64));
        match turns {
            0 => init.to_vec(),
            1 => body(self, begin, init),
            _ => self.looped(begin, end, 1, true, init, None, body),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the one place that all loops come from")]
    fn looped(
        &mut self,
        begin: Val,
        end: Val,
        step: i64,
        unroll: bool,
        init: &[Val],
        range: Option<(i64, i64)>,
        body: impl FnOnce(&mut Self, Val, &[Val]) -> Vec<Val>,
    ) -> Vec<Val> {
        assert!(step > 0, "loops count upwards");
        let certain = match (self.range(begin), self.range(end)) {
            (Some((_, begin)), Some((end, _))) => begin < end,
            _ => false,
        };
        // The chunk range is never empty.
        let certain = certain || (begin, end) == (Kernel::BEGIN, Kernel::END);
        let range = range.or_else(|| Some((self.range(begin)?.0, self.range(end)?.1 - 1)));
        let depth = self.scopes.len();
        self.scopes.push(Scope { certain, ..Scope::default() });
        let var = self.define(Ty::INDEX, depth, None, range);
        let args: Vec<Val> = init
            .iter()
            .map(|&v| {
                let ty = self.ty(v);
                self.define(ty, depth, None, None)
            })
            .collect();
        let next = body(self, var, &args);
        assert_eq!(next.len(), init.len(), "a loop returns as many values as it carries");
        let scope = self.scopes.pop().expect("pushed above");
        let mut results = Vec::with_capacity(init.len());
        let mut carried = Vec::with_capacity(init.len());
        for ((&init, &arg), &next) in init.iter().zip(&args).zip(&next) {
            assert_eq!(self.ty(init), self.ty(next), "a carried value keeps its type");
            let result = self.define(self.ty(init), depth - 1, None, None);
            carried.push(Carried { init, arg, next, result });
            results.push(result);
        }
        self.push(Stmt::Loop(Box::new(Loop { var, begin, end, step, unroll, carried, body: scope.stmts })));
        results
    }

    /// `if cond { then } else { otherwise }` with the values that both branches return.
    pub fn branch(
        &mut self,
        cond: Val,
        then: impl FnOnce(&mut Self) -> Vec<Val>,
        otherwise: impl FnOnce(&mut Self) -> Vec<Val>,
    ) -> Vec<Val> {
        assert_eq!(self.ty(cond), Ty::scalar(Elem::Bool));
        match self.known_bool(cond) {
            Some(true) => return then(self),
            Some(false) => return otherwise(self),
            None => {}
        }
        let depth = self.scopes.len();
        self.scopes.push(Scope::default());
        let a = then(self);
        let first = self.scopes.pop().expect("pushed above").stmts;
        self.scopes.push(Scope::default());
        let b = otherwise(self);
        let second = self.scopes.pop().expect("pushed above").stmts;
        assert_eq!(a.len(), b.len(), "both branches return as many values");
        let mut results = Vec::new();
        for (&then, &otherwise) in a.iter().zip(&b) {
            assert_eq!(self.ty(then), self.ty(otherwise), "both branches return the same types");
            let result = self.define(self.ty(then), depth - 1, None, None);
            results.push(Merged { then, otherwise, result });
        }
        let vals = results.iter().map(|m| m.result).collect();
        self.push(Stmt::If(Box::new(If { cond, then: first, otherwise: second, results })));
        vals
    }

    /// `if cond { body }`.
    pub fn when(&mut self, cond: Val, body: impl FnOnce(&mut Self)) {
        self.branch(
            cond,
            |b| {
                body(b);
                Vec::new()
            },
            |_| Vec::new(),
        );
    }
}

/// The values that an instruction reads.
pub(super) fn operands_of(inst: &Inst) -> impl Iterator<Item = Val> + use<> {
    let (a, b, c) = match *inst {
        Inst::Const(_) | Inst::Iota => (None, None, None),
        Inst::Unary(_, a)
        | Inst::DivFloor(a, _)
        | Inst::Mod(a, _)
        | Inst::Convert(a)
        | Inst::Bitcast(a)
        | Inst::Splat(a)
        | Inst::Lane(a, _)
        | Inst::Half(a, _)
        | Inst::Any(a)
        | Inst::Gather { index: a, .. } => (Some(a), None, None),
        Inst::Binary(_, a, b) | Inst::Compare(_, a, b) | Inst::Interleave(a, b, _) => (Some(a), Some(b), None),
        Inst::Fma(a, b, c) | Inst::Select(a, b, c) => (Some(a), Some(b), Some(c)),
        Inst::Load(access) => (Some(access.index), access.active, None),
    };
    a.into_iter().chain(b).chain(c)
}

fn renumber_block(block: &mut Block, f: &mut impl FnMut(&mut Buf)) {
    for stmt in block {
        match stmt {
            Stmt::Let(_, Inst::Load(access)) | Stmt::Store(access, _) => f(&mut access.buf),
            Stmt::Let(_, Inst::Gather { buf, .. }) => f(buf),
            Stmt::Let(..) | Stmt::Check(..) => {}
            Stmt::Loop(l) => renumber_block(&mut l.body, f),
            Stmt::If(i) => {
                renumber_block(&mut i.then, f);
                renumber_block(&mut i.otherwise, f);
            }
        }
    }
}
