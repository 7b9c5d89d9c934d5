//! The builder of kernels.
//!
//! Callers write loops and arithmetic naively; the builder performs common-subexpression elimination and loop-invariant code
//! motion: each pure instruction goes into the outermost block in which its operands are defined, so that emitters need neither.
//! Loads of [`AccessMode::Read`] operands and tables are hoisted out of loops that run at least once; all other loads stay where they
//! are built.
//!
//! Index arithmetic is folded while it is built, using the ranges of loop variables: `(i * 4 + j) / 4` with `j` in `0..4` is `i`.

mod arith;
mod control;
mod memory;

use std::sync::Arc;

use dlc_ir::DType;
use rustc_hash::FxHashMap;

use super::ir::*;

/// Builds one [`Kernel`]. Ill-typed operands are bugs of the caller and panic.
pub struct KernelBuilder {
    operands: Vec<Operand>,
    scratch: Vec<Scratch>,
    tables: Vec<ConstTable>,
    chunks: usize,
    values: Vec<ValueInfo>,
    scopes: Vec<Scope>,
    /// Empty tables of scopes that have ended, for the next ones.
    spare: Vec<Memo>,
}

/// Pure instructions of a block, with their values.
type Memo = FxHashMap<(Inst, Ty), Val>;

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
    memo: Memo,
    /// Whether the block runs whenever its parent does.
    certain: bool,
}

/// Buffers are numbered while the kernel is built, before the number of operands is known: scratch buffers and tables count from
/// these and are renumbered by [`KernelBuilder::finish`].
const SCRATCH_BASE: u32 = 1 << 16;
const TABLE_BASE: u32 = 1 << 17;

impl KernelBuilder {
    /// A kernel whose work is split into `chunks` chunks (at least one).
    pub fn new(chunks: usize) -> Self {
        assert!(chunks >= 1, "a kernel has at least one chunk");
        let mut b = KernelBuilder {
            operands: Vec::new(),
            scratch: Vec::new(),
            tables: Vec::new(),
            chunks,
            values: Vec::with_capacity(256),
            scopes: vec![Scope { certain: true, ..Scope::default() }],
            spare: Vec::new(),
        };
        let last = chunks as i64;
        b.define(Ty::INDEX, 0, None, Some((0, last - 1)));
        b.define(Ty::INDEX, 0, None, Some((1, last)));
        b
    }

    /// Adds an operand.
    pub fn operand(&mut self, dtype: DType, elements: usize, mode: AccessMode) -> Buf {
        self.operands.push(Operand { dtype, elements, mode });
        Buf(self.operands.len() as u32 - 1)
    }

    /// Adds private memory.
    pub fn scratch(&mut self, dtype: DType, elements: usize) -> Buf {
        self.scratch.push(Scratch { dtype, elements });
        Buf(SCRATCH_BASE + self.scratch.len() as u32 - 1)
    }

    /// Adds constant data, without duplicates.
    pub fn table(&mut self, dtype: DType, bytes: &[u8]) -> Buf {
        let known = self.tables.iter().position(|t| t.dtype == dtype && *t.bytes == *bytes);
        let index = known.unwrap_or_else(|| {
            self.tables.push(ConstTable { dtype, bytes: Arc::from(bytes) });
            self.tables.len() - 1
        });
        Buf(TABLE_BASE + index as u32)
    }

    /// The type of a value.
    pub fn ty(&self, val: Val) -> Ty {
        self.values[val.0 as usize].ty
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
        super::dce::eliminate_dead_code(&mut kernel);
        kernel
    }

    /// Begins a block.
    fn open(&mut self, certain: bool) {
        let memo = self.spare.pop().unwrap_or_default();
        self.scopes.push(Scope { stmts: Block::new(), memo, certain });
    }

    /// Ends the innermost block.
    fn close(&mut self) -> Block {
        let Scope { stmts, mut memo, .. } = self.scopes.pop().expect("a block was begun");
        memo.clear();
        self.spare.push(memo);
        stmts
    }

    fn define(&mut self, ty: Ty, depth: usize, inst: Option<Inst>, range: Option<(i64, i64)>) -> Val {
        self.values.push(ValueInfo { ty, depth, inst, range });
        Val(self.values.len() as u32 - 1)
    }

    fn info(&self, val: Val) -> &ValueInfo {
        &self.values[val.0 as usize]
    }

    /// Defines a value in the outermost possible block, or reuses an equal one.
    fn pure(&mut self, inst: Inst, ty: Ty) -> Val {
        let depth = inst.operands().map(|v| self.info(v).depth).max().unwrap_or(0);
        self.insert(inst, ty, depth, true)
    }

    fn insert(&mut self, inst: Inst, ty: Ty, depth: usize, memo: bool) -> Val {
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

    /// The lane numbers.
    pub fn iota(&mut self, ty: Ty) -> Val {
        assert!(ty.elem.is_int(), "iota is integer");
        self.pure(Inst::Iota, ty)
    }
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
