//! Loads, stores and checks.

use dlc_ir::DType;

use super::{KernelBuilder, SCRATCH_BASE, TABLE_BASE};
use crate::kernel::ir::*;

impl KernelBuilder {
    fn is_constant_memory(&self, buf: Buf) -> bool {
        buf.0 >= TABLE_BASE || (buf.0 < SCRATCH_BASE && self.operands[buf.0 as usize].mode == AccessMode::Read)
    }

    fn dtype(&self, buf: Buf) -> DType {
        match buf.0 {
            TABLE_BASE.. => self.tables[(buf.0 - TABLE_BASE) as usize].dtype,
            SCRATCH_BASE.. => self.scratch[(buf.0 - SCRATCH_BASE) as usize].dtype,
            i => self.operands[i as usize].dtype,
        }
    }

    /// The block into which a load is hoisted: out of loops that certainly run, if nothing can write the memory meanwhile.
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

    /// Loads as an [`Access`] describes. A stride of 0 broadcasts one element to every lane.
    pub fn load_access(&mut self, access: Access, lanes: u8) -> Val {
        if access.stride == 0 && access.active.is_none() {
            let x = self.load_access(Access { stride: 1, ..access }, 1);
            return self.splat(x, lanes);
        }
        let access = self.normal(access, lanes);
        let ty = Ty::vector(Elem::of(self.dtype(access.buf)), lanes);
        let depth = self.load_depth(access.buf, [access.index].into_iter().chain(access.active));
        self.insert(Inst::Load(access), ty, depth, self.is_constant_memory(access.buf))
    }

    fn normal(&mut self, access: Access, lanes: u8) -> Access {
        assert_eq!(self.ty(access.index), Ty::INDEX, "an index is a scalar i64");
        let mut access = self.split_offset(access);
        if lanes == 1 {
            access.stride = 1;
        }
        if let Some(active) = access.active {
            let is_mask = self.ty(active) == Ty::vector(Elem::Bool, lanes);
            assert!(is_mask || self.ty(active) == Ty::INDEX, "lanes are active by a mask or by their number");
            if self.known_bool(active) == Some(true)
                || self.range(active).is_some_and(|(low, _)| low >= i64::from(lanes))
            {
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
        self.insert(Inst::Gather { buf, index, offset: 0 }, ty, depth, self.is_constant_memory(buf))
    }

    /// Writes consecutive elements.
    pub fn store(&mut self, buf: Buf, index: Val, value: Val) {
        self.store_access(Access { buf, index, offset: 0, stride: 1, active: None }, value);
    }

    /// Stores as an [`Access`] describes.
    pub fn store_access(&mut self, access: Access, value: Val) {
        let ty = self.ty(value);
        assert_eq!(ty.elem, Elem::of(self.dtype(access.buf)), "the stored value has the buffer's type");
        assert!(!self.is_constant_memory(access.buf), "the buffer can be written");
        let access = self.normal(access, ty.lanes);
        self.push(Stmt::Store(access, value));
    }

    pub(super) fn push(&mut self, stmt: Stmt) {
        let scope = self.scopes.last_mut().expect("a builder always has a scope");
        scope.stmts.push(stmt);
    }

    /// Exits the kernel with `status` unless `cond` holds.
    pub fn check(&mut self, cond: Val, status: i32) {
        assert!(status != 0, "status 0 means success");
        assert_eq!(self.ty(cond), Ty::scalar(Elem::Bool));
        if self.known_bool(cond) != Some(true) {
            self.push(Stmt::Check(cond, status));
        }
    }
}
