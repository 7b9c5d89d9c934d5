//! Random functions with more values than registers, loops, branches and unlikely code.

use crate::codegen::wide::code::{Code, Constant, FIXED, Function, Moves, RAX};
use crate::codegen::wide::inst::{Class, Condition, Inst, Mem, Reg, Rm, Width};
use crate::codegen::wide::isa::Isa;
use crate::codegen::wide::op::Op;
use crate::codegen::wide::select::constant_load;

/// A function that follows from a seed.
pub(super) fn function(seed: u64, isa: Isa) -> Function {
    let mut random = Random {
        state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        isa,
        depth: 0,
        function: Function::default(),
        defined: [vec![], vec![], vec![]],
    };
    random.whole();
    random.function
}

struct Random {
    state: u64,
    isa: Isa,
    depth: u8,
    function: Function,
    /// The registers that have a value here, by class.
    defined: [Vec<Reg>; 3],
}

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 33) as usize % n
    }

    fn push(&mut self, inst: Inst) {
        self.function.code.push(Code::Inst(inst));
    }

    fn fresh(&mut self, class: Class) -> Reg {
        let bytes = if class == Class::Vector { self.isa.bytes() as u8 } else { 8 };
        self.function.new_reg(class, bytes, self.depth)
    }

    fn any(&mut self, class: Class) -> Reg {
        let n = self.defined[class as usize].len();
        let at = self.below(n);
        self.defined[class as usize][at]
    }

    fn define(&mut self, class: Class, reg: Reg) {
        self.defined[class as usize].push(reg);
    }

    fn classes(&self) -> &'static [Class] {
        match self.isa {
            Isa::Avx2 => &[Class::General, Class::Vector],
            Isa::Avx512 => &[Class::General, Class::Vector, Class::Mask],
        }
    }

    fn whole(&mut self) {
        for _ in 0..4 {
            let parameter = self.fresh(Class::General);
            self.define(Class::General, parameter);
        }
        for i in 0..6 {
            let offset = 64 * i;
            let constant =
                if i % 2 == 0 { Constant::Whole { offset } } else { Constant::Broadcast { offset, bytes: 4 } };
            self.function.pool.resize(64 * (i as usize + 1), 0);
            let reg = self.fresh(Class::Vector);
            self.function.regs[(reg.0 - FIXED) as usize].constant = Some(constant);
            self.push(constant_load(constant, reg, self.isa.widest()));
            self.define(Class::Vector, reg);
        }
        if self.isa == Isa::Avx512 {
            self.mask();
        }
        let statements = 20 + self.below(60);
        self.statements(statements, 0);
        self.store_all(&[vec![], vec![], vec![]]);
        self.function.code.push(Code::Return(0));
    }

    /// Uses all that is defined and was not before, so that it has a place until now.
    fn store_all(&mut self, before: &[Vec<Reg>; 3]) {
        let address = self.defined[Class::General as usize][0];
        for class in self.classes() {
            let since: Vec<Reg> = self.defined[*class as usize][before[*class as usize].len()..].into();
            for reg in since {
                let (op, width) = match class {
                    Class::General => (Op::MovStore, Width::W64),
                    Class::Vector => (Op::VmovupsStore, self.isa.widest()),
                    Class::Mask => (Op::KmovwStore, Width::W32),
                };
                self.push(Inst::new(op, width, &[reg]).with(Rm::Mem(Mem::at(address, 64))));
            }
        }
    }

    fn statements(&mut self, count: usize, nesting: usize) {
        for _ in 0..count {
            match self.below(if nesting < 3 { 24 } else { 20 }) {
                0..6 => self.general(),
                6..15 => self.vector(),
                15..18 if self.isa == Isa::Avx512 => self.mask(),
                15..20 => self.choose(),
                20 | 21 => self.repeat(nesting),
                22 => self.branch(nesting),
                _ => self.rarely(nesting),
            }
        }
    }

    fn copy(&mut self, class: Class, from: Reg) -> Reg {
        let to = self.fresh(class);
        self.function.hint(to, from);
        self.function.code.push(Code::Moves(Moves::from_slice(&[(to, from)])));
        to
    }

    fn general(&mut self) {
        let (x, y) = (self.any(Class::General), self.any(Class::General));
        let to = match self.below(3) {
            0 => {
                let to = self.fresh(Class::General);
                self.push(Inst::new(Op::Lea, Width::W64, &[to]).with(Rm::Mem(Mem::at(x, 8))));
                to
            }
            1 => {
                let to = self.copy(Class::General, x);
                self.push(Inst::new(Op::Add, Width::W64, &[to]).with(Rm::Reg(y)));
                to
            }
            _ => {
                let to = self.fresh(Class::General);
                self.push(Inst::new(Op::MovImm, Width::W64, &[to]).imm(7));
                to
            }
        };
        self.define(Class::General, to);
    }

    fn vector(&mut self) {
        let (x, y, z) = (self.any(Class::Vector), self.any(Class::Vector), self.any(Class::Vector));
        let width = self.isa.widest();
        let to = match self.below(3) {
            0 => {
                let to = self.copy(Class::Vector, x);
                self.push(Inst::new(Op::Vfmadd231ps, width, &[to, y]).with(Rm::Reg(z)));
                to
            }
            1 if self.isa == Isa::Avx512 => {
                let (to, mask) = (self.copy(Class::Vector, x), self.any(Class::Mask));
                self.push(Inst::new(Op::Vaddps, width, &[to, y]).with(Rm::Reg(z)).under(mask));
                to
            }
            _ => {
                let to = self.fresh(Class::Vector);
                self.push(Inst::new(Op::Vaddps, width, &[to, x]).with(Rm::Reg(y)));
                to
            }
        };
        self.define(Class::Vector, to);
    }

    fn mask(&mut self) {
        let to = self.fresh(Class::Mask);
        if self.defined[Class::Mask as usize].len() < 2 || self.below(3) == 0 {
            self.push(Inst::new(Op::MovImm, Width::W64, &[RAX]).imm(5));
            self.push(Inst::new(Op::KmovwFromGeneral, Width::W32, &[to, RAX]));
        } else {
            let (x, y) = (self.any(Class::Mask), self.any(Class::Mask));
            self.push(Inst::new(Op::Kandw, Width::W32, &[to, x, y]));
        }
        self.define(Class::Mask, to);
    }

    fn compare(&mut self) {
        let x = self.any(Class::General);
        self.push(Inst::new(Op::CmpImm, Width::W64, &[x]).imm(3));
    }

    fn choose(&mut self) {
        let (x, y) = (self.any(Class::General), self.any(Class::General));
        let to = self.copy(Class::General, x);
        self.compare();
        self.function.code.push(Code::Choose(Condition::Less, Width::W64, to, y));
        self.define(Class::General, to);
    }

    /// A block, whose values are forgotten behind it; returns one value of each class of `classes`.
    fn inside(&mut self, classes: &[Class], nesting: usize) -> Vec<Reg> {
        let before = self.defined.clone();
        let count = 1 + self.below(10);
        self.statements(count, nesting + 1);
        self.store_all(&before);
        let last = classes.iter().map(|class| self.any(*class)).collect();
        self.defined = before;
        last
    }

    /// Some registers, which exchange their values or take those of others in each iteration.
    fn repeat(&mut self, nesting: usize) {
        let classes: Vec<Class> = (0..1 + self.below(6)).map(|i| self.classes()[i % self.classes().len()]).collect();
        let mut entry = Moves::new();
        self.depth += 1;
        let carried: Vec<Reg> = classes.iter().map(|class| self.fresh(*class)).collect();
        for (class, reg) in classes.iter().zip(&carried) {
            let init = self.any(*class);
            self.function.hint(*reg, init);
            entry.push((*reg, init));
        }
        self.function.code.push(Code::Moves(entry));
        let header = self.function.new_label();
        self.function.code.extend([Code::LoopBegin, Code::Align, Code::Bind(header)]);
        let outer = self.defined.clone();
        for (class, reg) in classes.iter().zip(&carried) {
            self.define(*class, *reg);
        }
        let mut next = self.inside(&classes, nesting);
        if self.below(2) == 0 {
            // A permutation of those of one class.
            for class in self.classes() {
                let same: Vec<usize> = (0..classes.len()).filter(|&i| classes[i] == *class).collect();
                for (k, &i) in same.iter().enumerate() {
                    next[i] = carried[same[(k + 1) % same.len()]];
                }
            }
        }
        self.function.code.push(Code::Moves(carried.iter().copied().zip(next).collect()));
        self.compare();
        self.function.code.extend([Code::Branch(Condition::Less, header), Code::LoopEnd]);
        self.depth -= 1;
        self.defined = outer;
        let results: Vec<Reg> = classes.iter().map(|class| self.fresh(*class)).collect();
        self.function.code.push(Code::Moves(results.iter().copied().zip(carried).collect()));
        classes.iter().zip(results).for_each(|(class, reg)| self.define(*class, reg));
    }

    fn branch(&mut self, nesting: usize) {
        let classes = self.classes();
        let (otherwise, merge) = (self.function.new_label(), self.function.new_label());
        let results: Vec<Reg> = classes.iter().map(|class| self.fresh(*class)).collect();
        self.compare();
        self.function.code.push(Code::Branch(Condition::Less, otherwise));
        let values = self.inside(classes, nesting);
        self.function.code.push(Code::Moves(results.iter().copied().zip(values).collect()));
        self.function.code.extend([Code::Jump(merge), Code::Bind(otherwise)]);
        let values = self.inside(classes, nesting);
        self.function.code.push(Code::Moves(results.iter().copied().zip(values).collect()));
        self.function.code.push(Code::Bind(merge));
        classes.iter().zip(results).for_each(|(class, reg)| self.define(*class, reg));
    }

    /// Unlikely code, which returns or comes back.
    fn rarely(&mut self, nesting: usize) {
        let (rare, back) = (self.function.new_label(), self.function.new_label());
        let class = self.classes()[self.below(self.classes().len())];
        let result = self.fresh(class);
        self.compare();
        self.function.code.push(Code::Branch(Condition::Equal, rare));
        let value = self.any(class);
        self.function.code.push(Code::Moves(Moves::from_slice(&[(result, value)])));
        self.function.code.extend([Code::RareBegin, Code::Bind(rare)]);
        let values = self.inside(&[class], nesting);
        if self.below(3) == 0 {
            self.function.code.push(Code::Return(3));
        } else {
            self.function.code.push(Code::Moves(Moves::from_slice(&[(result, values[0])])));
            self.function.code.push(Code::Jump(back));
        }
        self.function.code.extend([Code::RareEnd, Code::Bind(back)]);
        self.define(class, result);
    }
}
