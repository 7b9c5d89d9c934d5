//! A function in virtual registers: what selection makes and allocation takes.

use smallvec::SmallVec;

use super::inst::{Class, Condition, Inst, Label, Reg, Width};
use crate::kernel::Stmt;

/// An item of a function, in order.
#[derive(Clone, Debug)]
pub(super) enum Code {
    Inst(Inst),
    /// Copies, all at the same time: `(to, from)`. After allocation they may be of memory.
    Moves(Moves),
    Bind(Label),
    Jump(Label),
    Branch(Condition, Label),
    /// `to = if condition { from } else { to }` by the flags.
    Choose(Condition, Width, Reg, Reg),
    /// The body of a loop begins: what is used until its end, and defined before, is live to that end.
    LoopBegin,
    LoopEnd,
    /// What follows is unlikely to run, and is placed behind all other code, until the end.
    RareBegin,
    RareEnd,
    /// Aligns what follows, the body of an innermost loop.
    Align,
    /// Waits until what was written past the caches is in memory.
    Fence,
    /// Sets the lowest byte of a register to 1 or 0 by the flags.
    Set(Condition, Reg),
    /// Ends the function with this status.
    Return(i32),
}

/// Parallel copies.
pub(super) type Moves = SmallVec<[(Reg, Reg); 4]>;

/// How a constant is made again, instead of keeping it in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Constant {
    /// An element of 4 or 8 bytes at this offset of the pool, in every lane.
    Broadcast { offset: u32, bytes: u8 },
    /// A whole register at this offset of the pool.
    Whole { offset: u32 },
}

/// What is known of a virtual register.
#[derive(Clone, Copy, Debug)]
pub(super) struct VirtualReg {
    pub class: Class,
    /// Bytes that are saved where a vector is spilled.
    pub bytes: u8,
    /// The nesting of loops in which it is defined: a use in a deeper loop makes it live to the end of that loop.
    pub depth: u8,
    /// A register that it is a copy of, or is copied to: sharing one saves the copy.
    pub hint: Option<Reg>,
    /// Whether it is a constant of the pool.
    pub constant: Option<Constant>,
}

/// The registers below this number are the machine's general registers, by their encoding; allocation leaves them alone. Those
/// that selection uses are [`RAX`] and [`RDX`].
pub(super) const FIXED: u32 = 16;
/// A general register for sequences of instructions, never allocated.
pub(super) const RAX: Reg = Reg(0);
/// Another one.
pub(super) const RDX: Reg = Reg(2);

/// A function.
#[derive(Debug, Default)]
pub(super) struct Function {
    pub code: Vec<Code>,
    /// The registers from [`FIXED`] on.
    pub regs: Vec<VirtualReg>,
    /// Constants behind the code.
    pub pool: Vec<u8>,
    /// Bytes of the stack that selection uses, from the stack pointer on.
    pub stack: u32,
    pub labels: u32,
    /// Whether it writes past the caches.
    pub streams: bool,
    /// The statement of the kernel that the code from a number on is made of, by [`statement`], or none; only if it was wanted.
    pub marks: Vec<(u32, Option<usize>)>,
}

/// Identifies a statement of a kernel that stays where it is.
pub(super) fn statement(stmt: &Stmt) -> usize {
    std::ptr::from_ref(stmt).addr()
}

impl Function {
    /// What is known of a virtual register.
    pub fn reg(&self, reg: Reg) -> &VirtualReg {
        &self.regs[(reg.0 - FIXED) as usize]
    }

    /// A new virtual register.
    pub fn new_reg(&mut self, class: Class, bytes: u8, depth: u8) -> Reg {
        self.regs.push(VirtualReg { class, bytes, depth, hint: None, constant: None });
        Reg(FIXED + self.regs.len() as u32 - 1)
    }

    /// Suggests that two registers be one.
    pub fn hint(&mut self, reg: Reg, other: Reg) {
        if reg.0 >= FIXED {
            self.regs[(reg.0 - FIXED) as usize].hint = Some(other);
        }
    }

    pub fn new_label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }
}
