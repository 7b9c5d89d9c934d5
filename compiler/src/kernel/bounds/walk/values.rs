//! The transfer functions of operations.

use super::{DivisionPart, Int, Known, SelectForms, Walk};
use crate::kernel::bounds::affine::{Affine, Atom};
use crate::kernel::bounds::facts::{Formula, Range};
use crate::kernel::ir::*;

impl Walk<'_> {
    pub(super) fn fresh(&mut self, range: Range, lanes: u8) -> Int {
        Int { form: Affine::atom(self.facts.unknown(range, lanes == 1)), range }
    }

    /// A value of which only the type is known.
    pub(super) fn any(&mut self, ty: Ty) -> Known {
        match ty.elem {
            Elem::I64 => Known::Int(self.fresh(Range::ALL, ty.lanes)),
            _ => Known::Nothing,
        }
    }

    /// The result of an operation that gives `form` within `low..=high` if it does not wrap.
    pub(super) fn exact(&mut self, form: Option<Affine>, (low, high): (i128, i128), lanes: u8) -> Int {
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

    /// The number of a lane.
    pub(super) fn lane(&mut self, lanes: u8) -> Int {
        let range = Range { low: 0, high: i64::from(lanes) - 1 };
        let atom = *self.lanes.entry(lanes).or_insert_with(|| self.facts.unknown(range, false));
        Int { form: Affine::atom(atom), range }
    }

    pub(super) fn sum(&mut self, x: &Int, y: &Int, factor: i64, lanes: u8) -> Int {
        let (a, b) = (i128::from(y.range.low) * i128::from(factor), i128::from(y.range.high) * i128::from(factor));
        let (low, high) = (i128::from(x.range.low) + a.min(b), i128::from(x.range.high) + a.max(b));
        self.exact(x.form.plus(&y.form, factor), (low, high), lanes)
    }

    pub(super) fn product(&mut self, x: &Int, y: &Int, lanes: u8) -> Int {
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
    pub(super) fn extreme(&mut self, x: &Int, y: &Int, sign: i64, lanes: u8) -> Int {
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

    /// Quotient or remainder of a division by a positive number, rounded down.
    pub(super) fn part(&mut self, x: &Int, d: i64, part: DivisionPart, lanes: u8) -> Int {
        let range = self.facts.sharpened(&x.form, x.range);
        let (low, high) = (range.low.div_euclid(d), range.high.div_euclid(d));
        if low == high {
            let multiple = low.checked_mul(d);
            return match part {
                DivisionPart::Quotient => Int { form: Affine::constant(low), range: Range { low, high } },
                DivisionPart::Rest => {
                    let form = multiple.and_then(|m| x.form.clone().plus_constant(m.checked_neg()?));
                    let bounds = (i128::from(range.low.rem_euclid(d)), i128::from(range.high.rem_euclid(d)));
                    self.exact(form, bounds, lanes)
                }
            };
        }
        let quotient = self.division(&x.form, d, DivisionPart::Quotient, lanes);
        let (atom, range) = match part {
            DivisionPart::Quotient => (quotient, Range { low, high }),
            DivisionPart::Rest => (self.division(&x.form, d, DivisionPart::Rest, lanes), Range { low: 0, high: d - 1 }),
        };
        Int { form: Affine::atom(atom), range }
    }

    /// The unknown for the quotients or remainders of a form, wherever they are computed.
    pub(super) fn division(&mut self, x: &Affine, d: i64, part: DivisionPart, lanes: u8) -> Atom {
        let key = (x.clone(), d, part);
        if let Some(&known) = self.parts.get(&key) {
            return known;
        }
        let range = match part {
            DivisionPart::Rest => Range { low: 0, high: d - 1 },
            DivisionPart::Quotient => {
                let (low, high) = self.facts.base(x);
                let Range { low, high } = self.facts.without_conditions(|f| f.sharpened(x, Range::within(low, high)));
                Range { low: low.div_euclid(d), high: high.div_euclid(d) }
            }
        };
        let atom = self.facts.unknown(range, lanes == 1);
        // the remainder, beyond the multiple of the divisor
        let quotient = match part {
            DivisionPart::Quotient => Some(atom),
            DivisionPart::Rest => self.parts.get(&(x.clone(), d, DivisionPart::Quotient)).copied(),
        };
        let rest = quotient.and_then(|q| x.plus(&Affine::atom(q), d.checked_neg()?));
        let (from, to) = match part {
            DivisionPart::Quotient => (Affine::constant(0), Affine::constant(d - 1)),
            DivisionPart::Rest => (Affine::atom(atom), Affine::atom(atom)),
        };
        self.facts.define(atom, rest.as_ref().and_then(|rest| rest.plus(&from, -1)));
        self.facts.define(atom, rest.as_ref().and_then(|rest| to.plus(rest, -1)));
        self.parts.insert(key, atom);
        atom
    }

    /// The range of a value where a condition holds, if it can.
    pub(super) fn range_where(&mut self, x: &Int, formula: impl FnOnce() -> Formula) -> Option<Range> {
        if x.form.as_constant().is_some() {
            return Some(x.range);
        }
        let mark = self.facts.mark();
        let range = self.facts.assume(&formula()).then(|| self.facts.sharpened(&x.form, x.range));
        self.facts.release(mark);
        range
    }

    pub(super) fn select(&mut self, cond: Val, x: Val, y: Val, lanes: u8) -> Int {
        let (x, y) = (self.int(x), self.int(y));
        if x.form == y.form {
            return x;
        }
        let formula = self.truth(cond);
        match (self.range_where(&x, || formula.clone()), self.range_where(&y, || formula.negated())) {
            (Some(a), Some(b)) => {
                let result = self.fresh(a.hull(b), lanes);
                let choice = SelectForms { formula, cases: [x.form, y.form] };
                self.choices.insert(result.form.terms[0].0, choice);
                result
            }
            (Some(range), None) => Int { form: x.form, range },
            (None, Some(range)) => Int { form: y.form, range },
            (None, None) => x,
        }
    }

    pub(super) fn integer(&mut self, inst: &Inst, ty: Ty) -> Int {
        let lanes = ty.lanes;
        match *inst {
            Inst::Const(Const::I64(c)) => Int { form: Affine::constant(c), range: Range { low: c, high: c } },
            Inst::Iota => self.lane(lanes),
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
                self.part(&x, d, DivisionPart::Quotient, lanes)
            }
            Inst::Mod(x, d) => {
                let x = self.int(x);
                self.part(&x, d, DivisionPart::Rest, lanes)
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

    pub(super) fn binary(&mut self, op: Binary, x: &Int, y: &Int, lanes: u8) -> Int {
        let known = y.form.as_constant();
        match (op, known) {
            (Binary::Add, _) => self.sum(x, y, 1, lanes),
            (Binary::Sub, _) => self.sum(x, y, -1, lanes),
            (Binary::Mul, _) => self.product(x, y, lanes),
            (Binary::Min, _) => self.extreme(x, y, 1, lanes),
            (Binary::Max, _) => self.extreme(x, y, -1, lanes),
            (Binary::Div, Some(d)) if d > 0 && x.range.low >= 0 => self.part(x, d, DivisionPart::Quotient, lanes),
            (Binary::Rem, Some(d)) if d > 0 && x.range.low >= 0 => self.part(x, d, DivisionPart::Rest, lanes),
            (Binary::And, Some(mask)) if mask >= 0 => self.fresh(Range { low: 0, high: mask }, lanes),
            (Binary::Shl, Some(by @ 0..=62)) => {
                let factor = Int { form: Affine::constant(1 << by), range: Range { low: 1 << by, high: 1 << by } };
                self.product(x, &factor, lanes)
            }
            (Binary::Shr, Some(by @ 0..=62)) => self.part(x, 1 << by, DivisionPart::Quotient, lanes),
            (Binary::ShrU, Some(by @ 0..=62)) if x.range.low >= 0 => {
                self.part(x, 1 << by, DivisionPart::Quotient, lanes)
            }
            (Binary::ShrU, Some(by @ 1..=63)) => self.fresh(Range { low: 0, high: (u64::MAX >> by) as i64 }, lanes),
            _ => self.fresh(Range::ALL, lanes),
        }
    }

    pub(super) fn condition(&mut self, inst: &Inst, ty: Ty) -> Formula {
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
}
