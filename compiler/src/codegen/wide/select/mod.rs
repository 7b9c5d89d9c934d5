//! Instruction selection: from kernels to functions in virtual registers.
//!
//! One pass in the order of execution. A value of the kernel becomes a [`Rep`]: registers, a constant, or something that is not
//! computed before its use, so that it becomes part of the instruction that uses it: a load its memory operand, a comparison the
//! condition of its branch, the constant term of an index its displacement.

mod arith;
mod convert;
mod gather;
mod general;
mod integer;
mod lanes;
mod mask;
mod memory;
mod store;
mod value;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::code::{Code, Constant, Function, Moves, statement};
use super::inst::{Class, Condition, Inst, Mem, Reg, Rm, Width};
use super::isa::Isa;
use super::op::Op;
use crate::kernel::{Block, Buf, Const, If, Kernel, Loop, Stmt, Val};
use value::Rep;
pub(super) use value::constant_load;

/// The state of selecting the instructions of a kernel.
struct Select<'a> {
    kernel: &'a Kernel,
    isa: Isa,
    function: Function,
    /// Definitions of constants and of the addresses of buffers, which come before all else.
    prologue: Vec<Code>,
    reps: Vec<Rep>,
    /// How often each value is still used.
    uses: Vec<u32>,
    /// The block in which each value was defined.
    blocks: Vec<u32>,
    block: u32,
    new_block: u32,
    /// The nesting of loops.
    depth: u8,
    /// Loads that are to be parts of the instructions that use them.
    pending: Vec<(Val, Buf)>,
    /// The addresses of buffers.
    bases: Vec<Option<Reg>>,
    constants: FxHashMap<(u64, u8), Reg>,
    wholes: FxHashMap<Vec<u8>, Reg>,
    /// The masks of the first lanes, by their number and the bytes of a lane, where they are defined.
    prefixes: Vec<Prefix>,
    scratch_layout: Vec<usize>,
    /// The statement whose instructions are being selected, if it is wanted.
    statement: Option<Option<usize>>,
}

/// A mask of the first lanes that was computed.
struct Prefix {
    active: Val,
    lanes: u8,
    bytes: u8,
    parts: value::Parts,
}

/// The parameters of a kernel: the table of operands, the range of chunks, scratch memory.
const PARAMETERS: u32 = 4;

/// Selects the instructions of a kernel.
pub(super) fn select(kernel: &Kernel, isa: Isa, marks: bool) -> Function {
    let buffers = kernel.operands.len() + kernel.scratch.len() + kernel.tables.len();
    let mut select = Select {
        kernel,
        isa,
        function: Function::default(),
        prologue: Vec::new(),
        reps: vec![Rep::Undefined; kernel.values.len()],
        uses: count_uses(kernel),
        blocks: vec![0; kernel.values.len()],
        block: 0,
        new_block: 0,
        depth: 0,
        pending: Vec::new(),
        bases: vec![None; buffers],
        constants: FxHashMap::default(),
        wholes: FxHashMap::default(),
        prefixes: Vec::new(),
        scratch_layout: kernel.scratch_layout().0,
        statement: marks.then_some(None),
    };
    let parameters: [Reg; PARAMETERS as usize] = std::array::from_fn(|_| select.function.new_reg(Class::General, 8, 0));
    select.reps[Kernel::BEGIN.0 as usize] = Rep::Scalar(parameters[1]);
    select.reps[Kernel::END.0 as usize] = Rep::Scalar(parameters[2]);
    select.statements(&kernel.body);
    if select.function.streams {
        select.function.code.push(Code::Fence);
    }
    select.function.code.push(Code::Return(0));
    let body = std::mem::replace(&mut select.function.code, select.prologue);
    let before = select.function.code.len() as u32;
    select.function.marks.iter_mut().for_each(|(at, _)| *at += before);
    select.function.code.extend(body);
    select.function
}

/// The number of uses of every value; those of unrolled loops count once.
fn count_uses(kernel: &Kernel) -> Vec<u32> {
    fn block(stmts: &Block, add: &mut impl FnMut(Val)) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(_, inst) => inst.operands().for_each(&mut *add),
                Stmt::Store(access, value) => {
                    add(*value);
                    add(access.index);
                    access.active.into_iter().for_each(&mut *add);
                }
                Stmt::Check(cond, _) => add(*cond),
                Stmt::Loop(l) => {
                    [l.begin, l.end].into_iter().for_each(&mut *add);
                    l.carried.iter().for_each(|c| [c.init, c.next].into_iter().for_each(&mut *add));
                    block(&l.body, add);
                }
                Stmt::If(i) => {
                    add(i.cond);
                    i.results.iter().for_each(|m| [m.then, m.otherwise].into_iter().for_each(&mut *add));
                    block(&i.then, add);
                    block(&i.otherwise, add);
                }
            }
        }
    }
    let mut uses = vec![0; kernel.values.len()];
    block(&kernel.body, &mut |val| uses[val.0 as usize] += 1);
    uses
}

impl<'a> Select<'a> {
    fn push(&mut self, inst: Inst) {
        debug_assert!(
            match self.isa {
                Isa::Avx512 => inst.op.has_evex() || !inst.op.classes().contains(&Class::Vector),
                Isa::Avx2 => inst.op.is_v3(),
            },
            "{:?} is not of {:?}",
            inst.op,
            self.isa
        );
        self.function.code.push(Code::Inst(inst));
    }

    fn new_general(&mut self) -> Reg {
        self.function.new_reg(Class::General, 8, self.depth)
    }

    fn new_vector(&mut self, width: Width) -> Reg {
        self.function.new_reg(Class::Vector, width.size() as u8, self.depth)
    }

    fn new_mask(&mut self) -> Reg {
        self.function.new_reg(Class::Mask, 8, self.depth)
    }

    /// Another register with the same properties.
    fn new_like(&mut self, reg: Reg) -> Reg {
        let known = *self.function.reg(reg);
        self.function.new_reg(known.class, known.bytes, self.depth)
    }

    /// A copy of a register, which an instruction may overwrite.
    fn copy(&mut self, from: Reg) -> Reg {
        let to = self.new_like(from);
        self.function.hint(to, from);
        let mut moves = Moves::new();
        moves.push((to, from));
        self.function.code.push(Code::Moves(moves));
        to
    }

    fn statements(&mut self, block: &'a Block) {
        let outer = self.statement;
        for stmt in block {
            if outer.is_some() {
                self.mark(Some(statement(stmt)));
            }
            match stmt {
                Stmt::Let(val, inst) => {
                    inst.operands().for_each(|operand| self.used(operand));
                    self.inst(*val, inst);
                }
                Stmt::Store(access, value) => {
                    [*value, access.index].into_iter().chain(access.active).for_each(|val| self.used(val));
                    self.store(access, *value);
                }
                Stmt::Check(cond, status) => {
                    self.used(*cond);
                    self.check(*cond, *status);
                }
                Stmt::Loop(l) if l.unroll => self.unrolled(l),
                Stmt::Loop(l) => self.repeat(l),
                Stmt::If(i) => self.branch(i),
            }
        }
        if let Some(outer) = outer {
            self.mark(outer);
        }
    }

    /// What is selected from here on is for a statement.
    fn mark(&mut self, statement: Option<usize>) {
        self.statement = Some(statement);
        self.function.marks.push((self.function.code.len() as u32, statement));
    }

    /// Counts a use.
    fn used(&mut self, val: Val) {
        let uses = &mut self.uses[val.0 as usize];
        *uses = uses.saturating_sub(1);
    }

    /// Whether the registers of a value may be overwritten, since nothing uses it any more. A suggestion: copies keep what is
    /// used nevertheless.
    fn dies(&self, val: Val) -> bool {
        self.uses[val.0 as usize] == 0 && self.blocks[val.0 as usize] == self.block
    }

    /// Runs `body` in a block of its own.
    fn inside(&mut self, body: impl FnOnce(&mut Self)) {
        self.new_block += 1;
        let outer = std::mem::replace(&mut self.block, self.new_block);
        let prefixes = self.prefixes.len();
        body(self);
        self.prefixes.truncate(prefixes);
        self.block = outer;
    }

    fn check(&mut self, cond: Val, status: i32) {
        let failed = self.function.new_label();
        self.branch_if_not(cond, failed);
        self.function.code.extend([Code::RareBegin, Code::Bind(failed), Code::Return(status), Code::RareEnd]);
    }

    fn unrolled(&mut self, l: &'a Loop) {
        self.flush();
        [l.begin, l.end].into_iter().chain(l.carried.iter().map(|c| c.init)).for_each(|val| self.used(val));
        let (Some(Const::I64(begin)), Some(Const::I64(end))) = (self.constant_of(l.begin), self.constant_of(l.end))
        else {
            unreachable!("the verifier admits constant bounds only");
        };
        for c in &l.carried {
            self.materialize(c.init);
            let init = self.rep(c.init).clone();
            self.set(c.arg, init);
        }
        let uses: Vec<(Val, u32)> = defined(&l.body).map(|val| (val, self.uses[val.0 as usize])).collect();
        let args: Vec<u32> = l.carried.iter().map(|c| self.uses[c.arg.0 as usize]).collect();
        let mut i = begin;
        while i < end {
            self.set(l.var, Rep::Const(Const::I64(i)));
            for &(val, count) in &uses {
                self.uses[val.0 as usize] = count;
            }
            for (c, &count) in l.carried.iter().zip(&args) {
                self.uses[c.arg.0 as usize] = count;
            }
            let prefixes = self.prefixes.len();
            self.statements(&l.body);
            // The next iteration defines the same values anew.
            self.prefixes.truncate(prefixes);
            let next: SmallVec<[Rep; 8]> = l
                .carried
                .iter()
                .map(|c| {
                    self.used(c.next);
                    self.materialize(c.next);
                    self.rep(c.next).clone()
                })
                .collect();
            for (c, rep) in l.carried.iter().zip(next) {
                self.set(c.arg, rep);
            }
            i += l.step;
        }
        for c in &l.carried {
            let last = self.rep(c.arg).clone();
            self.set(c.result, last);
        }
    }

    fn repeat(&mut self, l: &'a Loop) {
        self.flush();
        [l.begin, l.end].into_iter().chain(l.carried.iter().map(|c| c.init)).for_each(|val| self.used(val));
        let end = self.bound(l.end);
        let var = self.function.new_reg(Class::General, 8, self.depth + 1);
        let mut entry = Moves::new();
        let begin = self.general(l.begin);
        self.function.hint(var, begin);
        entry.push((var, begin));
        let mut carried: Vec<Rep> = Vec::with_capacity(l.carried.len());
        for c in &l.carried {
            let rep = self.carry(c.init, &mut entry);
            carried.push(rep);
        }
        self.function.code.push(Code::Moves(entry));
        let (header, exit) = (self.function.new_label(), self.function.new_label());
        let certain = match (self.constant_of(l.begin), self.constant_of(l.end)) {
            (Some(Const::I64(begin)), Some(Const::I64(end))) => begin < end,
            _ => false,
        };
        if !certain {
            self.compare_index(var, end);
            self.function.code.push(Code::Branch(Condition::GreaterOrEqual, exit));
        }
        self.depth += 1;
        self.function.code.push(Code::LoopBegin);
        if !has_loop(&l.body) {
            self.function.code.push(Code::Align);
        }
        self.function.code.push(Code::Bind(header));
        self.inside(|this| {
            this.set(l.var, Rep::Scalar(var));
            for (c, rep) in l.carried.iter().zip(&carried) {
                this.set(c.arg, rep.clone());
            }
            this.statements(&l.body);
            let mut back = Moves::new();
            for (c, rep) in l.carried.iter().zip(&carried) {
                this.used(c.next);
                this.assign(rep, c.next, &mut back);
            }
            this.flush();
            this.function.code.push(Code::Moves(back));
            this.push(Inst::new(Op::AddImm, Width::W64, &[var]).imm(l.step));
            this.compare_index(var, end);
            this.function.code.push(Code::Branch(Condition::Less, header));
        });
        self.function.code.push(Code::LoopEnd);
        self.depth -= 1;
        self.function.code.push(Code::Bind(exit));
        let mut out = Moves::new();
        for (c, rep) in l.carried.iter().zip(&carried) {
            let result = self.fresh(rep, &mut out);
            self.set(c.result, result);
        }
        self.function.code.push(Code::Moves(out));
    }

    fn branch(&mut self, i: &'a If) {
        self.flush();
        self.used(i.cond);
        let (otherwise, merge) = (self.function.new_label(), self.function.new_label());
        // The results are defined where the branches meet.
        let results: Vec<Rep> = i.results.iter().map(|m| self.place(m.result)).collect();
        if i.is_rare {
            self.branch_if(i.cond, otherwise);
            self.inside(|this| this.arm(&i.otherwise, i.results.iter().map(|m| m.otherwise), &results));
            self.function.code.push(Code::RareBegin);
            self.function.code.push(Code::Bind(otherwise));
            self.inside(|this| this.arm(&i.then, i.results.iter().map(|m| m.then), &results));
            self.function.code.push(Code::Jump(merge));
            self.function.code.push(Code::RareEnd);
        } else {
            self.branch_if_not(i.cond, otherwise);
            self.inside(|this| this.arm(&i.then, i.results.iter().map(|m| m.then), &results));
            let is_empty = i.otherwise.is_empty() && i.results.is_empty();
            if !is_empty {
                self.function.code.push(Code::Jump(merge));
            }
            self.function.code.push(Code::Bind(otherwise));
            self.inside(|this| this.arm(&i.otherwise, i.results.iter().map(|m| m.otherwise), &results));
        }
        self.function.code.push(Code::Bind(merge));
        for (m, rep) in i.results.iter().zip(results) {
            self.set(m.result, rep);
        }
    }

    /// A branch of a conditional, which ends with its values in the results.
    fn arm(&mut self, block: &'a Block, values: impl Iterator<Item = Val>, results: &[Rep]) {
        self.statements(block);
        let mut out = Moves::new();
        for (value, rep) in values.zip(results) {
            self.used(value);
            self.assign(rep, value, &mut out);
        }
        self.flush();
        self.function.code.push(Code::Moves(out));
    }
}

/// The values that a block defines, without those of nested loops that are not unrolled.
fn defined(block: &Block) -> impl Iterator<Item = Val> {
    let mut vals = Vec::new();
    fn walk(block: &Block, vals: &mut Vec<Val>) {
        for stmt in block {
            match stmt {
                Stmt::Let(val, _) => vals.push(*val),
                Stmt::Loop(l) => {
                    vals.extend(l.carried.iter().flat_map(|c| [c.arg, c.result]));
                    walk(&l.body, vals);
                }
                Stmt::If(i) => {
                    vals.extend(i.results.iter().map(|m| m.result));
                    walk(&i.then, vals);
                    walk(&i.otherwise, vals);
                }
                Stmt::Store(..) | Stmt::Check(..) => {}
            }
        }
    }
    walk(block, &mut vals);
    vals.into_iter()
}

/// Whether a block has a loop that is not unrolled.
fn has_loop(block: &Block) -> bool {
    block.iter().any(|stmt| match stmt {
        Stmt::Loop(l) => !l.unroll || has_loop(&l.body),
        Stmt::If(i) => has_loop(&i.then) || has_loop(&i.otherwise),
        Stmt::Let(..) | Stmt::Store(..) | Stmt::Check(..) => false,
    })
}
