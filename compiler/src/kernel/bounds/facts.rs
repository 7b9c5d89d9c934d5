//! What is known of the unknowns of index arithmetic, and what follows from it.

use std::rc::Rc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::affine::{Affine, Atom, Terms, gcd};

/// The smallest and the largest value of an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub low: i64,
    pub high: i64,
}

impl Range {
    pub const ALL: Range = Range { low: i64::MIN, high: i64::MAX };

    /// The range of an operation's exact results; unbounded if one of them wraps.
    pub fn exact(low: i128, high: i128) -> Range {
        match (i64::try_from(low), i64::try_from(high)) {
            (Ok(low), Ok(high)) => Range { low, high },
            _ => Range::ALL,
        }
    }

    /// The `i64`s within some bounds.
    pub fn within(low: i128, high: i128) -> Range {
        let clamp = |x: i128| x.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        Range { low: clamp(low), high: clamp(high) }
    }

    pub fn hull(self, other: Range) -> Range {
        Range { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// A condition on unknowns, or a weaker one.
#[derive(Clone, Debug)]
pub(super) enum Formula {
    Open,
    /// The form is not negative.
    Holds(Affine),
    Both(Rc<(Formula, Formula)>),
    Either(Rc<(Formula, Formula)>),
    /// It holds in some lane.
    InSomeLane(Rc<Formula>),
}

impl Formula {
    pub fn both(x: Formula, y: Formula) -> Formula {
        Formula::Both(Rc::new((x, y)))
    }

    pub fn either(x: Formula, y: Formula) -> Formula {
        Formula::Either(Rc::new((x, y)))
    }

    /// `form >= 0`, where there is such a form.
    pub fn holds(form: Option<Affine>) -> Formula {
        form.map_or(Formula::Open, |form| Formula::Holds(form.tightened()))
    }

    pub fn negated(&self) -> Formula {
        match self {
            Formula::Open | Formula::InSomeLane(_) => Formula::Open,
            Formula::Holds(form) => Formula::holds(form.scaled(-1).and_then(|f| f.plus_constant(-1))),
            Formula::Both(parts) => Formula::either(parts.0.negated(), parts.1.negated()),
            Formula::Either(parts) => Formula::both(parts.0.negated(), parts.1.negated()),
        }
    }
}

struct Unknown {
    range: Range,
    /// Whether it is the same in all lanes.
    uniform: bool,
    /// Nonnegative forms with this unknown, by its definition.
    facts: SmallVec<[Affine; 2]>,
}

/// The unknowns, and the facts about them in the current scope.
#[derive(Default)]
pub(super) struct Facts {
    unknowns: Vec<Unknown>,
    /// Nonnegative forms by the conditions around the current statement.
    assumed: Vec<Affine>,
    /// The current branch, and the number of the next one.
    branch: u32,
    next_branch: u32,
    /// Memoises conjunctions in a branch: nested conditions share the outer ones, of which there may be many.
    resolved: FxHashMap<(*const (Formula, Formula), u32), Resolved>,
    /// Upper bounds that were proved of sums without their constants, in a branch: the accesses of a tile differ by constants.
    proved: FxHashMap<(Terms, u32), i128>,
}

/// The result of assuming a conjunction.
struct Resolved {
    /// Keeps the address, which is the key, alive.
    _formula: Rc<(Formula, Formula)>,
    can_hold: bool,
    /// The innermost of the nonnegative forms.
    facts: Vec<Affine>,
}

/// The longest chain of facts in a proof.
const DEPTH: usize = 6;
/// How many facts a proof visits before it gives up: at first, when there are other ways, and in the end; and how many where a bound is
/// only sharpened.
pub(super) const EFFORTS: [u32; 2] = [1 << 9, 1 << 14];
const SHARPENING: u32 = 192;
/// How many facts of enclosing conditions a proof visits, innermost first.
const NEAREST: usize = 24;

impl Facts {
    /// A new unknown.
    pub fn unknown(&mut self, range: Range, uniform: bool) -> Atom {
        self.unknowns.push(Unknown { range, uniform, facts: SmallVec::new() });
        Atom(self.unknowns.len() as u32 - 1)
    }

    /// Adds a fact that holds by the definition of an unknown.
    pub fn define(&mut self, atom: Atom, fact: Option<Affine>) {
        self.unknowns[atom.0 as usize].facts.extend(fact.map(Affine::tightened));
    }

    /// The facts that hold by the definition of an unknown.
    pub fn defined(&self, atom: Atom) -> impl Iterator<Item = &Affine> {
        self.unknowns[atom.0 as usize].facts.iter()
    }

    /// Runs `body` with facts that hold everywhere, without the enclosing conditions.
    pub fn without_conditions<T>(&mut self, body: impl FnOnce(&Self) -> T) -> T {
        let assumed = std::mem::take(&mut self.assumed);
        let result = body(self);
        self.assumed = assumed;
        result
    }

    pub fn range(&self, atom: Atom) -> Range {
        self.unknowns[atom.0 as usize].range
    }

    /// The position of the facts of a scope that begins now.
    pub fn mark(&self) -> usize {
        self.assumed.len()
    }

    /// Drops what was assumed since the mark.
    pub fn release(&mut self, mark: usize) {
        self.assumed.truncate(mark);
    }

    /// Enters a branch or another temporary scope, whose conditions are assumed next; returns the enclosing branch, for
    /// [`Facts::leave`].
    pub fn enter(&mut self) -> u32 {
        self.next_branch += 1;
        std::mem::replace(&mut self.branch, self.next_branch)
    }

    /// Leaves a branch.
    pub fn leave(&mut self, around: u32) {
        self.branch = around;
    }

    /// Assumes a condition; returns whether it can hold at all.
    pub fn assume(&mut self, formula: &Formula) -> bool {
        match formula {
            Formula::Open => true,
            Formula::Holds(form) => {
                if let Some(c) = form.as_constant() {
                    return c >= 0;
                }
                self.assumed.push(form.clone());
                self.base(form).1 >= 0
            }
            Formula::Both(parts) => {
                let key = (Rc::as_ptr(parts), self.branch);
                if let Some(known) = self.resolved.get(&key) {
                    self.assumed.extend_from_slice(&known.facts);
                    return known.can_hold;
                }
                let mark = self.mark();
                // The outer one of two nested conditions comes first, since it may decide a disjunction in the inner one.
                let mut can_hold = self.assume(&parts.0);
                if can_hold {
                    let around = self.enter();
                    can_hold = self.assume(&parts.1);
                    self.leave(around);
                }
                let nearest = mark.max(self.assumed.len().saturating_sub(NEAREST));
                let facts = self.assumed[nearest..].to_vec();
                self.resolved.insert(key, Resolved { _formula: parts.clone(), can_hold, facts });
                can_hold
            }
            Formula::Either(parts) => match (self.refutes(&parts.0), self.refutes(&parts.1)) {
                (true, true) => false,
                (true, false) => self.assume(&parts.1),
                (false, true) => self.assume(&parts.0),
                (false, false) => true,
            },
            Formula::InSomeLane(formula) => {
                let there = self.elsewhere(formula, &mut FxHashMap::default());
                self.assume(&there)
            }
        }
    }

    /// Whether a condition cannot hold.
    fn refutes(&self, formula: &Formula) -> bool {
        match formula {
            Formula::Open | Formula::InSomeLane(_) => false,
            Formula::Holds(form) => self.upper(form, -1, SHARPENING) < 0,
            Formula::Both(parts) => self.refutes(&parts.0) || self.refutes(&parts.1),
            Formula::Either(parts) => self.refutes(&parts.0) && self.refutes(&parts.1),
        }
    }

    /// A condition on lanes, renamed to a fresh lane.
    fn elsewhere(&mut self, formula: &Formula, renamed: &mut FxHashMap<Atom, Atom>) -> Formula {
        match formula {
            Formula::Open | Formula::InSomeLane(_) => Formula::Open,
            Formula::Holds(form) => {
                let mut there = Affine::constant(form.constant);
                for &(atom, c) in &form.terms {
                    let Unknown { range, uniform, .. } = self.unknowns[atom.0 as usize];
                    let atom = match uniform {
                        true => atom,
                        false => *renamed.entry(atom).or_insert_with(|| self.unknown(range, true)),
                    };
                    match there.plus(&Affine::atom(atom), c) {
                        Some(sum) => there = sum,
                        None => return Formula::Open,
                    }
                }
                Formula::Holds(there)
            }
            Formula::Both(parts) => Formula::both(self.elsewhere(&parts.0, renamed), self.elsewhere(&parts.1, renamed)),
            Formula::Either(parts) => {
                Formula::either(self.elsewhere(&parts.0, renamed), self.elsewhere(&parts.1, renamed))
            }
        }
    }

    /// Bounds by the ranges of the unknowns alone.
    pub fn base(&self, form: &Affine) -> (i128, i128) {
        let mut bounds = (i128::from(form.constant), i128::from(form.constant));
        for &(atom, c) in &form.terms {
            let Range { low, high } = self.range(atom);
            let (a, b) = (i128::from(low) * i128::from(c), i128::from(high) * i128::from(c));
            bounds = (bounds.0.saturating_add(a.min(b)), bounds.1.saturating_add(a.max(b)));
        }
        bounds
    }

    /// The upper bound of a form by the ranges of the unknowns alone.
    fn most(&self, form: &Affine) -> i128 {
        form.terms.iter().fold(i128::from(form.constant), |sum, &(atom, c)| sum.saturating_add(self.most_of(atom, c)))
    }

    /// The upper bound of a multiple of an unknown.
    fn most_of(&self, atom: Atom, c: i64) -> i128 {
        let Range { low, high } = self.range(atom);
        i128::from(if c > 0 { high } else { low }) * i128::from(c)
    }

    /// Whether a sum is at most `goal` here; what was assumed since the current branch was entered is the same in all calls.
    pub fn at_most(&mut self, form: &Affine, goal: i128, effort: u32) -> bool {
        if self.most(form) <= goal {
            return true;
        }
        let constant = i128::from(form.constant);
        let key = (form.terms.clone(), self.branch);
        if self.proved.get(&key).is_some_and(|known| known.saturating_add(constant) <= goal) {
            return true;
        }
        let bound = self.upper(form, goal, effort);
        if bound <= goal {
            self.proved.insert(key, bound.saturating_sub(constant));
        }
        bound <= goal
    }

    /// Whether a sum is at least `goal` here.
    pub fn at_least(&mut self, form: &Affine, goal: i128, effort: u32) -> bool {
        form.scaled(-1).is_some_and(|form| self.at_most(&form, -goal, effort))
    }

    /// The range of a form, `known` sharpened with limited effort.
    pub fn sharpened(&self, form: &Affine, known: Range) -> Range {
        let high = self.upper(form, i128::MIN, SHARPENING).min(i128::from(known.high));
        let low = form.scaled(-1).map_or(i128::MIN, |form| -self.upper(&form, i128::MIN, SHARPENING).max(-i128::MAX));
        let low = low.max(i128::from(known.low));
        // a contradiction: unreachable
        if low > high { known } else { Range::exact(low, high) }
    }

    /// An upper bound of a form: the first that is at most `goal`, or else the best one that is found.
    fn upper(&self, form: &Affine, goal: i128, effort: u32) -> i128 {
        let mut best = self.most(form);
        // Iterative deepening: there are few short proofs, and most proofs are short.
        let mut effort = effort;
        for depth in 1..=DEPTH {
            if best <= goal || effort == 0 {
                break;
            }
            let before = effort;
            best = best.min(self.search(form, goal, depth, &mut effort));
            if before == effort {
                break;
            }
        }
        best
    }

    /// Adds multiples of facts, which are not negative, so that unknowns cancel; at most `depth` of them, and at least one.
    fn search(&self, form: &Affine, goal: i128, depth: usize, effort: &mut u32) -> i128 {
        let mut best = self.most(form);
        if best <= goal {
            return best;
        }
        let nearest = &self.assumed[self.assumed.len().saturating_sub(NEAREST)..];
        for &(atom, c) in &form.terms {
            for fact in nearest.iter().rev().chain(&self.unknowns[atom.0 as usize].facts) {
                if *effort == 0 {
                    return best;
                }
                *effort -= 1;
                let d = fact.coefficient(atom);
                if d == 0 || (c > 0) == (d > 0) {
                    continue;
                }
                let common = gcd(c.unsigned_abs(), d.unsigned_abs());
                let factors = (i64::try_from(d.unsigned_abs() / common), i64::try_from(c.unsigned_abs() / common));
                let (Ok(times), Ok(of_fact)) = factors else { continue };
                let found = match depth {
                    // The last fact of the chain: its sum need not be kept.
                    1 => {
                        let mut most = 0i128;
                        let add = |atom, c| most = most.saturating_add(self.most_of(atom, c));
                        let Some(constant) = form.combine(times, fact, of_fact, add) else { continue };
                        most.saturating_add(i128::from(constant))
                    }
                    _ => {
                        let Some(sum) = form.combined(times, fact, of_fact) else { continue };
                        let times = i128::from(times);
                        let needed = goal.saturating_mul(times).saturating_add(times - 1);
                        self.search(&sum, needed, depth - 1, effort)
                    }
                };
                best = best.min(if times == 1 { found } else { found.div_euclid(i128::from(times)) });
                if best <= goal {
                    return best;
                }
            }
        }
        best
    }
}
