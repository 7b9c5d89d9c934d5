//! The reads of an operator's body: at which indices, in which branches. Fusion counts evaluations by them.

use dlc_ir::compute::{Compute, Expr, Guard, Index};
use smallvec::SmallVec;

/// An affine form over axes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Row {
    /// Axes ascending, no factor 0.
    pub terms: SmallVec<[(u32, i64); 2]>,
    pub constant: i64,
}

/// One read in a body.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub operand: usize,
    /// The index on each of its axes, if all are affine.
    pub index: Option<SmallVec<[Row; 4]>>,
    /// The enclosing branches, the outermost first.
    pub branches: SmallVec<[Branch; 1]>,
}

/// One side of a condition in a body.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    /// The number of the condition in the body.
    pub number: u32,
    /// Whether it is the side on which the condition holds.
    pub holds: bool,
    /// The ranges that must all hold: an index, its smallest value and one past its largest; `None` for another kind of
    /// condition.
    pub tests: SmallVec<[Option<(Row, i64, i64)>; 1]>,
}

/// Every read of a body, those in its conditions and indices included.
pub(super) fn reads(compute: &Compute) -> Vec<Read> {
    let mut walk = Walk { reads: vec![], around: SmallVec::new(), conditions: 0 };
    walk.expr(&compute.body);
    if let Some(reduce) = &compute.reduce {
        reduce.guards.iter().for_each(|g| walk.index(guarded(g)));
        reduce.position.iter().for_each(|p| walk.index(p));
    }
    walk.reads
}

struct Walk {
    reads: Vec<Read>,
    around: SmallVec<[Branch; 1]>,
    conditions: u32,
}

impl Walk {
    fn expr(&mut self, body: &Expr) {
        match body {
            Expr::Read { operand, index, .. } => {
                index.iter().for_each(|i| self.index(i));
                let index = index.iter().map(row).collect();
                self.reads.push(Read { operand: *operand, index, branches: self.around.clone() });
            }
            Expr::Const(_) => {}
            Expr::Position(index, _) => self.index(index),
            Expr::Apply(_, _, args) => args.iter().for_each(|x| self.expr(x)),
            Expr::If { guards, then, other } => {
                guards.iter().for_each(|g| self.index(guarded(g)));
                let tests: SmallVec<_> = guards.iter().map(range).collect();
                let number = self.conditions;
                self.conditions += 1;
                for (holds, side) in [(true, then), (false, other)] {
                    self.around.push(Branch { number, holds, tests: tests.clone() });
                    self.expr(side);
                    self.around.pop();
                }
            }
            Expr::Random { key, counter, element, .. } => {
                self.expr(key);
                self.expr(counter);
                self.index(element);
            }
        }
    }

    /// The reads within an index.
    fn index(&mut self, index: &Index) {
        match index {
            Index::Axis(_) | Index::Const(_) => {}
            Index::Add(a, b) => {
                self.index(a);
                self.index(b);
            }
            Index::Mul(a, _) | Index::Div(a, _) | Index::Mod(a, _) => self.index(a),
            Index::Data { value, .. } => self.expr(value),
        }
    }
}

fn guarded(guard: &Guard) -> &Index {
    match guard {
        Guard::InRange { index, .. } | Guard::Divisible { index, .. } => index,
    }
}

fn range(guard: &Guard) -> Option<(Row, i64, i64)> {
    match guard {
        Guard::InRange { index, low, high } => Some((row(index)?, *low, *high)),
        Guard::Divisible { .. } => None,
    }
}

fn row(index: &Index) -> Option<Row> {
    match index {
        Index::Axis(axis) => Some(Row::axis(*axis as u32)),
        Index::Const(c) => Some(Row { constant: *c, ..Row::default() }),
        Index::Add(a, b) => row(a)?.plus(&row(b)?, 1),
        Index::Mul(a, c) => Row::default().plus(&row(a)?, *c),
        Index::Div(..) | Index::Mod(..) | Index::Data { .. } => None,
    }
}

impl Row {
    pub fn axis(axis: u32) -> Row {
        Row { terms: smallvec::smallvec![(axis, 1)], constant: 0 }
    }

    /// `self + factor * other`; `None` on overflow.
    pub fn plus(mut self, other: &Row, factor: i64) -> Option<Row> {
        self.constant = self.constant.checked_add(other.constant.checked_mul(factor)?)?;
        for &(axis, c) in &other.terms {
            let c = c.checked_mul(factor)?;
            match self.terms.binary_search_by_key(&axis, |t| t.0) {
                Ok(at) => self.terms[at].1 = self.terms[at].1.checked_add(c)?,
                Err(at) => self.terms.insert(at, (axis, c)),
            }
        }
        self.terms.retain(|t| t.1 != 0);
        Some(self)
    }

    /// Substitutes the axes.
    pub fn on(&self, axes: &[Row]) -> Option<Row> {
        let constant = Row { constant: self.constant, ..Row::default() };
        self.terms.iter().try_fold(constant, |sum, &(axis, c)| sum.plus(&axes[axis as usize], c))
    }

    /// Whether `low <= self < high` always (`true`) or never (`false`) holds on axes of these sizes, if that is known.
    pub fn within(&self, low: i64, high: i64, extents: &[usize]) -> Option<bool> {
        let (mut first, mut last) = (i128::from(self.constant), i128::from(self.constant));
        for &(axis, c) in &self.terms {
            let end = i128::from(c) * (extents[axis as usize] as i128 - 1).max(0);
            (first, last) = (first + end.min(0), last + end.max(0));
        }
        let (low, high) = (i128::from(low), i128::from(high));
        if low <= first && last < high {
            Some(true)
        } else if last < low || first >= high {
            Some(false)
        } else {
            None
        }
    }
}
