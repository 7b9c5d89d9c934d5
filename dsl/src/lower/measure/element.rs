//! What an operator does to the axis of the examples, by the elements that it reads for one of its result.

use dlc_ir as ir;
use ir::compute::{self, Compute, Expr, Guard, Index, Lowering};
use ir::{Op, Type};

use super::Combine;
use super::classes::{Analysis, Class, Pair, join};

/// The class of the result of an operator, and how those of several batches combine if it reduces values of examples.
pub(super) fn class(
    analysis: &Analysis<'_>,
    (op, theirs): (&Op, &Op),
    operands: &[Class],
    types: &[Pair<'_>],
    result: Pair<'_>,
) -> (Class, Option<Combine>) {
    let own = |pick: fn(&Pair<'_>) -> Type| types.iter().map(pick).collect::<Vec<Type>>();
    let (ours, others) = (own(|pair| pair.0.clone()), own(|pair| pair.1.clone()));
    let (Lowering::Compute(c), Lowering::Compute(d)) = (op.lower(&ours), theirs.lower(&others)) else {
        return (Class::Whole, None);
    };
    let Some(counting) = analysis.counting_of(&extents(&c), &extents(&d)) else {
        // sizes that are no multiple of the number of examples
        return (Class::Whole, None);
    };
    let same = c.body == d.body && beside(&c) == beside(&d);
    let mut rows = Rows { operands, axis: None, mixed: false };
    rows.expr(&c.body);
    let (axis, per) = match (rows.axis, counting.as_slice()) {
        _ if rows.mixed => return (Class::Whole, None),
        (Some(found), []) => found,
        (Some(found), [counted]) if found == *counted => found,
        (None, []) if same => return (join(operands), None),
        (None, []) => return (if join(operands) == Class::Whole { Class::Whole } else { Class::Set }, None),
        (None, [counted]) => *counted,
        _ => return (Class::Whole, None),
    };
    if extents(&c)[axis] != per * analysis.examples.0 {
        return (Class::Whole, None);
    }
    let mut uses = Uses { operands, axis, found: false };
    uses.expr(&c.body);
    let reduce = c.reduce.as_ref();
    reduce.into_iter().flat_map(|r| &r.guards).for_each(|guard| uses.guard(guard));
    reduce.into_iter().flat_map(|r| &r.position).for_each(|position| uses.index(position));
    let of_own = |class: &Class| matches!(class, Class::Fixed | Class::Step | Class::Rows { pure: true, .. });
    let pure = same && !uses.found && operands.iter().all(of_own);
    if axis < c.extents.len() {
        return (Class::Rows { axis, per, pure }, None);
    }
    let combine = match reduce.map(|r| r.combine) {
        Some(compute::Combine::Sum) => Combine::Sum,
        Some(compute::Combine::Max) => Combine::Max,
        Some(compute::Combine::Min) => Combine::Min,
        _ => return (Class::Whole, None),
    };
    if pure && result.0 == result.1 { (Class::Set, Some(combine)) } else { (Class::Whole, None) }
}

/// The sizes of all axes: those of the result, then those of the reduction.
fn extents(compute: &Compute) -> Vec<usize> {
    compute.extents.iter().chain(compute.reduce.iter().flat_map(|r| &r.extents)).copied().collect()
}

/// What a reduction says beside its extents.
fn beside(compute: &Compute) -> Option<(compute::Combine, &[Guard], Option<&Index>)> {
    compute.reduce.as_ref().map(|r| (r.combine, r.guards.as_slice(), r.position.as_ref()))
}

/// Finds the axis along which the examples are read.
struct Rows<'a> {
    operands: &'a [Class],
    /// It, and the positions of an example.
    axis: Option<(usize, usize)>,
    /// Whether examples are read elsewhere than at their own position.
    mixed: bool,
}

impl Rows<'_> {
    fn expr(&mut self, e: &Expr) {
        if let Expr::Read { operand, index, .. } = e
            && let Class::Rows { axis, per, .. } = self.operands[*operand]
        {
            match index[axis] {
                Index::Axis(j) if self.axis.is_none_or(|found| found == (j, per)) => self.axis = Some((j, per)),
                _ => self.mixed = true,
            }
        }
        children(e, &mut |inner| self.expr(inner));
    }
}

/// Finds whether the position of an example is used, or a value at that position that belongs to no example.
struct Uses<'a> {
    operands: &'a [Class],
    axis: usize,
    found: bool,
}

impl Uses<'_> {
    fn expr(&mut self, e: &Expr) {
        match e {
            Expr::Read { operand, index, .. } => {
                for (i, index) in index.iter().enumerate() {
                    let own = match self.operands[*operand] {
                        Class::Rows { axis, .. } => axis == i,
                        // what is drawn for a step is drawn for each position
                        Class::Step => *index == Index::Axis(self.axis),
                        _ => false,
                    };
                    if !own {
                        self.index(index);
                    }
                }
            }
            Expr::Position(index, _) | Expr::Random { element: index, .. } => self.index(index),
            Expr::If { guards, .. } => guards.iter().for_each(|guard| self.guard(guard)),
            Expr::Const(_) | Expr::Apply(..) => {}
        }
        children(e, &mut |inner| self.expr(inner));
    }

    fn guard(&mut self, guard: &Guard) {
        match guard {
            Guard::InRange { index, .. } | Guard::Divisible { index, .. } => self.index(index),
        }
    }

    fn index(&mut self, index: &Index) {
        match index {
            Index::Axis(j) => self.found |= *j == self.axis,
            // its elements are looked at where expressions are
            Index::Const(_) | Index::Data { .. } => {}
            Index::Add(a, b) => {
                self.index(a);
                self.index(b);
            }
            Index::Mul(a, _) | Index::Div(a, _) | Index::Mod(a, _) => self.index(a),
        }
    }
}

/// Visits the direct subexpressions, those within indices included.
fn children(e: &Expr, look: &mut dyn FnMut(&Expr)) {
    fn within(index: &Index, look: &mut dyn FnMut(&Expr)) {
        match index {
            Index::Axis(_) | Index::Const(_) => {}
            Index::Add(a, b) => {
                within(a, look);
                within(b, look);
            }
            Index::Mul(a, _) | Index::Div(a, _) | Index::Mod(a, _) => within(a, look),
            Index::Data { value, .. } => look(value),
        }
    }
    match e {
        Expr::Read { index, .. } => index.iter().for_each(|i| within(i, look)),
        Expr::Const(_) => {}
        Expr::Position(index, _) => within(index, look),
        Expr::Apply(_, _, args) => args.iter().for_each(look),
        Expr::If { guards, then, other } => {
            for guard in guards {
                match guard {
                    Guard::InRange { index, .. } | Guard::Divisible { index, .. } => within(index, look),
                }
            }
            look(then);
            look(other);
        }
        Expr::Random { key, counter, element, .. } => {
            look(key);
            look(counter);
            within(element, look);
        }
    }
}
