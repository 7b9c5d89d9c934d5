//! Scalar integers and booleans in general registers, and comparisons of scalars.

use super::value::Rep;
use super::{Code, Condition, Inst, Mem, Op, Reg, Rm, Select, Width};
use crate::codegen::wide::code::{RAX, RDX};
use crate::codegen::wide::inst::{Base, Label};
use crate::kernel::{Binary, Compare, Const, Elem, Ty, Unary, Val};

/// The end of a loop.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    Known(i32),
    Reg(Reg),
}

/// The width of an integer's instructions.
pub(super) fn general_width(elem: Elem) -> Width {
    if elem == Elem::I64 { Width::W64 } else { Width::W32 }
}

impl Compare {
    /// The condition of a comparison of integers.
    fn condition(self) -> Condition {
        match self {
            Compare::Eq => Condition::Equal,
            Compare::Ne => Condition::NotEqual,
            Compare::Lt => Condition::Less,
            Compare::Le => Condition::LessOrEqual,
            Compare::Gt => Condition::Greater,
            Compare::Ge => Condition::GreaterOrEqual,
        }
    }
}

impl Condition {
    fn inverse(self) -> Condition {
        match self {
            Condition::Below => Condition::AboveOrEqual,
            Condition::AboveOrEqual => Condition::Below,
            Condition::Equal => Condition::NotEqual,
            Condition::NotEqual => Condition::Equal,
            Condition::BelowOrEqual => Condition::Above,
            Condition::Above => Condition::BelowOrEqual,
            Condition::Parity => Condition::NoParity,
            Condition::NoParity => Condition::Parity,
            Condition::Less => Condition::GreaterOrEqual,
            Condition::GreaterOrEqual => Condition::Less,
            Condition::LessOrEqual => Condition::Greater,
            Condition::Greater => Condition::LessOrEqual,
        }
    }
}

impl Select<'_> {
    pub(super) fn bound(&mut self, end: Val) -> Bound {
        match self.known(end).map(i32::try_from) {
            Some(Ok(end)) => Bound::Known(end),
            _ => Bound::Reg(self.general(end)),
        }
    }

    pub(super) fn compare_index(&mut self, x: Reg, bound: Bound) {
        self.push(match bound {
            Bound::Known(c) => Inst::new(Op::CmpImm, Width::W64, &[x]).imm(i64::from(c)),
            Bound::Reg(reg) => Inst::new(Op::Cmp, Width::W64, &[x]).with(Rm::Reg(reg)),
        });
    }

    /// `op(x, y)`, which overwrites a copy of x.
    pub(super) fn over(&mut self, op: Op, width: Width, x: Reg, y: Rm) -> Reg {
        let to = self.copy(x);
        self.push(Inst::new(op, width, &[to]).with(y));
        to
    }

    pub(super) fn over_imm(&mut self, op: Op, width: Width, x: Reg, imm: i64) -> Reg {
        let to = self.copy(x);
        self.push(Inst::new(op, width, &[to]).imm(imm));
        to
    }

    pub(super) fn unary_general(&mut self, op: Unary, x: Val, ty: Ty) -> Rep {
        let width = general_width(ty.elem);
        let x = self.general(x);
        Rep::Scalar(match op {
            Unary::Neg | Unary::Not => {
                let to = self.copy(x);
                self.push(Inst::new(if op == Unary::Neg { Op::Neg } else { Op::Not }, width, &[to]));
                to
            }
            _ => {
                // The negation, unless that is negative; its flags are those of 0 - x.
                let to = self.copy(x);
                self.push(Inst::new(Op::Neg, width, &[to]));
                self.function.code.push(Code::Choose(Condition::Less, width, to, x));
                to
            }
        })
    }

    /// Keeps the constant terms of index sums apart, so that they become displacements.
    fn index_binary(&mut self, op: Binary, x: Val, y: Val) -> Option<Rep> {
        let ((xv, xc), (yv, yc)) = (self.index(x), self.index(y));
        let with = |v: Option<Reg>, c: i64| match v {
            Some(v) => Rep::Index(v, c),
            None => Rep::Const(Const::I64(c)),
        };
        match (op, xv, yv) {
            (Binary::Add, Some(a), Some(b)) => {
                let sum = self.sum(a, b);
                Some(with(Some(sum), xc.wrapping_add(yc)))
            }
            (Binary::Add, a, b) => Some(with(a.or(b), xc.wrapping_add(yc))),
            (Binary::Sub, Some(a), Some(b)) => {
                let difference = self.over(Op::Sub, Width::W64, a, Rm::Reg(b));
                Some(with(Some(difference), xc.wrapping_sub(yc)))
            }
            (Binary::Sub, a, None) => Some(with(a, xc.wrapping_sub(yc))),
            (Binary::Mul, a, None) => {
                let product = a.map(|a| self.scale(a, yc));
                Some(with(product, xc.wrapping_mul(yc)))
            }
            (Binary::Mul, None, b) => {
                let product = b.map(|b| self.scale(b, xc));
                Some(with(product, xc.wrapping_mul(yc)))
            }
            _ => None,
        }
    }

    fn sum(&mut self, a: Reg, b: Reg) -> Reg {
        let to = self.new_general();
        let mem = Mem { base: Base::Register(a), index: Some((b, 0)), displacement: 0, broadcast: false };
        self.push(Inst::new(Op::Lea, Width::W64, &[to]).with(Rm::Mem(mem)));
        to
    }

    fn scale(&mut self, x: Reg, c: i64) -> Reg {
        if c > 0 && c.count_ones() == 1 {
            return self.over_imm(Op::ShlImm, Width::W64, x, i64::from(c.trailing_zeros()));
        }
        self.times(Width::W64, x, c)
    }

    pub(super) fn times(&mut self, width: Width, x: Reg, c: i64) -> Reg {
        if i32::try_from(c).is_ok() {
            let to = self.new_general();
            self.push(Inst::new(Op::ImulImm, width, &[to]).with(Rm::Reg(x)).imm(c));
            return to;
        }
        let to = self.integer(c);
        self.push(Inst::new(Op::Imul, width, &[to]).with(Rm::Reg(x)));
        to
    }

    pub(super) fn binary_general(&mut self, op: Binary, x: Val, y: Val, ty: Ty) -> Rep {
        if ty == Ty::INDEX
            && let Some(rep) = self.index_binary(op, x, y)
        {
            return rep;
        }
        let (x, y_known) = (self.general(x), self.known(y));
        let y = match y_known {
            Some(c) => Err(c),
            None => Ok(self.general(y)),
        };
        Rep::Scalar(self.integers(op, ty.elem, x, y))
    }

    /// A binary operation on integers in general registers; y may be known.
    pub(super) fn integers(&mut self, op: Binary, elem: Elem, x: Reg, y: Result<Reg, i64>) -> Reg {
        let width = general_width(elem);
        let simple = match op {
            Binary::Add => Some((Op::Add, Op::AddImm)),
            Binary::Sub => Some((Op::Sub, Op::SubImm)),
            Binary::And => Some((Op::And, Op::AndImm)),
            Binary::Or => Some((Op::Or, Op::OrImm)),
            Binary::Xor => Some((Op::Xor, Op::XorImm)),
            _ => None,
        };
        match (op, y) {
            (_, Err(c)) if simple.is_some() && i32::try_from(c).is_ok() => {
                self.over_imm(simple.expect("tested").1, width, x, c)
            }
            (Binary::Shl | Binary::Shr | Binary::ShrU, Err(c)) => {
                let op = match op {
                    Binary::Shl => Op::ShlImm,
                    Binary::Shr => Op::SarImm,
                    _ => Op::ShrImm,
                };
                self.over_imm(op, width, x, c & (width.size() as i64 * 8 - 1))
            }
            (Binary::Mul, Err(c)) => self.times(width, x, c),
            (_, Err(c)) => {
                let y = self.integer(c);
                self.integers(op, elem, x, Ok(y))
            }
            (Binary::Shl | Binary::Shr | Binary::ShrU, Ok(y)) => {
                // These take the count modulo the width.
                let op = match op {
                    Binary::Shl => Op::Shlx,
                    Binary::Shr => Op::Sarx,
                    _ => Op::Shrx,
                };
                let to = self.new_general();
                self.push(Inst::new(op, width, &[to, x, y]));
                to
            }
            (Binary::Mul, Ok(y)) => self.over(Op::Imul, width, x, Rm::Reg(y)),
            (Binary::Min | Binary::Max, Ok(y)) => {
                let to = self.copy(y);
                self.push(Inst::new(Op::Cmp, width, &[x]).with(Rm::Reg(y)));
                let better = if op == Binary::Min { Condition::Less } else { Condition::Greater };
                self.function.code.push(Code::Choose(better, width, to, x));
                to
            }
            (Binary::Div | Binary::Rem, Ok(y)) => self.divide_general(op, width, x, y),
            (_, Ok(y)) => self.over(simple.expect("all others are above").0, width, x, Rm::Reg(y)),
        }
    }

    /// The instruction traps at `x / 0` and `MIN / -1`: both are computed apart.
    fn divide_general(&mut self, op: Binary, width: Width, x: Reg, y: Reg) -> Reg {
        let to = self.new_general();
        let (special, done) = (self.function.new_label(), self.function.new_label());
        // y + 1 is 0 or 1 exactly for -1 and 0.
        self.push(Inst::new(Op::Lea, width, &[RAX]).with(Rm::Mem(Mem::at(y, 1))));
        self.push(Inst::new(Op::CmpImm, width, &[RAX]).imm(1));
        self.function.code.push(Code::Branch(Condition::BelowOrEqual, special));
        self.push(Inst::new(Op::Mov, width, &[RAX]).with(Rm::Reg(x)));
        self.push(Inst::new(if width == Width::W64 { Op::Cqo } else { Op::Cdq }, width, &[]));
        self.push(Inst::new(Op::Idiv, width, &[]).with(Rm::Reg(y)));
        if op == Binary::Rem {
            self.push(Inst::new(Op::Mov, width, &[RAX]).with(Rm::Reg(RDX)));
        }
        self.function.code.extend([Code::Jump(done), Code::Bind(special)]);
        if op == Binary::Div {
            // x / 0 = x * 0, x / -1 = x * -1.
            self.push(Inst::new(Op::Mov, width, &[RAX]).with(Rm::Reg(x)));
            self.push(Inst::new(Op::Imul, width, &[RAX]).with(Rm::Reg(y)));
        } else {
            self.push(Inst::new(Op::Xor, Width::W32, &[RAX]).with(Rm::Reg(RAX)));
        }
        self.function.code.push(Code::Bind(done));
        self.push(Inst::new(Op::Mov, Width::W64, &[to]).with(Rm::Reg(RAX)));
        to
    }

    /// A comparison of scalars is part of what tests it, if nothing else needs it.
    pub(super) fn compare_scalar(&mut self, val: Val, op: Compare, x: Val, y: Val) -> Rep {
        for operand in [x, y] {
            self.materialize(operand);
        }
        if self.uses[val.0 as usize] == 1 && !self.kernel.ty(x).elem.is_float() {
            return Rep::Test(op, x, y);
        }
        Rep::Scalar(self.truth(op, x, y))
    }

    /// Sets the flags for a comparison of scalars other than floats; returns the condition.
    fn flags(&mut self, op: Compare, x: Val, y: Val) -> Condition {
        let width = general_width(self.kernel.ty(x).elem);
        let reg = self.general(x);
        match self.known(y) {
            Some(c) if i32::try_from(c).is_ok() => self.push(Inst::new(Op::CmpImm, width, &[reg]).imm(c)),
            _ => {
                let y = self.general(y);
                self.push(Inst::new(Op::Cmp, width, &[reg]).with(Rm::Reg(y)));
            }
        }
        op.condition()
    }

    /// The result of a comparison of scalars, 0 or 1.
    pub(super) fn truth(&mut self, op: Compare, x: Val, y: Val) -> Reg {
        let ty = self.kernel.ty(x);
        if !ty.elem.is_float() {
            let condition = self.flags(op, x, y);
            return self.set_flag(condition);
        }
        // `a > b` and `a >= b` are false where the flags say unordered; the others are these of the other order.
        let (x, y, condition) = match op {
            Compare::Gt => (x, y, Condition::Above),
            Compare::Ge => (x, y, Condition::AboveOrEqual),
            Compare::Lt => (y, x, Condition::Above),
            Compare::Le => (y, x, Condition::AboveOrEqual),
            Compare::Eq => (x, y, Condition::Equal),
            Compare::Ne => (x, y, Condition::NotEqual),
        };
        let (x, y) = (self.float(x), self.float(y));
        let op_code = if ty.elem == Elem::F32 { Op::Vucomiss } else { Op::Vucomisd };
        let compare = Inst::new(op_code, Width::V128, &[x]).with(Rm::Reg(y));
        self.push(compare);
        let result = self.set_flag(condition);
        if let Compare::Eq | Compare::Ne = op {
            // Unordered sets the flag of equality.
            self.push(compare);
            let parity = if op == Compare::Eq { Condition::NoParity } else { Condition::Parity };
            let ordered = self.set_flag(parity);
            let join = if op == Compare::Eq { Op::And } else { Op::Or };
            return self.over(join, Width::W32, result, Rm::Reg(ordered));
        }
        result
    }

    /// Sets the flags for a boolean; returns the condition under which it is true.
    fn test(&mut self, cond: Val) -> Condition {
        if let Rep::Test(op, x, y) = *self.rep(cond) {
            return self.flags(op, x, y);
        }
        let reg = self.general(cond);
        self.push(Inst::new(Op::Test, Width::W32, &[reg]).with(Rm::Reg(reg)));
        Condition::NotEqual
    }

    pub(super) fn branch_if(&mut self, cond: Val, to: Label) {
        let condition = self.test(cond);
        self.function.code.push(Code::Branch(condition, to));
    }

    pub(super) fn branch_if_not(&mut self, cond: Val, to: Label) {
        let condition = self.test(cond);
        self.function.code.push(Code::Branch(condition.inverse(), to));
    }

    pub(super) fn select_general(&mut self, c: Val, x: Val, y: Val, ty: Ty) -> Rep {
        let (x, y) = (self.general(x), self.general(y));
        let to = self.copy(y);
        let condition = self.test(c);
        self.function.code.push(Code::Choose(condition, general_width(ty.elem), to, x));
        Rep::Scalar(to)
    }

    /// A general register as 0 or -1, in `rax`.
    pub(super) fn all_bits(&mut self, cond: Val) {
        let cond = self.general(cond);
        self.push(Inst::new(Op::Mov, Width::W32, &[RAX]).with(Rm::Reg(cond)));
        self.push(Inst::new(Op::Neg, Width::W64, &[RAX]));
    }
}
