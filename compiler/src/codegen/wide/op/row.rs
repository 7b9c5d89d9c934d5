//! What the table says of an instruction.

use crate::codegen::wide::inst::{Class, Width};

/// Opcode maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Map {
    /// One byte.
    Legacy = 0,
    M0F = 1,
    M0F38 = 2,
    M0F3A = 3,
}

/// Mandatory prefixes, by their encoding in VEX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Prefix {
    NP = 0,
    P66 = 1,
    PF3 = 2,
    PF2 = 3,
}

/// The bit W of VEX, EVEX or REX. Where it is ignored, it is zero here, since that has shorter encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum W {
    W0,
    W1,
    /// One for 64 bits.
    Width,
}

impl W {
    pub fn bit(self, width: Width) -> u32 {
        match self {
            W::W0 => 0,
            W::W1 => 1,
            W::Width => u32::from(matches!(width, Width::W64)),
        }
    }
}

/// Where an operand is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Place {
    /// ModRM.reg
    Reg,
    /// VEX.vvvv
    Vvvv,
    /// ModRM.rm, a register or memory
    Rm,
    /// ModRM.rm, a register
    Register,
    /// ModRM.rm, memory
    Memory,
    /// The high bits of an immediate byte.
    Is4,
}

/// What an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// A general register of the instruction's width.
    General,
    General8,
    General32,
    General64,
    /// A vector of the instruction's width.
    Full,
    /// Of half the width, but at least `xmm`, and so on.
    Half,
    Quarter,
    Eighth,
    Xmm,
    Ymm,
    Mask,
}

impl Kind {
    pub const fn class(self) -> Class {
        match self {
            Kind::General | Kind::General8 | Kind::General32 | Kind::General64 => Class::General,
            Kind::Full | Kind::Half | Kind::Quarter | Kind::Eighth | Kind::Xmm | Kind::Ymm => Class::Vector,
            Kind::Mask => Class::Mask,
        }
    }

    const fn size(self) -> Size {
        match self {
            Kind::General | Kind::Full => Size::Whole,
            Kind::General8 => Size::Bytes(1),
            Kind::General32 => Size::Bytes(4),
            Kind::General64 | Kind::Mask => Size::Bytes(8),
            Kind::Half => Size::Half,
            Kind::Quarter => Size::Quarter,
            Kind::Eighth => Size::Eighth,
            Kind::Xmm => Size::Bytes(16),
            Kind::Ymm => Size::Bytes(32),
        }
    }
}

/// The size of a memory operand, by which EVEX scales short displacements too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Size {
    /// The instruction's width.
    Whole,
    Half,
    Quarter,
    Eighth,
    Bytes(u8),
}

impl Size {
    pub fn bytes(self, width: Width) -> u32 {
        match self {
            Size::Whole => width.bytes(),
            Size::Half => width.bytes() / 2,
            Size::Quarter => width.bytes() / 4,
            Size::Eighth => width.bytes() / 8,
            Size::Bytes(bytes) => u32::from(bytes),
        }
    }
}

/// How operand 0 is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Access {
    Write,
    /// Read and written.
    Modify,
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Immediate {
    None,
    Byte,
    /// Four bytes, or one in the opcode with bit 1 set; both are extended with their sign.
    Signed,
    /// Four bytes, which are extended with their sign.
    Dword,
    /// That of `mov`, for which the encoder chooses the shortest of several opcodes.
    Mov,
}

/// One operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Operand {
    pub place: Place,
    pub kind: Kind,
    size: Size,
}

/// What the table says of one instruction.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Row {
    pub map: Map,
    pub prefix: Prefix,
    pub opcode: u8,
    /// ModRM.reg, where it is a part of the opcode.
    pub ext: Option<u8>,
    pub vex: Option<W>,
    pub evex: Option<W>,
    /// REX.W of what has neither VEX nor EVEX.
    pub rex: W,
    /// Whether VEX.L is one whatever the width is.
    pub long: bool,
    pub immediate: Immediate,
    pub dest: Access,
    /// The size of the memory operand.
    pub memory: Size,
    /// The bytes of an element that memory can broadcast, or zero.
    pub broadcast: u8,
    /// What the index of a gather or scatter is.
    pub index: Option<Kind>,
    /// Whether the text names the size of the memory operand, which registers do not imply.
    pub sized: bool,
    /// Whether it can be masked, if it has EVEX.
    pub masking: bool,
    /// Which operands are in ModRM.reg, VEX.vvvv, ModRM.rm, and the high bits of an immediate byte.
    pub reg: Option<u8>,
    pub vvvv: Option<u8>,
    pub rm: Option<u8>,
    pub is4: Option<u8>,
    widths: u8,
    count: u8,
    operands: [Operand; 4],
    classes: [Class; 4],
}

pub(super) const V128: u8 = 1 << Width::V128 as u8;
pub(super) const V256: u8 = 1 << Width::V256 as u8;
pub(super) const V512: u8 = 1 << Width::V512 as u8;
pub(super) const W32: u8 = 1 << Width::W32 as u8;
pub(super) const W64: u8 = 1 << Width::W64 as u8;

impl Row {
    /// The operands without the immediate, in Intel's order.
    pub fn operands(&self) -> &[Operand] {
        &self.operands[..self.count as usize]
    }

    pub fn classes(&self) -> &[Class] {
        &self.classes[..self.count as usize]
    }

    pub fn place(&self, at: u8) -> Place {
        self.operands[at as usize].place
    }

    pub fn has(&self, width: Width) -> bool {
        self.widths >> width as u8 & 1 != 0
    }

    /// Whether the lanes that its mask leaves out can become zero, which needs a vector in a register as destination.
    pub fn zeroing(&self) -> bool {
        self.masking && self.index.is_none() && self.classes[0] == Class::Vector
    }
}

/// How the table is written.
impl Row {
    pub(super) const fn new<const N: usize>(prefix: Prefix, map: Map, opcode: u8, list: [Operand; N]) -> Row {
        let mut row = Row {
            map,
            prefix,
            opcode,
            ext: None,
            vex: None,
            evex: None,
            rex: W::Width,
            long: false,
            immediate: Immediate::None,
            dest: Access::Write,
            memory: Size::Whole,
            broadcast: 0,
            index: None,
            sized: false,
            masking: true,
            reg: None,
            vvvv: None,
            rm: None,
            is4: None,
            widths: W32 | W64,
            count: N as u8,
            operands: [reg(Kind::General); 4],
            classes: [Class::General; 4],
        };
        let mut i = 0;
        while i < N {
            row.operands[i] = list[i];
            row.classes[i] = list[i].kind.class();
            let at = Some(i as u8);
            match list[i].place {
                Place::Reg => row.reg = at,
                Place::Vvvv => row.vvvv = at,
                Place::Is4 => row.is4 = at,
                Place::Rm | Place::Register | Place::Memory => {
                    row.rm = at;
                    row.memory = list[i].size;
                }
            }
            i += 1;
        }
        row
    }

    pub(super) const fn ext(self, ext: u8) -> Row {
        Row { ext: Some(ext), ..self }
    }

    pub(super) const fn imm(self) -> Row {
        self.immediate(Immediate::Byte)
    }

    pub(super) const fn immediate(self, immediate: Immediate) -> Row {
        Row { immediate, ..self }
    }

    pub(super) const fn modify(self) -> Row {
        Row { dest: Access::Modify, ..self }
    }

    pub(super) const fn read(self) -> Row {
        Row { dest: Access::Read, ..self }
    }

    pub(super) const fn widths(self, widths: u8) -> Row {
        Row { widths, ..self }
    }

    pub(super) const fn memory(self, bytes: u8) -> Row {
        Row { memory: Size::Bytes(bytes), ..self }
    }

    pub(super) const fn broadcast(self, broadcast: u8) -> Row {
        Row { broadcast, ..self }
    }

    pub(super) const fn unmasked(self) -> Row {
        Row { masking: false, ..self }
    }

    pub(super) const fn sized(self) -> Row {
        Row { sized: true, ..self }
    }

    pub(super) const fn long(self) -> Row {
        Row { long: true, ..self }
    }

    pub(super) const fn index(self, kind: Kind) -> Row {
        Row { index: Some(kind), ..self }
    }

    /// Sets W of VEX and EVEX, of which the instruction has one or both.
    pub(super) const fn w(self, w: W) -> Row {
        let vex = if self.vex.is_some() { Some(w) } else { None };
        Row { vex, rex: w, ..self }.evex_w(w)
    }

    /// Sets W of EVEX, where it is zero or ignored in VEX.
    pub(super) const fn evex_w(self, w: W) -> Row {
        let evex = if self.evex.is_some() { Some(w) } else { None };
        Row { evex, ..self }
    }
}

/// A row of an instruction with VEX only.
pub(super) const fn vex<const N: usize>(prefix: Prefix, map: Map, opcode: u8, operands: [Operand; N]) -> Row {
    Row { vex: Some(W::W0), widths: V128 | V256, ..Row::new(prefix, map, opcode, operands) }
}

/// A row of an instruction with EVEX only.
pub(super) const fn evex<const N: usize>(prefix: Prefix, map: Map, opcode: u8, operands: [Operand; N]) -> Row {
    Row { evex: Some(W::W0), widths: V128 | V256 | V512, ..Row::new(prefix, map, opcode, operands) }
}

/// A row of an instruction with VEX and EVEX.
pub(super) const fn both<const N: usize>(prefix: Prefix, map: Map, opcode: u8, operands: [Operand; N]) -> Row {
    Row { vex: Some(W::W0), ..evex(prefix, map, opcode, operands) }
}

pub(super) const fn reg(kind: Kind) -> Operand {
    Operand { place: Place::Reg, kind, size: kind.size() }
}

pub(super) const fn vvvv(kind: Kind) -> Operand {
    Operand { place: Place::Vvvv, ..reg(kind) }
}

pub(super) const fn rm(kind: Kind) -> Operand {
    Operand { place: Place::Rm, ..reg(kind) }
}

/// A register, or memory of a number of bytes that the register's width does not imply.
pub(super) const fn rm_of(kind: Kind, bytes: u8) -> Operand {
    Operand { size: Size::Bytes(bytes), ..rm(kind) }
}

pub(super) const fn register(kind: Kind) -> Operand {
    Operand { place: Place::Register, ..reg(kind) }
}

pub(super) const fn memory(size: Size) -> Operand {
    Operand { place: Place::Memory, size, ..reg(Kind::General) }
}

pub(super) const fn is4(kind: Kind) -> Operand {
    Operand { place: Place::Is4, ..reg(kind) }
}
