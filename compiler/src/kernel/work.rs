//! Counts the multiplications that a kernel executes: what is multiplied needlessly (padding, gaps, lanes beyond a border) shows in a
//! number that no clock and no machine disturbs.

use super::eval;
use super::ir::*;

/// The multiplications of floats that a run of all chunks executes, lanes of vectors one by one, without what rare branches repeat.
/// Loops and branches are followed as they run, so the number is exact unless data decides a branch or a bound: such a branch counts as
/// not taken.
pub fn multiplications(kernel: &Kernel) -> u64 {
    let mut count = Count { kernel, values: vec![None; kernel.values.len()], total: 0 };
    count.values[Kernel::BEGIN.0 as usize] = Some(0);
    count.values[Kernel::END.0 as usize] = Some(kernel.chunks as u64);
    count.block(&kernel.body, 1);
    count.total
}

struct Count<'a> {
    kernel: &'a Kernel,
    /// Scalars that do not depend on data.
    values: Vec<Option<u64>>,
    total: u64,
}

impl Count<'_> {
    fn get(&self, val: Val) -> Option<u64> {
        self.values[val.0 as usize]
    }

    fn set(&mut self, val: Val, value: Option<u64>) {
        self.values[val.0 as usize] = value;
    }

    fn block(&mut self, block: &Block, times: u64) {
        for stmt in block {
            match stmt {
                Stmt::Let(val, inst) => {
                    let ty = self.kernel.ty(*val);
                    if let Inst::Fma(..) | Inst::Binary(Binary::Mul, ..) = inst
                        && matches!(ty.elem, Elem::F32 | Elem::F64)
                    {
                        self.total += times * u64::from(ty.lanes);
                    }
                    let value = if ty.lanes == 1 { self.scalar(inst, ty.elem) } else { None };
                    self.set(*val, value);
                }
                Stmt::Store(..) | Stmt::Check(..) => {}
                Stmt::Loop(l) => self.repeat(l, times),
                Stmt::If(i) => {
                    let taken = !i.is_rare && self.get(i.cond).is_some_and(|cond| cond != 0);
                    self.block(if taken { &i.then } else { &i.otherwise }, times);
                    for m in &i.results {
                        self.set(m.result, self.get(if taken { m.then } else { m.otherwise }));
                    }
                }
            }
        }
    }

    fn repeat(&mut self, l: &Loop, times: u64) {
        let (Some(begin), Some(end)) = (self.get(l.begin), self.get(l.end)) else { return };
        let (begin, end) = (begin as i64, end as i64);
        for c in &l.carried {
            self.set(c.arg, self.get(c.init));
        }
        let is_plain = l.body.iter().all(|stmt| !matches!(stmt, Stmt::Loop(_) | Stmt::If(_)));
        if is_plain && begin < end {
            // no iteration differs from the first
            let iterations = (end - begin).unsigned_abs().div_ceil(l.step.unsigned_abs());
            self.set(l.var, Some(begin as u64));
            self.block(&l.body, times * iterations);
            l.carried.iter().for_each(|c| self.set(c.result, None));
            return;
        }
        let mut at = begin;
        while at < end {
            self.set(l.var, Some(at as u64));
            self.block(&l.body, times);
            let next: Vec<_> = l.carried.iter().map(|c| self.get(c.next)).collect();
            for (c, next) in l.carried.iter().zip(next) {
                self.set(c.arg, next);
            }
            at += l.step;
        }
        for c in &l.carried {
            self.set(c.result, self.get(c.arg));
        }
    }

    fn scalar(&self, inst: &Inst, elem: Elem) -> Option<u64> {
        Some(match *inst {
            Inst::Const(c) => eval::constant(c),
            Inst::Unary(op, x) => eval::unary(op, elem, self.get(x)?),
            Inst::Binary(op, x, y) => eval::binary(op, elem, self.get(x)?, self.get(y)?),
            Inst::DivFloor(x, k) => (self.get(x)? as i64).div_euclid(k) as u64,
            Inst::Mod(x, k) => (self.get(x)? as i64).rem_euclid(k) as u64,
            Inst::Compare(op, x, y) => eval::compare(op, self.kernel.ty(x).elem, self.get(x)?, self.get(y)?),
            Inst::Select(c, x, y) => self.get(if self.get(c)? != 0 { x } else { y })?,
            _ => return None,
        })
    }
}
