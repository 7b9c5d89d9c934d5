//! Machine instructions: the same types before register allocation, with virtual registers, and after it, with those of the
//! machine.

use super::op::Op;

/// A register: a virtual one before allocation, and after it the number of one of the machine's, of the class that the operand
/// has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Reg(pub u32);

/// The classes of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Class {
    /// `rax` to `r15`, by their encoding: 4 is `rsp`.
    General,
    /// `xmm`, `ymm`, `zmm`.
    Vector,
    /// `k0` to `k7`.
    Mask,
}

/// The width of an instruction's operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Width {
    /// General registers, 32 bits.
    W32,
    /// General registers, 64 bits.
    W64,
    /// `xmm`; scalars too.
    V128,
    /// `ymm`.
    V256,
    /// `zmm`.
    V512,
}

impl Width {
    #[cfg(test)]
    pub const ALL: [Width; 5] = [Width::W32, Width::W64, Width::V128, Width::V256, Width::V512];

    pub const fn bytes(self) -> u32 {
        match self {
            Width::W32 => 4,
            Width::W64 => 8,
            Width::V128 => 16,
            Width::V256 => 32,
            Width::V512 => 64,
        }
    }

    /// The bytes as a number of positions in memory.
    pub const fn size(self) -> usize {
        self.bytes() as usize
    }
}

/// What an address begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Base {
    /// A general register.
    Register(Reg),
    /// The stack pointer.
    Stack,
    /// The constants behind the function's code.
    Pool,
}

/// A memory operand: `base + index * scale + displacement`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mem {
    pub base: Base,
    /// A general register, or a vector of indices for gathers and scatters, and the logarithm of its scale.
    pub index: Option<(Reg, u8)>,
    pub displacement: i32,
    /// Whether one element is read and broadcast to all lanes (`{1to16}`).
    pub broadcast: bool,
}

/// An instruction. Operands are in Intel's order, the destination first; the memory operand is not among `regs`, but where
/// [`Op`] has its register-or-memory operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Inst {
    pub op: Op,
    pub width: Width,
    /// The registers, of which the op determines how many there are; one fewer if there is a memory operand.
    pub regs: [Reg; 4],
    pub mem: Option<Mem>,
    /// The mask that a vector instruction writes under.
    pub mask: Option<Reg>,
    /// Whether lanes that the mask leaves out become zero, rather than keep what the destination has.
    pub zeroing: bool,
    /// An immediate operand, the last one.
    pub imm: Option<i64>,
}

/// A position in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Label(pub u32);

/// The conditions of branches, by their encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Condition {
    /// Unsigned less; after a comparison of floats also unordered.
    Below = 2,
    AboveOrEqual = 3,
    Equal = 4,
    NotEqual = 5,
    BelowOrEqual = 6,
    Above = 7,
    /// After a comparison of floats: unordered.
    Parity = 10,
    NoParity = 11,
    Less = 12,
    GreaterOrEqual = 13,
    LessOrEqual = 14,
    Greater = 15,
}

/// An operand that an instruction takes from a register or from memory.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rm {
    Reg(Reg),
    Mem(Mem),
}

impl Inst {
    pub fn new(op: Op, width: Width, regs: &[Reg]) -> Inst {
        let mut all = [Reg(0); 4];
        all[..regs.len()].copy_from_slice(regs);
        Inst { op, width, regs: all, mem: None, mask: None, zeroing: false, imm: None }
    }

    /// Adds the operand that may be memory, or the last one, at its place.
    pub fn with(mut self, rm: Rm) -> Inst {
        match rm {
            Rm::Mem(mem) => self.mem = Some(mem),
            Rm::Reg(reg) => {
                let at = self.op.memory().unwrap_or(self.op.classes().len() - 1);
                self.regs[at..].rotate_right(1);
                self.regs[at] = reg;
            }
        }
        self
    }

    pub fn imm(self, imm: i64) -> Inst {
        Inst { imm: Some(imm), ..self }
    }

    pub fn under(self, mask: Reg) -> Inst {
        Inst { mask: Some(mask), ..self }
    }

    pub fn zeroing(self, mask: Reg) -> Inst {
        Inst { mask: Some(mask), zeroing: true, ..self }
    }
}

impl Mem {
    /// `reg + displacement`.
    pub fn at(reg: Reg, displacement: i32) -> Mem {
        Mem { base: Base::Register(reg), index: None, displacement, broadcast: false }
    }

    /// A place of the stack.
    pub fn stack(displacement: i32) -> Mem {
        Mem { base: Base::Stack, index: None, displacement, broadcast: false }
    }

    /// The address of a part of a vector whose parts have this width.
    pub fn part(self, i: i32, width: Width) -> Mem {
        if self.broadcast { self } else { Mem { displacement: self.displacement + i * width.bytes() as i32, ..self } }
    }
}
