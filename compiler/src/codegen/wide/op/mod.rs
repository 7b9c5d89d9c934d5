//! The instructions of the machine, as a table: what selection, allocation, encoding and text need to know of each.
//!
//! A name is the mnemonic and, where a mnemonic has several forms, what is special about one: `Store` (to memory only), `Imm` (with
//! an immediate, where there is a form without), `Mask` (EVEX, to a mask, where VEX writes a vector), `Vex` (where the forms of VEX and
//! EVEX have different operands), `FromGeneral`, `ToGeneral`.

mod families;
mod forms;
mod row;
mod table;

pub(super) use row::{Access, Immediate, Kind, Map, Place, Row, W};
pub(super) use table::Op;

use super::inst::{Class, Width};
use table::{MNEMONICS, ROWS};

impl Op {
    pub fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The mnemonic as Intel writes it, in lower case.
    pub fn mnemonic(self) -> &'static str {
        MNEMONICS[self as usize].text()
    }

    /// The classes of the operands without the immediate, in Intel's order. That of an operand that is always memory says nothing.
    pub fn classes(self) -> &'static [Class] {
        self.row().classes()
    }

    /// How operand 0 is used, unless it is memory: then it is no register that is written.
    pub fn dest(self) -> Access {
        self.row().dest
    }

    /// Whether operand 1 is used as operand 0 is: of `mulx`, which writes two registers, and of `xchg`.
    pub fn writes_two(self) -> bool {
        matches!(self, Op::Mulx | Op::Xchg)
    }

    /// The operand that may be memory.
    pub fn memory(self) -> Option<usize> {
        self.row().rm.filter(|&at| self.row().place(at) != Place::Register).map(usize::from)
    }

    /// Whether [`Op::memory`] must be memory.
    pub fn needs_memory(self) -> bool {
        self.memory().is_some_and(|at| self.row().place(at as u8) == Place::Memory)
    }

    /// The bytes that the memory operand has, without broadcast.
    pub fn memory_bytes(self, width: Width) -> u32 {
        self.row().memory.bytes(width)
    }

    /// The bytes of an element that memory can broadcast, in EVEX.
    pub fn broadcasts(self) -> Option<u8> {
        Some(self.row().broadcast).filter(|&bytes| bytes != 0)
    }

    /// Whether the last operand is an immediate.
    pub fn immediate(self) -> bool {
        self.row().immediate != Immediate::None
    }

    /// The widths that the op has. It is the widest of the operands; where that is always the same, it is the only one.
    #[cfg(test)]
    pub fn widths(self) -> impl Iterator<Item = Width> {
        Width::ALL.into_iter().filter(move |&width| self.row().has(width))
    }

    /// Whether the op has an encoding that AVX2 (or what is older) has.
    pub fn is_v3(self) -> bool {
        (self.row().vex.is_some() || !self.has_evex()) && !self.classes().contains(&Class::Mask)
    }

    /// Whether the op has an encoding with masks, broadcasts and 32 registers.
    pub fn has_evex(self) -> bool {
        self.row().evex.is_some()
    }

    /// Whether the op can be executed under a mask.
    pub fn masks(self) -> bool {
        self.row().masking && self.has_evex()
    }

    /// Whether the op sets its mask to zero: that of a gather or a scatter, which must have one; in VEX it is operand 2.
    pub fn clears_mask(self) -> bool {
        self.row().index.is_some()
    }
}
