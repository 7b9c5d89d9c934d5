//! The verifier of kernels; see the [data types](super::ir) for the rules.

use std::ops::Deref;

use super::bounds::{Unproved, confine, unproved};
use super::ir::*;

/// The rule that a kernel violates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    pub message: String,
}

type Result<T = ()> = std::result::Result<T, Malformed>;

macro_rules! ensure {
    ($cond:expr, $($text:tt)*) => {
        if !$cond {
            return Err(Malformed { message: format!($($text)*) });
        }
    };
}

impl From<Unproved> for Malformed {
    fn from(access: Unproved) -> Self {
        Malformed { message: format!("{access}, is not proved to be in bounds") }
    }
}

/// Checks a kernel: that it is well-formed, and that none of its accesses leaves its buffer.
pub fn verify(kernel: &Kernel) -> Result {
    well_formed(kernel)?;
    unproved(kernel).first().map_or(Ok(()), |&access| Err(access.into()))
}

/// A kernel that [`verify`] accepts. It is made by that proof only, and never changes: programs consist of nothing else, so emitters
/// need not prove anything again.
///
/// ```compile_fail,E0423
/// # use dlc_compiler::kernel::{Kernel, Verified};
/// fn forge(kernel: Kernel) -> Verified {
///     Verified(kernel)
/// }
/// ```
///
/// ```compile_fail,E0596
/// # use dlc_compiler::kernel::Verified;
/// fn change(kernel: &mut Verified) {
///     kernel.body.clear();
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verified(Kernel);

impl Verified {
    /// Verifies a kernel.
    ///
    /// # Errors
    /// The rule that it violates.
    pub fn new(kernel: Kernel) -> Result<Verified> {
        verify(&kernel)?;
        Ok(Verified(kernel))
    }

    /// Clamps every access that is not proved, then verifies; returns the number of clamped accesses.
    ///
    /// # Errors
    /// The rule that it violates; an access that is wider than its buffer.
    pub fn confined(mut kernel: Kernel) -> Result<(Verified, usize)> {
        well_formed(&kernel)?;
        match confine(&mut kernel)? {
            // Nothing was clamped, so everything is proved.
            0 => Ok((Verified(kernel), 0)),
            clamped => Ok((Verified::new(kernel)?, clamped)),
        }
    }
}

impl Deref for Verified {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.0
    }
}

fn well_formed(kernel: &Kernel) -> Result {
    ensure!(kernel.chunks >= 1, "expected at least one chunk");
    ensure!(kernel.values.len() >= 2, "the chunk range is missing");
    ensure!(kernel.values[..2] == [Ty::INDEX; 2], "the chunk range is a pair of i64");
    for ty in &kernel.values {
        let lanes = ty.lanes;
        ensure!(lanes.is_power_of_two() && lanes <= Ty::MAX_LANES, "{lanes} lanes are not a power of two up to 16");
    }
    for table in &kernel.tables {
        let size = table.dtype.size();
        ensure!(table.bytes.len().is_multiple_of(size), "the size of a table is not a multiple of its elements'");
    }
    let mut checker = Checker {
        kernel,
        visible: vec![false; kernel.values.len()],
        defined: vec![false; kernel.values.len()],
        consts: vec![None; kernel.values.len()],
    };
    for val in [Kernel::BEGIN, Kernel::END] {
        checker.define(val)?;
    }
    checker.block(&kernel.body).map(drop)
}

struct Checker<'a> {
    kernel: &'a Kernel,
    visible: Vec<bool>,
    defined: Vec<bool>,
    consts: Vec<Option<Const>>,
}

impl Checker<'_> {
    fn define(&mut self, val: Val) -> Result {
        let i = val.0 as usize;
        ensure!(i < self.visible.len(), "%{i} has no type");
        ensure!(!self.defined[i], "%{i} is defined twice");
        self.defined[i] = true;
        self.visible[i] = true;
        Ok(())
    }

    fn ty(&self, val: Val) -> Result<Ty> {
        let i = val.0 as usize;
        ensure!(i < self.visible.len() && self.visible[i], "%{i} is used where its definition does not dominate");
        Ok(self.kernel.values[i])
    }

    fn typed(&self, val: Val, ty: Ty, what: &str) -> Result {
        let found = self.ty(val)?;
        ensure!(found == ty, "{what} %{} is {found}, not {ty}", val.0);
        Ok(())
    }

    /// Checks a block and returns what it defined.
    fn block(&mut self, block: &Block) -> Result<Vec<Val>> {
        let mut local = Vec::new();
        for stmt in block {
            match stmt {
                Stmt::Let(val, inst) => {
                    ensure!((val.0 as usize) < self.visible.len(), "%{} has no type", val.0);
                    self.inst(inst, self.kernel.ty(*val))?;
                    if let Inst::Const(c) = inst {
                        self.consts[val.0 as usize] = Some(*c);
                    }
                    self.define(*val)?;
                    local.push(*val);
                }
                Stmt::Store(access, value) => {
                    let ty = self.ty(*value)?;
                    self.access(access, ty)?;
                    let writable = match self.kernel.buffer(access.buf) {
                        BufKind::Operand(i) => self.kernel.operands[i].mode != AccessMode::Read,
                        BufKind::Scratch(_) => true,
                        BufKind::Table(_) => false,
                    };
                    ensure!(writable, "a store to buffer {}, which is read-only", access.buf.0);
                    ensure!(access.stride != 0 || ty.lanes == 1, "a store of several lanes to one element");
                }
                Stmt::Check(cond, status) => {
                    self.typed(*cond, Ty::scalar(Elem::Bool), "the condition")?;
                    ensure!(*status != 0, "a check with status 0");
                }
                Stmt::Loop(l) => local.extend(self.repeat(l)?),
                Stmt::If(i) => local.extend(self.branch(i)?),
            }
        }
        Ok(local)
    }

    fn leave(&mut self, local: Vec<Val>) {
        for val in local {
            self.visible[val.0 as usize] = false;
        }
    }

    fn repeat(&mut self, l: &Loop) -> Result<Vec<Val>> {
        self.typed(l.begin, Ty::INDEX, "the begin")?;
        self.typed(l.end, Ty::INDEX, "the end")?;
        ensure!(l.step > 0, "a loop with step {}", l.step);
        if l.unroll {
            let constant = |v: Val| self.consts[v.0 as usize].is_some();
            ensure!(constant(l.begin) && constant(l.end), "an unrolled loop without constant bounds");
        }
        let mut local = vec![l.var];
        self.define(l.var)?;
        ensure!(self.kernel.ty(l.var) == Ty::INDEX, "a loop variable that is not an i64");
        for c in &l.carried {
            let ty = self.ty(c.init)?;
            self.define(c.arg)?;
            self.typed(c.arg, ty, "the carried value")?;
            local.push(c.arg);
        }
        local.extend(self.block(&l.body)?);
        for c in &l.carried {
            self.typed(c.next, self.kernel.ty(c.arg), "the next value")?;
        }
        self.leave(local);
        l.carried.iter().try_for_each(|c| self.result(c.result, self.kernel.ty(c.arg)))?;
        Ok(l.carried.iter().map(|c| c.result).collect())
    }

    fn result(&mut self, val: Val, ty: Ty) -> Result {
        self.define(val)?;
        self.typed(val, ty, "the result")
    }

    fn branch(&mut self, i: &If) -> Result<Vec<Val>> {
        self.typed(i.cond, Ty::scalar(Elem::Bool), "the condition")?;
        let local = self.block(&i.then)?;
        let types = i.results.iter().map(|m| self.ty(m.then)).collect::<Result<Vec<_>>>()?;
        self.leave(local);
        let local = self.block(&i.otherwise)?;
        for (m, &ty) in i.results.iter().zip(&types) {
            self.typed(m.otherwise, ty, "the value of the other branch")?;
        }
        self.leave(local);
        for (m, ty) in i.results.iter().zip(types) {
            self.result(m.result, ty)?;
        }
        Ok(i.results.iter().map(|m| m.result).collect())
    }

    fn buffer(&self, buf: Buf) -> Result<Elem> {
        let count = self.kernel.operands.len() + self.kernel.scratch.len() + self.kernel.tables.len();
        ensure!((buf.0 as usize) < count, "unknown buffer {}", buf.0);
        Ok(Elem::of(self.kernel.extent(buf).0))
    }

    fn access(&self, access: &Access, ty: Ty) -> Result {
        let elem = self.buffer(access.buf)?;
        ensure!(
            elem == ty.elem,
            "type mismatch: buffer {} has {}, expected {}",
            access.buf.0,
            elem.name(),
            ty.elem.name()
        );
        self.typed(access.index, Ty::INDEX, "the index")?;
        match access.active {
            Some(mask) if self.ty(mask)?.elem == Elem::Bool => {
                self.typed(mask, Ty::vector(Elem::Bool, ty.lanes), "the mask of active lanes")
            }
            Some(n) => self.typed(n, Ty::INDEX, "the number of active lanes"),
            None => Ok(()),
        }
    }

    fn inst(&self, inst: &Inst, ty: Ty) -> Result {
        for val in inst.operands() {
            self.ty(val)?;
        }
        let same = |val: Val| self.typed(val, ty, "the operand");
        let lanes = |val: Val, n: u8| {
            let found = self.kernel.ty(val).lanes;
            ensure!(found == n, "%{} has {found} lanes, expected {n}", val.0);
            Ok(())
        };
        let elem = ty.elem;
        match *inst {
            Inst::Const(c) => ensure!(c.elem() == elem, "a constant of another type than its value"),
            Inst::Iota => ensure!(elem.is_int(), "iota of {}", elem.name()),
            Inst::Unary(op, x) => {
                same(x)?;
                let fits = match op {
                    Unary::Neg | Unary::Abs => elem != Elem::Bool,
                    Unary::Not => !elem.is_float(),
                    _ => elem.is_float(),
                };
                ensure!(fits, "{op:?} of {}", elem.name());
            }
            Inst::Binary(op, x, y) => {
                same(x)?;
                same(y)?;
                let fits = match op {
                    Binary::Add | Binary::Sub | Binary::Mul | Binary::Div => elem != Elem::Bool,
                    Binary::Min | Binary::Max => true,
                    Binary::And | Binary::Or | Binary::Xor => !elem.is_float(),
                    Binary::Rem | Binary::Shl | Binary::Shr | Binary::ShrU => elem.is_int(),
                    Binary::Scale => elem.is_float(),
                };
                ensure!(fits, "{op:?} of {}", elem.name());
            }
            Inst::Fma(a, b, c) => {
                ensure!(elem.is_float(), "fma of {}", elem.name());
                same(a)?;
                same(b)?;
                same(c)?;
            }
            Inst::DivFloor(x, d) | Inst::Mod(x, d) => {
                same(x)?;
                ensure!(elem.is_int(), "division with rounding down of {}", elem.name());
                ensure!(d > 0, "division by the constant {d}");
            }
            Inst::Compare(_, x, y) => {
                self.typed(y, self.kernel.ty(x), "the operand")?;
                lanes(x, ty.lanes)?;
                ensure!(elem == Elem::Bool, "a comparison is bool, found {}", elem.name());
            }
            Inst::Select(c, x, y) => {
                same(x)?;
                same(y)?;
                self.typed(c, ty.with_elem(Elem::Bool), "the condition")?;
            }
            Inst::Convert(x) => lanes(x, ty.lanes)?,
            Inst::Bitcast(x) => {
                lanes(x, ty.lanes)?;
                ensure!(self.kernel.ty(x).elem.bits() == elem.bits(), "a bitcast that changes the width");
            }
            Inst::Splat(x) => self.typed(x, Ty::scalar(elem), "the operand")?,
            Inst::Lane(x, lane) => {
                let from = self.kernel.ty(x);
                ensure!(lane < from.lanes, "lane {lane} of {from}");
                ensure!(ty == Ty::scalar(from.elem), "a lane of {from} as {ty}");
            }
            Inst::Half(x, _) => {
                let from = self.kernel.ty(x);
                ensure!(from.elem == elem && from.lanes == 2 * ty.lanes, "half of {from} as {ty}");
            }
            Inst::Interleave(x, y, _) => {
                same(x)?;
                same(y)?;
                ensure!(ty.lanes > 1 && elem != Elem::Bool, "interleaving of {ty}");
            }
            Inst::Any(x) => {
                ensure!(self.kernel.ty(x).elem == Elem::Bool, "any of a value that is not a mask");
                ensure!(ty == Ty::scalar(Elem::Bool), "any is a scalar bool");
            }
            Inst::Load(ref access) => self.access(access, ty)?,
            Inst::Gather { buf, index, .. } => {
                ensure!(self.buffer(buf)? == elem, "type mismatch: buffer {} does not have {}", buf.0, elem.name());
                self.typed(index, ty.with_elem(Elem::I64), "the index")?;
            }
        }
        Ok(())
    }
}
