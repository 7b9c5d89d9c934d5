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
    let Some(counting) = analysis.counting(&extents(&c), &extents(&d)) else {
        // sizes that are no multiple of the number of examples
        return (Class::Whole, None);
    };
    let same = c.body == d.body && beside(&c) == beside(&d);
    // Where the examples are read, with the positions of each, and whether they are read elsewhere than at their own position.
    let (mut found, mut mixed) = (None, false);
    each_within(&c.body, &mut |e| {
        if let Expr::Read { operand, index, .. } = e
            && let Class::Rows { axis, per, .. } = operands[*operand]
        {
            match index[axis] {
                Index::Axis(j) if found.is_none_or(|found| found == (j, per)) => found = Some((j, per)),
                _ => mixed = true,
            }
        }
    });
    let (axis, per) = match (found, counting.as_slice()) {
        _ if mixed => return (Class::Whole, None),
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
    // Whether the position of an example is used, or a value at that position that belongs to no example.
    let has_axis = |index: &Index| axes_of(index).contains(&axis);
    let reduce = c.reduce.as_ref();
    let mut uses = reduce.is_some_and(|r| r.guards.iter().map(index_of).chain(&r.position).any(has_axis));
    each_within(&c.body, &mut |e| {
        for (i, index) in indices(e).into_iter().enumerate() {
            let own = match e {
                Expr::Read { operand, .. } => match operands[*operand] {
                    Class::Rows { axis, .. } => axis == i,
                    // what is drawn for a step is drawn for each position
                    Class::Step => *index == Index::Axis(axis),
                    _ => false,
                },
                _ => false,
            };
            uses |= !own && has_axis(index);
        }
    });
    let of_own = |class: &Class| matches!(class, Class::Fixed | Class::Step | Class::Rows { pure: true, .. });
    let pure = same && !uses && operands.iter().all(of_own);
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

/// Visits an expression and all within it, those within indices included.
fn each_within(e: &Expr, look: &mut dyn FnMut(&Expr)) {
    fn within(index: &Index, look: &mut dyn FnMut(&Expr)) {
        match index {
            Index::Axis(_) | Index::Const(_) => {}
            Index::Add(a, b) => [a, b].into_iter().for_each(|part| within(part, look)),
            Index::Mul(a, _) | Index::Div(a, _) | Index::Mod(a, _) => within(a, look),
            Index::Data { value, .. } => each_within(value, look),
        }
    }
    look(e);
    indices(e).into_iter().for_each(|index| within(index, look));
    match e {
        Expr::Read { .. } | Expr::Const(_) | Expr::Position(..) => {}
        Expr::Apply(_, _, args) => args.iter().for_each(|arg| each_within(arg, look)),
        Expr::If { then: a, other: b, .. } | Expr::Random { key: a, counter: b, .. } => {
            each_within(a, look);
            each_within(b, look);
        }
    }
}

/// The indices in an expression itself.
fn indices(e: &Expr) -> Vec<&Index> {
    match e {
        Expr::Read { index, .. } => index.iter().collect(),
        Expr::Position(index, _) | Expr::Random { element: index, .. } => vec![index],
        Expr::If { guards, .. } => guards.iter().map(index_of).collect(),
        Expr::Const(_) | Expr::Apply(..) => vec![],
    }
}

fn index_of(guard: &Guard) -> &Index {
    match guard {
        Guard::InRange { index, .. } | Guard::Divisible { index, .. } => index,
    }
}

/// The axes that an index is computed of, but for those of the data that it reads.
fn axes_of(index: &Index) -> Vec<usize> {
    match index {
        Index::Axis(axis) => vec![*axis],
        Index::Const(_) | Index::Data { .. } => vec![],
        Index::Add(a, b) => [axes_of(a), axes_of(b)].concat(),
        Index::Mul(a, _) | Index::Div(a, _) | Index::Mod(a, _) => axes_of(a),
    }
}
