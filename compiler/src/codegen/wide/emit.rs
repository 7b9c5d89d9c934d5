//! From a function in virtual registers and the places of these to the machine's instructions.

use smallvec::SmallVec;

use super::allocate::{Allocation, PARAMETERS, Place};
use super::code::{Code, Constant, FIXED, Function, Moves, RAX, RDX};
use super::encode::Assembler;
use super::inst::{Base, Class, Condition, Inst, Label, Mem, Reg, Rm, Width};
use super::isa::{Isa, width};
use super::op::Op;
use super::operands::Use;
use super::select::constant_load;

/// An item of a function in registers of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Inst(Inst),
    Bind(Label),
    Jump(Label),
    Branch(Condition, Label),
    Choose(Condition, Width, Reg, Reg),
    Set(Condition, Reg),
    Align,
    Fence,
    Push(Reg),
    Pop(Reg),
    Return,
}

/// What an item stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A part of the frame: saved registers, the stack pointer, the return.
    Frame,
    /// The parameters are moved to their places.
    Parameters,
    /// The item of the function with this number, in registers of the machine.
    Code(u32),
    /// What allocation needs besides it: copies, loads and stores, or the jump to the end.
    Around(u32),
}

/// A function in registers of the machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Emitted {
    pub items: Vec<Item>,
    /// What each item stands for, if it was wanted.
    pub sources: Vec<Source>,
}

impl Emitted {
    fn push(&mut self, item: Item, source: Option<Source>) {
        self.items.push(item);
        self.sources.extend(source);
    }

    fn append(&mut self, mut other: Emitted) {
        self.items.append(&mut other.items);
        self.sources.append(&mut other.sources);
    }
}

pub(super) const RSP: Reg = Reg(4);

/// The frame is aligned for the widest vectors.
pub(super) const ALIGNMENT: u32 = 64;

/// The general registers that a function preserves.
pub(super) const PRESERVED: [u8; 6] = [3, 5, 12, 13, 14, 15];

struct Emit<'a> {
    function: &'a Function,
    allocation: &'a Allocation,
    isa: Isa,
    done: Emitted,
    /// Code that is unlikely to run, behind the other.
    rare: Emitted,
    /// Unlikely code that is not complete, by nesting: code that skips a part must not be right before it.
    nested: Vec<Emitted>,
    exit: Label,
    /// What the next items stand for, if it is wanted.
    source: Option<Source>,
}

/// The instructions of a function.
pub(super) fn emit(function: &Function, allocation: &Allocation, isa: Isa, sources: bool) -> Emitted {
    let items = Vec::with_capacity(function.code.len() + 32);
    let mut emit = Emit {
        function,
        allocation,
        isa,
        done: Emitted { items, sources: Vec::new() },
        rare: Emitted::default(),
        nested: Vec::new(),
        exit: Label(function.labels),
        source: sources.then_some(Source::Frame),
    };
    let frame = (function.stack.next_multiple_of(ALIGNMENT) + allocation.slots).next_multiple_of(ALIGNMENT);
    let mut preserved: Vec<u8> = allocation.used_general(function).filter(|n| PRESERVED.contains(n)).collect();
    preserved.sort_unstable();
    preserved.dedup();
    preserved.iter().for_each(|&n| emit.item(Item::Push(Reg(u32::from(n)))));
    if frame > 0 {
        emit.enter(frame);
    }
    emit.stands_for(Source::Parameters);
    emit.parameters();
    let last = function.code.len() - 1;
    for (i, code) in function.code.iter().enumerate() {
        emit.stands_for(Source::Around(i as u32));
        emit.code(code, i == last);
    }
    emit.stands_for(Source::Frame);
    emit.item(Item::Bind(emit.exit));
    // Legacy SSE instructions, of which callers have some, wait for the upper halves of registers otherwise.
    emit.item(Item::Inst(Inst::new(Op::Vzeroupper, Width::V128, &[])));
    if frame > 0 {
        let saved = Mem::stack(frame as i32);
        emit.item(Item::Inst(Inst::new(Op::Mov, Width::W64, &[RSP]).with(Rm::Mem(saved))));
    }
    preserved.iter().rev().for_each(|&n| emit.item(Item::Pop(Reg(u32::from(n)))));
    emit.item(Item::Return);
    emit.done.append(emit.rare);
    emit.done
}

/// The bytes of a function, and of its constants.
pub(super) fn assemble(items: &[Item], pool: &[u8]) -> Vec<u8> {
    let mut assembler = Assembler::new();
    for item in items {
        match item {
            Item::Inst(inst) => assembler.inst(inst),
            Item::Bind(label) => assembler.bind(*label),
            Item::Jump(label) => assembler.jump(*label),
            Item::Branch(condition, label) => assembler.branch(*condition, *label),
            Item::Choose(condition, width, to, from) => assembler.cmov(*condition, *width, *to, *from),
            Item::Set(condition, reg) => assembler.set(*condition, *reg),
            Item::Align => assembler.align(32),
            Item::Fence => assembler.sfence(),
            Item::Push(reg) => assembler.push(*reg),
            Item::Pop(reg) => assembler.pop(*reg),
            Item::Return => assembler.ret(),
        }
    }
    assembler.finish(pool)
}

impl Emit<'_> {
    fn item(&mut self, item: Item) {
        self.nested.last_mut().unwrap_or(&mut self.done).push(item, self.source);
    }

    fn stands_for(&mut self, source: Source) {
        if self.source.is_some() {
            self.source = Some(source);
        }
    }

    /// The item that stands for an item of the function itself.
    fn main(&mut self, item: Item) {
        let around = self.source;
        if let Some(Source::Around(i)) = around {
            self.source = Some(Source::Code(i));
        }
        self.item(item);
        self.source = around;
    }

    fn inst(&mut self, inst: Inst) {
        self.item(Item::Inst(inst));
    }

    /// Makes the frame, and keeps the former stack pointer behind it.
    fn enter(&mut self, frame: u32) {
        let bytes = i64::from(frame + ALIGNMENT);
        self.inst(Inst::new(Op::Mov, Width::W64, &[RAX, RSP]));
        self.inst(Inst::new(Op::SubImm, Width::W64, &[RSP]).imm(bytes));
        self.inst(Inst::new(Op::AndImm, Width::W64, &[RSP]).imm(-i64::from(ALIGNMENT)));
        self.inst(Inst::new(Op::MovStore, Width::W64, &[RAX]).with(Rm::Mem(Mem::stack(frame as i32))));
    }

    /// Copies the parameters from where they arrive.
    fn parameters(&mut self) {
        let mut copies: Copies = SmallVec::new();
        for (i, &n) in PARAMETERS.iter().enumerate() {
            let place = self.allocation.place(Reg(FIXED + i as u32));
            if place != Place::Nowhere {
                copies.push(Copy {
                    to: place,
                    from: Place::Register(n),
                    class: Class::General,
                    bytes: 8,
                    constant: None,
                });
            }
        }
        self.copy_all(copies);
    }

    fn code(&mut self, code: &Code, is_last: bool) {
        match code {
            Code::Inst(inst) => self.rewrite(*inst),
            Code::Moves(moves) => self.moves(moves),
            Code::Bind(label) => self.main(Item::Bind(*label)),
            Code::Jump(label) => self.main(Item::Jump(*label)),
            Code::Branch(condition, label) => self.main(Item::Branch(*condition, *label)),
            Code::Choose(condition, width, to, from) => self.choose(*condition, *width, *to, *from),
            Code::Set(condition, reg) => self.main(Item::Set(*condition, *reg)),
            Code::LoopBegin | Code::LoopEnd => {}
            Code::RareBegin => self.nested.push(Emitted::default()),
            Code::RareEnd => {
                let rare = self.nested.pop().expect("they are nested");
                self.rare.append(rare);
            }
            Code::Align => self.main(Item::Align),
            Code::Fence => self.main(Item::Fence),
            Code::Return(status) => {
                self.main(Item::Inst(Inst::new(Op::MovImm, Width::W32, &[RAX]).imm(i64::from(*status))));
                if !is_last {
                    self.item(Item::Jump(self.exit));
                }
            }
        }
    }

    fn place(&self, reg: Reg) -> Place {
        if reg.is_virtual() { self.allocation.place(reg) } else { Place::Register(reg.0 as u8) }
    }

    /// The memory of a value that is in no register.
    fn slot(&self, offset: u32) -> Mem {
        Mem::stack((self.function.stack.next_multiple_of(ALIGNMENT) + offset) as i32)
    }

    fn choose(&mut self, condition: Condition, width: Width, to: Reg, from: Reg) {
        let spare = self.allocation.spare[Class::General as usize];
        let load = |this: &mut Self, reg: Reg, spare: Option<&u8>| match this.place(reg) {
            Place::Register(n) => Reg(u32::from(n)),
            place => {
                let scratch = Reg(u32::from(*spare.expect("a register is spare where one is in memory")));
                this.load(place, scratch, Class::General, 8, None);
                scratch
            }
        };
        let source = load(self, from, spare.first());
        let target = load(self, to, spare.get(1));
        self.main(Item::Choose(condition, width, target, source));
        if let Place::Slot(offset) = self.place(to) {
            let slot = self.slot(offset);
            self.inst(Inst::new(Op::MovStore, Width::W64, &[target]).with(Rm::Mem(slot)));
        }
    }

    /// Loads a value that is in no register.
    fn load(&mut self, place: Place, to: Reg, class: Class, bytes: u8, constant: Option<Constant>) {
        match place {
            Place::Register(n) => self.register_move(class, bytes, to, Reg(u32::from(n))),
            Place::Slot(offset) => {
                let (op, width) = load_op(class, bytes);
                let slot = self.slot(offset);
                self.inst(Inst::new(op, width, &[to]).with(Rm::Mem(slot)));
            }
            Place::Constant => {
                let constant = constant.expect("only constants are made again");
                self.inst(constant_load(constant, to, self.isa.widest()));
            }
            Place::Nowhere => unreachable!("what is used has a place"),
        }
    }

    fn store(&mut self, offset: u32, from: Reg, class: Class, bytes: u8) {
        let (op, width) = match class {
            Class::General => (Op::MovStore, Width::W64),
            Class::Vector => (Op::VmovupsStore, width(usize::from(bytes))),
            Class::Mask => (Op::KmovwStore, Width::W32),
        };
        let slot = self.slot(offset);
        self.inst(Inst::new(op, width, &[from]).with(Rm::Mem(slot)));
    }

    fn register_move(&mut self, class: Class, bytes: u8, to: Reg, from: Reg) {
        if to == from {
            return;
        }
        let (op, width) = match class {
            Class::General => (Op::Mov, Width::W64),
            Class::Vector => (Op::Vmovaps, width(usize::from(bytes))),
            Class::Mask => (Op::Kmovw, Width::W32),
        };
        self.inst(Inst::new(op, width, &[to, from]));
    }

    /// Replaces the registers of an instruction by their places.
    fn rewrite(&mut self, inst: Inst) {
        let mut inst = inst;
        if is_constant_of_pool(&inst, self.function) && self.place(inst.regs[0]) == Place::Constant {
            // It is made where it is used.
            return;
        }
        self.fold(&mut inst);
        let mut uses: SmallVec<[(Reg, Class, Use); 6]> = SmallVec::new();
        inst.for_each_reg(|reg, class, how| uses.push((*reg, class, how)));
        let mut registers: SmallVec<[Reg; 6]> = SmallVec::new();
        let mut taken = [0; 3];
        for (i, &(reg, class, how)) in uses.iter().enumerate() {
            let spare = self.allocation.spare[class as usize];
            let before = uses[..i].iter().position(|&(r, _, h)| r == reg && h != Use::Write);
            registers.push(match (self.place(reg), before) {
                (Place::Register(n), _) => Reg(u32::from(n)),
                // A result may take the place of an operand, which is read before.
                _ if how == Use::Write => Reg(u32::from(spare[i])),
                (_, Some(before)) => registers[before],
                (place, None) => {
                    let n =
                        *spare.get(taken[class as usize]).expect("as many registers are spare as operands may need");
                    taken[class as usize] += 1;
                    let (scratch, known) = (Reg(u32::from(n)), *self.function.reg(reg));
                    self.load(place, scratch, class, known.bytes, known.constant);
                    scratch
                }
            });
        }
        let mut next = registers.iter();
        inst.for_each_reg(|reg, _, _| *reg = *next.next().expect("one for each"));
        self.main(Item::Inst(inst));
        for (&(reg, class, how), &register) in uses.iter().zip(&registers) {
            if let (Place::Slot(offset), Use::Write | Use::Modify) = (self.place(reg), how) {
                self.store(offset, register, class, self.function.reg(reg).bytes);
            }
        }
    }

    /// Reads the operand that may be memory from where a spilled value or a constant is.
    fn fold(&mut self, inst: &mut Inst) {
        let Some(at) = inst.op.memory().filter(|_| inst.mem.is_none()) else { return };
        let reg = inst.regs[at];
        // An operand that is written is stored afterwards, and general registers and masks are loaded whole.
        if !reg.is_virtual()
            || at == 0 && inst.op.dest() != super::op::Access::Read
            || inst.op.classes()[at] == Class::Mask
        {
            return;
        }
        let bytes = inst.op.memory_bytes(inst.width);
        let mem = match self.allocation.place(reg) {
            Place::Slot(offset) if bytes <= u32::from(self.function.reg(reg).bytes) => self.slot(offset),
            Place::Constant => {
                let pool = |offset: u32, broadcast| Mem {
                    base: Base::Pool,
                    index: None,
                    displacement: offset as i32,
                    broadcast,
                };
                match self.function.reg(reg).constant.expect("it is a constant") {
                    Constant::Whole { offset } if bytes <= self.isa.bytes() as u32 => pool(offset, false),
                    Constant::Broadcast { offset, bytes: element } if bytes == u32::from(element) => {
                        pool(offset, false)
                    }
                    Constant::Broadcast { offset, bytes: element } if inst.op.broadcasts() == Some(element) => {
                        pool(offset, true)
                    }
                    _ => return,
                }
            }
            _ => return,
        };
        inst.regs[at..].rotate_left(1);
        inst.mem = Some(mem);
    }

    fn moves(&mut self, moves: &Moves) {
        let mut copies: Copies = SmallVec::new();
        for &(to, from) in moves {
            let known = *self.function.reg(to);
            let to = self.place(to);
            if to == Place::Nowhere {
                continue;
            }
            let constant = if from.is_virtual() { self.function.reg(from).constant } else { None };
            copies.push(Copy { to, from: self.place(from), class: known.class, bytes: known.bytes, constant });
        }
        self.copy_all(copies);
    }

    /// Copies as if all were made at the same time.
    fn copy_all(&mut self, mut copies: Copies) {
        copies.retain(|c| c.to != c.from);
        while !copies.is_empty() {
            let free = copies.iter().position(|c| {
                !copies.iter().any(|o| o.from == c.to && o.class == c.class && o.from != Place::Constant)
            });
            match free {
                Some(i) => {
                    let copy = copies.swap_remove(i);
                    self.copy(copy);
                }
                None => {
                    let Copy { to, from, class, .. } = copies[0];
                    let readers = copies.iter_mut().filter(|c| c.class == class);
                    if let (Place::Register(a), Place::Register(b)) = (to, from) {
                        // A circle: what the first overwrites is exchanged with what it copies.
                        self.exchange(Reg(u32::from(a)), Reg(u32::from(b)), class);
                        for copy in readers {
                            if copy.from == to {
                                copy.from = from;
                            } else if copy.from == from {
                                copy.from = to;
                            }
                        }
                        copies.retain(|c| c.to != c.from);
                        continue;
                    }
                    // What the first overwrites is kept apart until all others of the circle are made.
                    let scratch = self.scratch(class, 1);
                    let mut bytes = 0;
                    for copy in readers.filter(|c| c.from == to) {
                        copy.from = Place::Register(scratch.0 as u8);
                        bytes = copy.bytes.max(bytes);
                    }
                    self.load(to, scratch, class, bytes, None);
                }
            }
        }
    }

    fn copy(&mut self, copy: Copy) {
        let Copy { to, from, class, bytes, constant } = copy;
        match to {
            Place::Register(n) => self.load(from, Reg(u32::from(n)), class, bytes, constant),
            Place::Slot(offset) => {
                let register = match from {
                    Place::Register(n) => Reg(u32::from(n)),
                    _ => {
                        let scratch = self.scratch(class, 0);
                        self.load(from, scratch, class, bytes, constant);
                        scratch
                    }
                };
                self.store(offset, register, class, bytes);
            }
            Place::Nowhere | Place::Constant => {}
        }
    }

    /// A register that no value is in, where some value is in memory.
    fn scratch(&self, class: Class, nth: usize) -> Reg {
        match class {
            Class::General => [RAX, RDX][nth],
            _ => Reg(u32::from(self.allocation.spare[class as usize][nth])),
        }
    }

    /// Exchanges two registers, whole: values of several widths may be among what is copied.
    fn exchange(&mut self, a: Reg, b: Reg, class: Class) {
        let (op, width) = match class {
            Class::General => return self.inst(Inst::new(Op::Xchg, Width::W64, &[a, b])),
            Class::Vector => (Op::Vxorps, self.isa.widest()),
            Class::Mask => (Op::Kxorw, Width::W32),
        };
        for (to, p, q) in [(a, a, b), (b, a, b), (a, a, b)] {
            self.inst(Inst::new(op, width, &[to, p, q]));
        }
    }
}

fn load_op(class: Class, bytes: u8) -> (Op, Width) {
    match class {
        Class::General => (Op::Mov, Width::W64),
        Class::Vector => (Op::Vmovups, width(usize::from(bytes))),
        Class::Mask => (Op::Kmovw, Width::W32),
    }
}

/// A copy from place to place.
#[derive(Clone, Copy, Debug)]
struct Copy {
    to: Place,
    from: Place,
    class: Class,
    bytes: u8,
    constant: Option<Constant>,
}

type Copies = SmallVec<[Copy; 8]>;

/// Whether an instruction is the definition of a constant.
fn is_constant_of_pool(inst: &Inst, function: &Function) -> bool {
    inst.mem.is_some_and(|mem| mem.base == Base::Pool)
        && inst.regs[0].is_virtual()
        && function.reg(inst.regs[0]).constant.is_some()
}
