//! The walk over a kernel: what is known of each value, and which accesses may leave their buffers.

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

/// How `i64`s are divided, rounding down, so that equal quotients are one unknown.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Quotient,
    Rest,
}

/// The first of two sums where a condition holds, else the second.
#[derive(Clone)]
struct Choice {
    formula: Formula,
    ways: [Affine; 2],
}

/// How many selections are told apart in a proof.
const CHOICES: usize = 3;

pub(super) struct Walk<'a> {
    kernel: &'a Kernel,
    facts: Facts,
    values: Vec<Known>,
    parts: FxHashMap<(Affine, i64, Part), Atom>,
    /// What selections choose between: conditions around their use may tell more than those around themselves.
    choices: FxHashMap<Atom, Choice>,
    /// The number of the lane, for each number of lanes.
    lanes: FxHashMap<u8, Atom>,
    /// Whether the walk stands where no execution comes.
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
                // Nothing hangs on a check: what is read for it may have been read before.
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

    fn fresh(&mut self, range: Range, lanes: u8) -> Int {
        Int { form: Affine::atom(self.facts.unknown(range, lanes == 1)), range }
    }

    /// A value that nothing but its type is known of.
    fn any(&mut self, ty: Ty) -> Known {
        match ty.elem {
            Elem::I64 => Known::Int(self.fresh(Range::ALL, ty.lanes)),
            _ => Known::Nothing,
        }
    }

    /// The result of an operation that gives `form` within `low..=high` if it does not wrap.
    fn exact(&mut self, form: Option<Affine>, (low, high): (i128, i128), lanes: u8) -> Int {
        let range = Range::exact(low, high);
        let wraps = range == Range::ALL && (low, high) != (i128::from(i64::MIN), i128::from(i64::MAX));
        match form {
            Some(form) if !wraps => {
                let (least, most) = self.facts.base(&form);
                let (low, high) = (least.max(low), most.min(high));
                let range = if low <= high { Range::exact(low, high) } else { range };
                Int { form, range }
            }
            _ => self.fresh(range, lanes),
        }
    }

    fn sum(&mut self, x: &Int, y: &Int, factor: i64, lanes: u8) -> Int {
        let (a, b) = (i128::from(y.range.low) * i128::from(factor), i128::from(y.range.high) * i128::from(factor));
        let (low, high) = (i128::from(x.range.low) + a.min(b), i128::from(x.range.high) + a.max(b));
        self.exact(x.form.plus(&y.form, factor), (low, high), lanes)
    }

    fn product(&mut self, x: &Int, y: &Int, lanes: u8) -> Int {
        let ends = |r: Range| [i128::from(r.low), i128::from(r.high)];
        let all = ends(x.range).into_iter().flat_map(|a| ends(y.range).map(|b| a * b));
        let bounds = (all.clone().min().unwrap_or(0), all.max().unwrap_or(0));
        let form = match (x.form.as_constant(), y.form.as_constant()) {
            (_, Some(c)) => x.form.scaled(c),
            (Some(c), _) => y.form.scaled(c),
            _ => None,
        };
        self.exact(form, bounds, lanes)
    }

    /// The smaller of two (`sign` 1), or the larger (`sign` -1).
    fn extreme(&mut self, x: &Int, y: &Int, sign: i64, lanes: u8) -> Int {
        let pick = |a: i64, b: i64| if sign > 0 { a.min(b) } else { a.max(b) };
        let [a, b] =
            [x, y].map(|x| if x.form.terms.len() > 1 { self.facts.sharpened(&x.form, x.range) } else { x.range });
        let range = Range { low: pick(a.low, b.low), high: pick(a.high, b.high) };
        let result = self.fresh(range, lanes);
        let atom = result.form.terms[0].0;
        for other in [x, y] {
            let fact = other.form.plus(&result.form, -1).and_then(|f| f.scaled(sign));
            self.facts.define(atom, fact);
        }
        result
    }

    /// Quotient or rest of a division by a positive number, rounded down.
    fn part(&mut self, x: &Int, d: i64, part: Part, lanes: u8) -> Int {
        let range = self.facts.sharpened(&x.form, x.range);
        let (low, high) = (range.low.div_euclid(d), range.high.div_euclid(d));
        if low == high {
            let multiple = low.checked_mul(d);
            return match part {
                Part::Quotient => Int { form: Affine::constant(low), range: Range { low, high } },
                Part::Rest => {
                    let form = multiple.and_then(|m| x.form.clone().plus_constant(m.checked_neg()?));
                    let bounds = (i128::from(range.low.rem_euclid(d)), i128::from(range.high.rem_euclid(d)));
                    self.exact(form, bounds, lanes)
                }
            };
        }
        let quotient = self.division(&x.form, d, Part::Quotient, lanes);
        let (atom, range) = match part {
            Part::Quotient => (quotient, Range { low, high }),
            Part::Rest => (self.division(&x.form, d, Part::Rest, lanes), Range { low: 0, high: d - 1 }),
        };
        Int { form: Affine::atom(atom), range }
    }

    /// The unknown that stands for quotients or rests of a sum, wherever they are computed.
    fn division(&mut self, x: &Affine, d: i64, part: Part, lanes: u8) -> Atom {
        let key = (x.clone(), d, part);
        if let Some(&known) = self.parts.get(&key) {
            return known;
        }
        let range = match part {
            Part::Rest => Range { low: 0, high: d - 1 },
            Part::Quotient => {
                let (low, high) = self.facts.base(x);
                let Range { low, high } = self.facts.without_conditions(|f| f.sharpened(x, Range::within(low, high)));
                Range { low: low.div_euclid(d), high: high.div_euclid(d) }
            }
        };
        let atom = self.facts.unknown(range, lanes == 1);
        // what is left behind the multiple of the divisor
        let quotient = match part {
            Part::Quotient => Some(atom),
            Part::Rest => self.parts.get(&(x.clone(), d, Part::Quotient)).copied(),
        };
        let rest = quotient.and_then(|q| x.plus(&Affine::atom(q), d.checked_neg()?));
        let (from, to) = match part {
            Part::Quotient => (Affine::constant(0), Affine::constant(d - 1)),
            Part::Rest => (Affine::atom(atom), Affine::atom(atom)),
        };
        self.facts.define(atom, rest.as_ref().and_then(|rest| rest.plus(&from, -1)));
        self.facts.define(atom, rest.as_ref().and_then(|rest| to.plus(rest, -1)));
        self.parts.insert(key, atom);
        atom
    }

    /// The range of a value where a condition holds, if it can.
    fn range_where(&mut self, x: &Int, formula: &Formula) -> Option<Range> {
        let mark = self.facts.mark();
        let range = self.facts.assume(formula).then(|| match x.form.as_constant() {
            Some(_) => x.range,
            None => self.facts.sharpened(&x.form, x.range),
        });
        self.facts.release(mark);
        range
    }

    fn select(&mut self, cond: Val, x: Val, y: Val, lanes: u8) -> Int {
        let (x, y) = (self.int(x), self.int(y));
        if x.form == y.form {
            return x;
        }
        let formula = self.truth(cond);
        match (self.range_where(&x, &formula), self.range_where(&y, &formula.negated())) {
            (Some(a), Some(b)) => {
                let result = self.fresh(a.hull(b), lanes);
                let choice = Choice { formula, ways: [x.form, y.form] };
                self.choices.insert(result.form.terms[0].0, choice);
                result
            }
            (Some(range), None) => Int { form: x.form, range },
            (None, Some(range)) => Int { form: y.form, range },
            (None, None) => x,
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

    fn integer(&mut self, inst: &Inst, ty: Ty) -> Int {
        let lanes = ty.lanes;
        match *inst {
            Inst::Const(Const::I64(c)) => Int { form: Affine::constant(c), range: Range { low: c, high: c } },
            Inst::Iota => {
                let range = Range { low: 0, high: i64::from(lanes) - 1 };
                let atom = *self.lanes.entry(lanes).or_insert_with(|| self.facts.unknown(range, false));
                Int { form: Affine::atom(atom), range }
            }
            Inst::Splat(x) => self.int(x),
            Inst::Unary(Unary::Neg, x) => {
                let (zero, x) = (Int { form: Affine::constant(0), range: Range { low: 0, high: 0 } }, self.int(x));
                self.sum(&zero, &x, -1, lanes)
            }
            Inst::Binary(op, x, y) => {
                let (x, y) = (self.int(x), self.int(y));
                self.binary(op, &x, &y, lanes)
            }
            Inst::DivFloor(x, d) => {
                let x = self.int(x);
                self.part(&x, d, Part::Quotient, lanes)
            }
            Inst::Mod(x, d) => {
                let x = self.int(x);
                self.part(&x, d, Part::Rest, lanes)
            }
            Inst::Select(c, x, y) => self.select(c, x, y, lanes),
            Inst::Convert(x) => {
                let range = match self.kernel.ty(x).elem {
                    Elem::Bool => Range { low: 0, high: 1 },
                    Elem::I32 => Range { low: i64::from(i32::MIN), high: i64::from(i32::MAX) },
                    _ => Range::ALL,
                };
                self.fresh(range, lanes)
            }
            Inst::Lane(x, _) | Inst::Half(x, _) => {
                let range = self.int(x).range;
                self.fresh(range, lanes)
            }
            Inst::Interleave(x, y, _) => {
                let range = self.int(x).range.hull(self.int(y).range);
                self.fresh(range, lanes)
            }
            _ => self.fresh(Range::ALL, lanes),
        }
    }

    fn binary(&mut self, op: Binary, x: &Int, y: &Int, lanes: u8) -> Int {
        let known = y.form.as_constant();
        match (op, known) {
            (Binary::Add, _) => self.sum(x, y, 1, lanes),
            (Binary::Sub, _) => self.sum(x, y, -1, lanes),
            (Binary::Mul, _) => self.product(x, y, lanes),
            (Binary::Min, _) => self.extreme(x, y, 1, lanes),
            (Binary::Max, _) => self.extreme(x, y, -1, lanes),
            (Binary::Div, Some(d)) if d > 0 && x.range.low >= 0 => self.part(x, d, Part::Quotient, lanes),
            (Binary::Rem, Some(d)) if d > 0 && x.range.low >= 0 => self.part(x, d, Part::Rest, lanes),
            (Binary::And, Some(mask)) if mask >= 0 => self.fresh(Range { low: 0, high: mask }, lanes),
            (Binary::Shl, Some(by @ 0..=62)) => {
                let factor = Int { form: Affine::constant(1 << by), range: Range { low: 1 << by, high: 1 << by } };
                self.product(x, &factor, lanes)
            }
            (Binary::Shr, Some(by @ 0..=62)) => self.part(x, 1 << by, Part::Quotient, lanes),
            (Binary::ShrU, Some(by @ 0..=62)) if x.range.low >= 0 => self.part(x, 1 << by, Part::Quotient, lanes),
            (Binary::ShrU, Some(by @ 1..=63)) => self.fresh(Range { low: 0, high: (u64::MAX >> by) as i64 }, lanes),
            _ => self.fresh(Range::ALL, lanes),
        }
    }

    fn condition(&mut self, inst: &Inst, ty: Ty) -> Formula {
        match *inst {
            Inst::Const(Const::Bool(c)) => Formula::Holds(Affine::constant(if c { 0 } else { -1 })),
            Inst::Compare(op, x, y) if self.kernel.ty(x).elem == Elem::I64 => {
                let (x, y) = (self.int(x), self.int(y));
                let at_least = |x: &Int, y: &Int, by: i64| {
                    Formula::holds(x.form.plus(&y.form, -1).and_then(|f| f.plus_constant(-by)))
                };
                match op {
                    Compare::Lt => at_least(&y, &x, 1),
                    Compare::Le => at_least(&y, &x, 0),
                    Compare::Gt => at_least(&x, &y, 1),
                    Compare::Ge => at_least(&x, &y, 0),
                    Compare::Eq => Formula::both(at_least(&x, &y, 0), at_least(&y, &x, 0)),
                    Compare::Ne => Formula::either(at_least(&x, &y, 1), at_least(&y, &x, 1)),
                }
            }
            Inst::Binary(Binary::And, x, y) => Formula::both(self.truth(x), self.truth(y)),
            Inst::Binary(Binary::Or, x, y) => Formula::either(self.truth(x), self.truth(y)),
            Inst::Unary(Unary::Not, x) => self.truth(x).negated(),
            Inst::Splat(x) => self.truth(x),
            Inst::Any(x) if self.kernel.ty(x).lanes == ty.lanes => self.truth(x),
            Inst::Any(x) => Formula::InSomeLane(std::rc::Rc::new(self.truth(x))),
            _ => Formula::Open,
        }
    }

    fn access(&mut self, access: &Access, lanes: u8) {
        let index = self.int(access.index);
        let active = access.active.map(|n| self.int(n));
        let reached = active.as_ref().map_or(i64::from(lanes), |n| n.range.high.min(i64::from(lanes)));
        if reached <= 0 {
            self.accesses += 1;
            return;
        }
        let span = (access.stride.checked_mul(reached - 1)).and_then(|span| span.checked_add(access.offset));
        let Some(last) = span else { return self.refuse(access.buf, Range::ALL) };
        let ends = if access.stride >= 0 { (access.offset, last) } else { (last, access.offset) };
        // The last lane that counts may be known better together with the index.
        let together = active.filter(|n| n.form.as_constant().is_none() && lanes > 1).and_then(|n| {
            let before_last = n.form.plus_constant(-1)?;
            index.form.plus(&before_last, access.stride)
        });
        if let Some(form) = together {
            let moved = Int { form, range: Range::ALL };
            let by_ends = [(&index, ends.0), (&index, ends.1)];
            if !self.is_proved(access.buf, by_ends) {
                let sides = if access.stride >= 0 {
                    [(&index, access.offset), (&moved, access.offset)]
                } else {
                    [(&moved, access.offset), (&index, access.offset)]
                };
                return self.prove(access.buf, sides);
            }
        }
        self.prove(access.buf, [(&index, ends.0), (&index, ends.1)]);
    }

    /// Notes an access unless its first and its last element are known to lie in the buffer.
    fn prove(&mut self, buf: Buf, ends: [(&Int, i64); 2]) {
        if self.is_dead || self.is_proved(buf, ends) || self.is_proved_by_choices(buf, ends) {
            self.accesses += 1;
            return;
        }
        let at = |(x, offset): (&Int, i64)| Range {
            low: x.range.low.saturating_add(offset),
            high: x.range.high.saturating_add(offset),
        };
        self.refuse(buf, Range { low: at(ends[0]).low, high: at(ends[1]).high });
    }

    fn refuse(&mut self, buf: Buf, range: Range) {
        if !self.is_dead {
            let elements = self.kernel.extent(buf).1;
            let access = self.accesses;
            self.unproved.push(Unproved { access, buf, elements, first: range.low, last: range.high });
        }
        self.accesses += 1;
    }

    fn is_proved(&self, buf: Buf, [first, last]: [(&Int, i64); 2]) -> bool {
        let elements = self.kernel.extent(buf).1 as i128;
        let from = -i128::from(first.1);
        let to = elements - 1 - i128::from(last.1);
        (i128::from(first.0.range.low) >= from || self.facts.at_least(&first.0.form, from))
            && (i128::from(last.0.range.high) <= to || self.facts.at_most(&last.0.form, to))
    }

    fn is_proved_by_choices(&mut self, buf: Buf, [first, last]: [(&Int, i64); 2]) -> bool {
        let elements = self.kernel.extent(buf).1 as i128;
        let from = -i128::from(first.1);
        let to = elements - 1 - i128::from(last.1);
        let opposite = first.0.form.scaled(-1);
        opposite.is_some_and(|form| self.each_way(&form, -from, CHOICES)) && self.each_way(&last.0.form, to, CHOICES)
    }

    /// Whether a sum is at most `goal`, whatever the selections in it choose.
    fn each_way(&mut self, form: &Affine, goal: i128, depth: usize) -> bool {
        if self.facts.at_most(form, goal) {
            return true;
        }
        let choice = form.terms.iter().find_map(|&(atom, c)| Some((atom, c, self.choices.get(&atom)?.clone())));
        let (Some((atom, c, Choice { formula, ways })), 1..) = (choice, depth) else { return false };
        let rest = form.plus(&Affine::atom(atom), c.wrapping_neg());
        let cases = [formula.clone(), formula.negated()];
        rest.is_some_and(|rest| {
            cases.iter().zip(ways).all(|(case, way)| {
                let Some(form) = rest.plus(&way, c) else { return false };
                let mark = self.facts.mark();
                let holds = !self.facts.assume(case) || self.each_way(&form, goal, depth - 1);
                self.facts.release(mark);
                holds
            })
        })
    }

    fn repeat(&mut self, l: &Loop) {
        let (begin, end) = (self.int(l.begin), self.int(l.end));
        let was_dead = self.is_dead;
        let last = end.range.high.saturating_sub(1);
        self.is_dead |= last < begin.range.low;
        // a loop that may wrap may have any number
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

    /// `begin + step * turn`, below `end`.
    fn variable(&mut self, begin: &Int, end: &Int, step: i64) -> Int {
        let (low, mut high) = (begin.range.low, end.range.high - 1);
        let turns = (i128::from(high) - i128::from(low)) / i128::from(step);
        let turn = self.fresh(Range::exact(0, turns), 1);
        let atom = turn.form.terms[0].0;
        let Some(form) = begin.form.plus(&turn.form, step) else {
            return self.fresh(Range { low, high }, 1);
        };
        // Where begin and step are multiples, so is the variable.
        if let Ok(unit @ 2..) = i64::try_from(form.step()) {
            high -= (i128::from(high) - i128::from(form.constant)).rem_euclid(i128::from(unit)) as i64;
        }
        let below = |end: Option<Affine>| end.and_then(|end| end.plus(&form, -1)?.plus_constant(-1));
        // where it begins at a number, the range of the turns says as much
        if begin.form.as_constant().is_none() {
            self.facts.define(atom, below(high.checked_add(1).map(Affine::constant)));
        }
        for end in self.smaller(&end.form, 4).into_iter().filter(|end| end.as_constant().is_none()) {
            self.facts.define(atom, below(Some(end)));
        }
        Int { form, range: Range { low, high: high.max(low) } }
    }

    /// A sum, and the sums that it is smaller than by the definition of a minimum.
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
        let mut ways = vec![];
        for (block, formula) in [(&i.then, &formula), (&i.otherwise, &formula.negated())] {
            let (mark, was_dead) = (self.facts.mark(), self.is_dead);
            self.is_dead |= !self.facts.assume(formula);
            self.block(block);
            // What is known of the results here is forgotten behind the branch.
            let mut results = vec![];
            for m in i.results.iter().filter(|m| self.kernel.ty(m.result).elem == Elem::I64) {
                let x = self.int(if ways.is_empty() { m.then } else { m.otherwise });
                let range = self.facts.sharpened(&x.form, x.range);
                results.push(Int { form: x.form, range });
            }
            ways.push((self.is_dead && !was_dead, results));
            self.facts.release(mark);
            self.is_dead = was_dead;
        }
        let mut results = ways[0].1.iter().zip(&ways[1].1);
        for m in &i.results {
            let ty = self.kernel.ty(m.result);
            let known = match ty.elem {
                Elem::I64 => {
                    let (x, y) = results.next().expect("there is one of each result");
                    let range = match (ways[0].0, ways[1].0) {
                        (true, false) => y.range,
                        (false, true) => x.range,
                        _ => x.range.hull(y.range),
                    };
                    let result = self.fresh(range, ty.lanes);
                    let choice = Choice { formula: formula.clone(), ways: [x.form.clone(), y.form.clone()] };
                    self.choices.insert(result.form.terms[0].0, choice);
                    Known::Int(result)
                }
                _ => Known::Nothing,
            };
            self.set(m.result, known);
        }
    }
}
