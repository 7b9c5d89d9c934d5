//! Single instructions: those that stand for one of the function, and those that allocation inserts.

use smallvec::SmallVec;

use super::frame::memory_bytes;
use super::state::{Held, State, WHOLE};
use super::{Checked, Checker, key};
use crate::codegen::wide::code::{Code, Constant, RAX, RDX};
use crate::codegen::wide::emit::Item;
use crate::codegen::wide::inst::{Base, Class, Inst, Mem, Reg, Width};
use crate::codegen::wide::op::Op;
use crate::codegen::wide::operands::Use;
use crate::codegen::wide::select::constant_load;

type Operands = SmallVec<[(Reg, Class, Use); 6]>;

fn operands(inst: &Inst) -> Operands {
    let mut all = Operands::new();
    inst.clone().for_each_reg(|reg, class, how| all.push((*reg, class, how)));
    all
}

/// An address without the registers that it is made of.
fn unnamed(mem: Mem) -> Mem {
    let base = if let Base::Register(_) = mem.base { Base::Register(Reg(0)) } else { mem.base };
    Mem { base, index: mem.index.map(|(_, scale)| (Reg(0), scale)), ..mem }
}

/// Whether an instruction is the return of a status.
pub(super) fn sets_status(inst: &Inst, status: i32) -> bool {
    *inst == Inst::new(Op::MovImm, Width::W32, &[RAX]).imm(i64::from(status))
}

/// The general registers that an instruction reads and writes without naming them.
fn implicit(op: Op) -> (&'static [Reg], &'static [Reg]) {
    match op {
        Op::Mul => (&[RAX], &[RAX, RDX]),
        Op::Idiv => (&[RAX, RDX], &[RAX, RDX]),
        Op::Cdq | Op::Cqo => (&[RAX], &[RDX]),
        Op::Mulx => (&[RDX], &[]),
        _ => (&[], &[]),
    }
}

impl Checker<'_> {
    /// An item that stands for one of the function, which is not of control flow.
    pub(super) fn main(&self, code: &Code, item: &Item, state: &mut State) -> Checked {
        match (code, item) {
            (Code::Inst(wanted), Item::Inst(found)) => self.inst(wanted, found, state),
            (Code::Set(c, wanted), Item::Set(d, found)) if c == d && wanted == found && !wanted.is_virtual() => {
                state.set(Class::General, *found, *wanted);
                Ok(())
            }
            (Code::Choose(c, w, to, from), Item::Choose(d, v, x, y)) if c == d && w == v => {
                self.reads(state, Class::General, *from, *y)?;
                self.reads(state, Class::General, *to, *x)?;
                state.set(Class::General, *x, *to);
                Ok(())
            }
            _ => Err("it is something else".to_owned()),
        }
    }

    fn reads(&self, state: &State, class: Class, wanted: Reg, at: Reg) -> Checked {
        let held = state.held(class, at);
        if self.has(held, wanted) {
            return Ok(());
        }
        Err(format!("{class:?} register {} should hold {}, but holds {held:?}", at.0, wanted.0))
    }

    fn inst(&self, wanted: &Inst, found: &Inst, state: &mut State) -> Checked {
        let same =
            (wanted.op, wanted.width, wanted.imm, wanted.zeroing) == (found.op, found.width, found.imm, found.zeroing);
        if !same || wanted.mask.is_some() != found.mask.is_some() {
            return Err("it is another instruction".to_owned());
        }
        let mut virtually = operands(wanted);
        match (wanted.mem, found.mem) {
            (None, Some(mem)) => {
                let at = found.op.memory().ok_or("it has no operand that may be memory")?;
                let (reg, class, how) = virtually.remove(at);
                if class == Class::Mask || how != Use::Read || !self.is_at(reg, found, mem, state) {
                    return Err(format!("its operand {} is not at {mem:?}", reg.0));
                }
            }
            (x, y) if x.map(unnamed) != y.map(unnamed) => return Err("its memory is elsewhere".to_owned()),
            (Some(mem), _) if mem.base == Base::Stack && mem.index.is_none() => {
                let end = i64::from(mem.displacement) + i64::from(memory_bytes(found));
                if mem.displacement < 0 || end > i64::from(self.function.stack) {
                    return Err("it leaves the memory that selection has".to_owned());
                }
            }
            _ => {}
        }
        let really = operands(found);
        if virtually.len() != really.len() {
            return Err("it has other operands".to_owned());
        }
        let pairs = || virtually.iter().zip(&really);
        for (&(reg, class, how), &(at, ..)) in pairs() {
            if !reg.is_virtual() && reg != at {
                return Err(format!("register {} is fixed", reg.0));
            }
            if how != Use::Write {
                self.reads(state, class, reg, at)?;
            }
        }
        let (reads, writes) = implicit(found.op);
        reads.iter().try_for_each(|&reg| self.reads(state, Class::General, reg, reg))?;
        let written = || pairs().filter(|((.., how), _)| *how != Use::Read);
        for (i, (&(reg, class, _), &(at, ..))) in written().enumerate() {
            if written().take(i).any(|(x, y)| x.1 == class && y.0 == at && x.0 != reg) {
                return Err("two results are in one register".to_owned());
            }
        }
        for (&(reg, class, _), &(at, ..)) in written() {
            state.set(class, at, reg);
        }
        writes.iter().for_each(|&reg| state.set(Class::General, reg, reg));
        Ok(())
    }

    /// Whether an operand in memory is a register of the function.
    fn is_at(&self, reg: Reg, inst: &Inst, mem: Mem, state: &State) -> bool {
        let bytes = memory_bytes(inst);
        match (mem.base, mem.index) {
            (Base::Stack, None) => {
                let held = state.memory(mem.displacement as u32, bytes);
                !mem.broadcast && self.has(&held, reg) && bytes <= self.bytes(reg)
            }
            (Base::Pool, None) => match reg.is_virtual().then(|| self.function.reg(reg).constant).flatten() {
                Some(Constant::Whole { offset }) => {
                    !mem.broadcast && mem.displacement == offset as i32 && bytes <= self.isa.bytes() as u32
                }
                Some(Constant::Broadcast { offset, bytes: element }) => {
                    mem.displacement == offset as i32 && bytes == u32::from(element)
                }
                None => false,
            },
            _ => false,
        }
    }

    /// Whether an instruction is the definition of a constant.
    pub(super) fn is_constant(&self, inst: &Inst) -> bool {
        let reg = inst.regs[0];
        let constant = reg.is_virtual().then(|| self.function.reg(reg).constant).flatten();
        constant.is_some_and(|constant| *inst == constant_load(constant, reg, self.isa.widest()))
    }

    /// Copies, loads and stores that allocation inserted.
    pub(super) fn around(&self, items: &[&Item], state: &mut State) -> Checked {
        let mut rest = items;
        while let [first, behind @ ..] = rest {
            let Item::Inst(inst) = first else { return Err(format!("{first:?} is no copy")) };
            rest = behind;
            if matches!(inst.op, Op::Vxorps | Op::Kxorw) {
                rest = self.exchange(inst, behind, state)?;
            } else {
                self.copy(inst, state).ok_or_else(|| format!("{inst:?} is no copy"))?;
            }
        }
        Ok(())
    }

    /// `a ^= b, b ^= a, a ^= b`.
    fn exchange<'i>(&self, first: &Inst, behind: &'i [&'i Item], state: &mut State) -> Result<&'i [&'i Item], String> {
        let [a, _, b, _] = first.regs;
        let expected = [[a, a, b], [b, a, b], [a, a, b]].map(|regs| Inst::new(first.op, first.width, &regs));
        let [Item::Inst(second), Item::Inst(third), rest @ ..] = behind else {
            return Err("an exchange is not complete".to_owned());
        };
        if [*first, *second, *third] != expected {
            return Err("an exchange is not complete".to_owned());
        }
        let (class, bytes) =
            if first.op == Op::Kxorw { (Class::Mask, 2) } else { (Class::Vector, first.width.bytes()) };
        for reg in [a, b] {
            let held = kept(state.held(class, reg), bytes);
            state.put(class, reg, held);
        }
        state.swap(class, a, b);
        Ok(rest)
    }

    /// A copy, a load, a store or a constant; none if it is something else.
    fn copy(&self, inst: &Inst, state: &mut State) -> Option<()> {
        let [to, from, ..] = inst.regs;
        if inst.mask.is_some() || inst.imm.is_some() {
            return None;
        }
        let (class, bytes) = match (inst.op, inst.width) {
            (Op::Mov | Op::MovStore, Width::W64) => (Class::General, 8),
            (Op::Xchg, Width::W64) if inst.mem.is_none() => {
                state.swap(Class::General, to, from);
                return Some(());
            }
            (Op::Kmovw | Op::KmovwStore, _) => (Class::Mask, 2),
            (Op::Vmovaps | Op::Vmovups | Op::VmovupsStore, width) => (Class::Vector, width.bytes()),
            (Op::Vbroadcastss | Op::Vbroadcastsd, width) => (Class::Vector, width.bytes()),
            _ => return None,
        };
        let is_store = matches!(inst.op, Op::MovStore | Op::KmovwStore | Op::VmovupsStore);
        let held = match inst.mem {
            None => kept(state.held(class, from), bytes),
            Some(Mem { base: Base::Stack, index: None, displacement, broadcast: false }) => {
                let offset = u32::try_from(displacement).ok().filter(|&at| at >= self.slots)?;
                let bytes = memory_bytes(inst);
                if offset + bytes > self.frame {
                    return None;
                }
                if is_store {
                    let held = kept(state.held(class, to), bytes);
                    state.store(offset, bytes, held);
                    return Some(());
                }
                kept(&state.memory(offset, bytes), bytes)
            }
            Some(Mem { base: Base::Pool, displacement, .. }) => {
                let element = match inst.op {
                    Op::Vbroadcastss => 4,
                    Op::Vbroadcastsd => 8,
                    _ => 0,
                };
                let regs = self.constants.get(&(displacement as u32, element))?;
                let constant = self.function.reg(regs[0]).constant?;
                if *inst != constant_load(constant, to, self.isa.widest()) || key(constant).1 != element {
                    return None;
                }
                regs.iter().map(|&reg| (reg, WHOLE)).collect()
            }
            Some(_) => return None,
        };
        if is_store {
            return None;
        }
        state.put(class, to, held);
        Some(())
    }

    /// Whether all bytes of a register that matter are in a place.
    fn has(&self, held: &Held, wanted: Reg) -> bool {
        held.iter().any(|&(reg, bytes)| reg == wanted && self.bytes(reg) <= u32::from(bytes))
    }
}

/// What is left in the lowest bytes.
fn kept(held: &Held, bytes: u32) -> Held {
    held.iter().map(|&(reg, known)| (reg, known.min(bytes as u8))).collect()
}
