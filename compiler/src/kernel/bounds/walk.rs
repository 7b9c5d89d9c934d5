//! Walks a kernel: what is known of each value, and which accesses may leave their buffers.

mod access;
mod values;

use rustc_hash::FxHashMap;

use super::Unproved;
use super::affine::{Affine, Atom};
use super::facts::{Facts, Formula, Range};
use crate::kernel::ir::*;

/// What is known of an `i64`, or of every lane of a vector of them.
#[derive(Clone, Debug)]
struct Int {
    form: Affine,
    range: Range,
}

#[derive(Clone, Debug)]
enum Known {
    Nothing,
    Int(Int),
    Truth(Formula),
}

/// A part of a division that rounds down; equal ones become one unknown.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum DivisionPart {
    Quotient,
    Rest,
}

/// A `select` of two forms: the first where the condition holds, else the second.
#[derive(Clone)]
struct SelectForms {
    formula: Formula,
    cases: [Affine; 2],
}

/// How many selects a proof distinguishes by cases.
const CHOICES: usize = 3;

pub(super) struct Walk<'a> {
    kernel: &'a Kernel,
    facts: Facts,
    values: Vec<Known>,
    parts: FxHashMap<(Affine, i64, DivisionPart), Atom>,
    /// The selects: conditions around a use may decide them.
    choices: FxHashMap<Atom, SelectForms>,
    /// The lane number, for each number of lanes.
    lanes: FxHashMap<u8, Atom>,
    /// Whether the current statement is unreachable.
    is_dead: bool,
    accesses: usize,
    pub unproved: Vec<Unproved>,
}

impl<'a> Walk<'a> {
    pub fn new(kernel: &'a Kernel) -> Self {
        let mut walk = Walk {
            kernel,
            facts: Facts::default(),
            values: vec![Known::Nothing; kernel.values.len()],
            parts: FxHashMap::default(),
            choices: FxHashMap::default(),
            lanes: FxHashMap::default(),
            is_dead: false,
            accesses: 0,
            unproved: vec![],
        };
        let chunks = i64::try_from(kernel.chunks).unwrap_or(i64::MAX);
        let first = walk.fresh(Range { low: 0, high: chunks - 1 }, 1);
        let end = walk.fresh(Range { low: 1, high: chunks }, 1);
        walk.set(Kernel::BEGIN, Known::Int(first));
        walk.set(Kernel::END, Known::Int(end));
        walk
    }

    pub fn block(&mut self, block: &Block) {
        for stmt in block {
            match stmt {
                Stmt::Let(val, inst) => {
                    let known = self.inst(inst, self.kernel.ty(*val));
                    self.set(*val, known);
                }
                Stmt::Store(access, value) => self.access(access, self.kernel.ty(*value).lanes),
                // A check proves nothing: loads may have been hoisted above it.
                Stmt::Check(..) => {}
                Stmt::Loop(l) => self.repeat(l),
                Stmt::If(i) => self.branch(i),
            }
        }
    }

    fn set(&mut self, val: Val, known: Known) {
        self.values[val.0 as usize] = known;
    }

    fn int(&mut self, val: Val) -> Int {
        match &self.values[val.0 as usize] {
            Known::Int(int) => int.clone(),
            _ => self.fresh(Range::ALL, self.kernel.ty(val).lanes),
        }
    }

    fn truth(&self, val: Val) -> Formula {
        match &self.values[val.0 as usize] {
            Known::Truth(formula) => formula.clone(),
            _ => Formula::Open,
        }
    }

    fn inst(&mut self, inst: &Inst, ty: Ty) -> Known {
        match *inst {
            Inst::Load(ref access) => {
                self.access(access, ty.lanes);
                return self.any(ty);
            }
            Inst::Gather { buf, index, offset } => {
                let index = self.int(index);
                self.prove(buf, [(&index, offset), (&index, offset)]);
                return self.any(ty);
            }
            _ => {}
        }
        match ty.elem {
            Elem::I64 => Known::Int(self.integer(inst, ty)),
            Elem::Bool => Known::Truth(self.condition(inst, ty)),
            _ => Known::Nothing,
        }
    }

    fn repeat(&mut self, l: &Loop) {
        let (begin, end) = (self.int(l.begin), self.int(l.end));
        let was_dead = self.is_dead;
        let last = end.range.high.saturating_sub(1);
        self.is_dead |= last < begin.range.low;
        // a loop whose variable may wrap may have any value
        let wraps = end.range.high.checked_add(l.step).is_none();
        let var = match wraps || self.is_dead {
            true => self.fresh(Range::ALL, 1),
            false => self.variable(&begin, &end, l.step),
        };
        self.set(l.var, Known::Int(var));
        for c in &l.carried {
            let known = self.any(self.kernel.ty(c.arg));
            self.set(c.arg, known);
        }
        self.block(&l.body);
        self.is_dead = was_dead;
        for c in &l.carried {
            let known = self.any(self.kernel.ty(c.result));
            self.set(c.result, known);
        }
    }

    /// `begin + step * iteration`, below `end`.
    fn variable(&mut self, begin: &Int, end: &Int, step: i64) -> Int {
        let (low, mut high) = (begin.range.low, end.range.high - 1);
        let iterations = (i128::from(high) - i128::from(low)) / i128::from(step);
        let iteration = self.fresh(Range::exact(0, iterations), 1);
        let atom = iteration.form.terms[0].0;
        let Some(form) = begin.form.plus(&iteration.form, step) else {
            return self.fresh(Range { low, high }, 1);
        };
        // If begin and step are multiples, so is the variable.
        if let Ok(unit @ 2..) = i64::try_from(form.step()) {
            high -= (i128::from(high) - i128::from(form.constant)).rem_euclid(i128::from(unit)) as i64;
        }
        let below = |end: Option<Affine>| end.and_then(|end| end.plus(&form, -1)?.plus_constant(-1));
        // if it begins at a constant, the range of the iterations is as strong
        if begin.form.as_constant().is_none() {
            self.facts.define(atom, below(high.checked_add(1).map(Affine::constant)));
        }
        for end in self.smaller(&end.form, 4).into_iter().filter(|end| end.as_constant().is_none()) {
            self.facts.define(atom, below(Some(end)));
        }
        Int { form, range: Range { low, high: high.max(low) } }
    }

    /// A form, and the forms that bound it by the definition of a minimum.
    fn smaller(&self, form: &Affine, most: usize) -> Vec<Affine> {
        let mut all = vec![form.clone()];
        let mut at = 0;
        while at < all.len() && all.len() < most {
            let form = all[at].clone();
            if let [(atom, 1)] = form.terms[..] {
                let above = self.facts.defined(atom).filter(|f| f.coefficient(atom) == -1);
                all.extend(above.filter_map(|f| f.plus(&form, 1)));
            }
            at += 1;
        }
        all
    }

    fn branch(&mut self, i: &If) {
        let formula = self.truth(i.cond);
        let mut cases = vec![];
        for (block, formula) in [(&i.then, &formula), (&i.otherwise, &formula.negated())] {
            let (mark, was_dead) = (self.facts.mark(), self.is_dead);
            let around = self.facts.enter();
            self.is_dead |= !self.facts.assume(formula);
            self.block(block);
            // Facts about the results do not hold after the branch.
            let mut results = vec![];
            for m in i.results.iter().filter(|m| self.kernel.ty(m.result).elem == Elem::I64) {
                let x = self.int(if cases.is_empty() { m.then } else { m.otherwise });
                let range = self.facts.sharpened(&x.form, x.range);
                results.push(Int { form: x.form, range });
            }
            cases.push((self.is_dead && !was_dead, results));
            self.facts.release(mark);
            self.facts.leave(around);
            self.is_dead = was_dead;
        }
        let mut results = cases[0].1.iter().zip(&cases[1].1);
        for m in &i.results {
            let ty = self.kernel.ty(m.result);
            let known = match ty.elem {
                Elem::I64 => {
                    let (x, y) = results.next().expect("there is one of each result");
                    let range = match (cases[0].0, cases[1].0) {
                        (true, false) => y.range,
                        (false, true) => x.range,
                        _ => x.range.hull(y.range),
                    };
                    let result = self.fresh(range, ty.lanes);
                    let choice = SelectForms { formula: formula.clone(), cases: [x.form.clone(), y.form.clone()] };
                    self.choices.insert(result.form.terms[0].0, choice);
                    Known::Int(result)
                }
                _ => Known::Nothing,
            };
            self.set(m.result, known);
        }
    }
}
