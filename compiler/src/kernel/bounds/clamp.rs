//! Clamps accesses that are not proved.

use super::{Unproved, unproved};
use crate::kernel::ir::*;

/// Clamps the index of every access that is not proved to stay inside its buffer; returns their number.
///
/// # Errors
/// An access that is wider than its buffer, which no index keeps inside.
pub fn confine(kernel: &mut Kernel) -> Result<usize, Unproved> {
    let open = unproved(kernel);
    if open.is_empty() {
        return Ok(0);
    }
    let mut body = std::mem::take(&mut kernel.body);
    let mut clamps = Clamps { kernel, open: &open, next: 0 };
    let done = clamps.block(&mut body);
    kernel.body = body;
    done?;
    Ok(open.len())
}

struct Clamps<'a> {
    kernel: &'a mut Kernel,
    open: &'a [Unproved],
    /// The number of the next access.
    next: usize,
}

impl Clamps<'_> {
    fn block(&mut self, block: &mut Block) -> Result<(), Unproved> {
        let mut clamped = Vec::with_capacity(block.len());
        for mut stmt in std::mem::take(block) {
            match &mut stmt {
                Stmt::Let(val, inst @ Inst::Load(_)) => {
                    let Inst::Load(access) = inst else { unreachable!("it is one") };
                    let ty = self.kernel.ty(*val);
                    if ty.lanes == 1 {
                        self.access(access, ty.lanes, &mut clamped)?;
                    } else if let Some(open) = self.take() {
                        *inst = self.gathered(access, ty, open, &mut clamped)?;
                    }
                }
                Stmt::Let(_, Inst::Gather { index, offset, .. }) => {
                    if let Some(open) = self.take() {
                        let (low, high) = (-i128::from(*offset), open.elements as i128 - 1 - i128::from(*offset));
                        *index = self.clamp(*index, (low, high), open, &mut clamped)?;
                    }
                }
                Stmt::Store(access, value) => {
                    let lanes = self.kernel.ty(*value).lanes;
                    if access.active.is_some_and(|mask| self.is_mask(mask, lanes)) {
                        // Which lanes it writes is not known, so that no index keeps them all where they were meant to be.
                        if let Some(open) = self.take() {
                            return Err(open);
                        }
                    } else {
                        self.access(access, lanes, &mut clamped)?;
                    }
                }
                Stmt::Loop(l) => self.block(&mut l.body)?,
                Stmt::If(i) => {
                    self.block(&mut i.then)?;
                    self.block(&mut i.otherwise)?;
                }
                Stmt::Let(..) | Stmt::Check(..) => {}
            }
            clamped.push(stmt);
        }
        *block = clamped;
        Ok(())
    }

    /// The current access, if it is one to clamp.
    fn take(&mut self) -> Option<Unproved> {
        let found = self.open.first().copied().filter(|open| open.access == self.next);
        self.next += 1;
        self.open = &self.open[usize::from(found.is_some())..];
        found
    }

    fn access(&mut self, access: &mut Access, lanes: u8, into: &mut Block) -> Result<(), Unproved> {
        let Some(open) = self.take() else { return Ok(()) };
        let span = i128::from(access.stride) * (i128::from(lanes) - 1);
        let offset = i128::from(access.offset);
        let bounds = (-span.min(0) - offset, open.elements as i128 - 1 - span.max(0) - offset);
        access.index = self.clamp(access.index, bounds, open, into)?;
        Ok(())
    }

    /// Whether lanes are active by a mask.
    fn is_mask(&self, active: Val, lanes: u8) -> bool {
        lanes > 1 && self.kernel.ty(active).elem == Elem::Bool
    }

    /// A load of a vector as a gather, whose indices are clamped lane by lane: moving all of them would move those that are inside.
    fn gathered(&mut self, access: &Access, ty: Ty, open: Unproved, into: &mut Block) -> Result<Inst, Unproved> {
        let indices = Ty::vector(Elem::I64, ty.lanes);
        let lane = self.define(Inst::Iota, indices, into);
        let stride = self.define(Inst::Const(Const::I64(access.stride)), indices, into);
        let distance = self.define(Inst::Binary(Binary::Mul, lane, stride), indices, into);
        let first = self.define(Inst::Splat(access.index), indices, into);
        let index = self.define(Inst::Binary(Binary::Add, first, distance), indices, into);
        let (low, high) = (-i128::from(access.offset), open.elements as i128 - 1 - i128::from(access.offset));
        let index = self.clamp(index, (low, high), open, into)?;
        let inst = Inst::Gather { buf: access.buf, index, offset: access.offset };
        let Some(active) = access.active else { return Ok(inst) };
        let mask = if self.is_mask(active, ty.lanes) {
            active
        } else {
            let end = self.define(Inst::Splat(active), indices, into);
            self.define(Inst::Compare(Compare::Lt, lane, end), Ty::vector(Elem::Bool, ty.lanes), into)
        };
        let all = self.define(inst, ty, into);
        let zero = self.define(Inst::Const(Const::int(ty.elem, 0)), ty, into);
        Ok(Inst::Select(mask, all, zero))
    }

    fn define(&mut self, inst: Inst, ty: Ty, into: &mut Block) -> Val {
        let val = Val(self.kernel.values.len() as u32);
        self.kernel.values.push(ty);
        into.push(Stmt::Let(val, inst));
        val
    }

    fn clamp(
        &mut self,
        index: Val,
        (low, high): (i128, i128),
        open: Unproved,
        into: &mut Block,
    ) -> Result<Val, Unproved> {
        let (Ok(low), Ok(high)) = (i64::try_from(low), i64::try_from(high)) else { return Err(open) };
        if low > high {
            return Err(open);
        }
        let ty = self.kernel.ty(index);
        let low = self.define(Inst::Const(Const::I64(low)), ty, into);
        let high = self.define(Inst::Const(Const::I64(high)), ty, into);
        let index = self.define(Inst::Binary(Binary::Max, index, low), ty, into);
        Ok(self.define(Inst::Binary(Binary::Min, index, high), ty, into))
    }
}
