//! The registers of instructions and how they are used.

use super::code::{Code, FIXED};
use super::inst::{Base, Class, Inst, Reg};
use super::op::{Access, Op};

/// How an instruction uses a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    Write,
    /// Read and written.
    Modify,
}

impl Inst {
    /// How operand 0 is used: under a mask that merges, what the mask leaves out is read.
    fn dest_use(&self) -> Use {
        let chooses = matches!(self.op, Op::Vblendmps | Op::Vblendmpd | Op::Vpblendmd | Op::Vpblendmq);
        match self.op.dest() {
            Access::Read => Use::Read,
            Access::Modify => Use::Modify,
            Access::Write
                if self.mask.is_some() && !self.zeroing && !chooses && self.op.classes()[0] == Class::Vector =>
            {
                Use::Modify
            }
            Access::Write => Use::Write,
        }
    }

    /// Calls `f` on every register with its class and use, registers of addresses and the mask last.
    pub fn for_each_reg(&mut self, mut f: impl FnMut(&mut Reg, Class, Use)) {
        let dest = self.dest_use();
        let memory = self.mem.is_some().then(|| self.op.memory()).flatten();
        let mut next = 0;
        for (i, &class) in self.op.classes().iter().enumerate() {
            if Some(i) == memory {
                continue;
            }
            let is_dest = i == 0 || i == 1 && self.op.writes_two();
            // VEX gathers clear the vector that is their mask.
            let clears = i == 2 && self.op.clears_mask() && !self.op.has_evex();
            let how = match (is_dest, clears) {
                (true, _) => dest,
                (_, true) => Use::Modify,
                _ => Use::Read,
            };
            f(&mut self.regs[next], class, how);
            next += 1;
        }
        if let Some(mem) = &mut self.mem {
            if let Base::Register(reg) = &mut mem.base {
                f(reg, Class::General, Use::Read);
            }
            if let Some((reg, _)) = &mut mem.index {
                f(reg, if self.op.clears_mask() { Class::Vector } else { Class::General }, Use::Read);
            }
        }
        if let Some(mask) = &mut self.mask {
            f(mask, Class::Mask, if self.op.clears_mask() { Use::Modify } else { Use::Read });
        }
    }
}

impl Reg {
    /// Whether allocation gives the register a place.
    pub fn is_virtual(self) -> bool {
        self.0 >= FIXED
    }
}

impl Code {
    /// Calls `f` on every virtual register that is used: first reads, then writes.
    pub fn for_each_use(&self, mut f: impl FnMut(Reg, Use)) {
        let mut virtually = |reg: Reg, how| {
            if reg.is_virtual() {
                f(reg, how);
            }
        };
        match self {
            Code::Inst(inst) => inst.clone().for_each_reg(|reg, _, how| virtually(*reg, how)),
            Code::Moves(moves) => {
                moves.iter().for_each(|&(_, from)| virtually(from, Use::Read));
                moves.iter().for_each(|&(to, _)| virtually(to, Use::Write));
            }
            Code::Choose(_, _, to, from) => {
                virtually(*from, Use::Read);
                virtually(*to, Use::Modify);
            }
            _ => {}
        }
    }
}
