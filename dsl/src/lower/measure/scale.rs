//! Whether results stay what they are if all sums grow with the number of examples: then a model that takes batches of one size
//! only has values over many batches, those of an average batch.

use dlc_ir as ir;
use ir::op::Reduction;
use ir::{Function, Op, ScalarOp};
use rustc_hash::FxHashMap;

use super::{Combine, Part};

/// How a value grows if all sums do.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Growth {
    /// The power of the sums' growth, in halves; none of zeros, which are zeros whatever grows.
    degree: Option<i32>,
    /// The number, if it is one that is known.
    number: Option<f64>,
    /// The elements of a batch that are summed, if it is such a sum.
    count: Option<f64>,
}

impl Growth {
    const NONE: Growth = Growth { degree: Some(0), number: None, count: None };

    fn of(degree: Option<i32>) -> Self {
        Growth { degree, ..Growth::NONE }
    }

    fn is_steady(&self) -> bool {
        self.degree.is_none_or(|degree| degree == 0)
    }
}

/// The first result that does not stay the same, if there is one.
pub(super) fn growing(f: &Function, parts: &[(Part, ir::Value)], results: &[ir::Value]) -> Option<usize> {
    let mut known: FxHashMap<ir::Value, Option<Growth>> = FxHashMap::default();
    for (part, value) in parts {
        let count = f.node(value.node).operands.first().map(|v| f.ty(*v).shape.elements() as f64);
        let count = count.map(|all| all / part.ty.shape.elements().max(1) as f64);
        let growth = match part.combine {
            Combine::Sum => Some(Growth { degree: Some(2), count, number: None }),
            Combine::Max | Combine::Min | Combine::Mean => Some(Growth::NONE),
            Combine::Rows { .. } => None,
        };
        known.insert(*value, growth);
    }
    for (id, node, op) in f.ops() {
        let value = ir::Value { node: id, result: 0 };
        if node.types.len() == 1 && !known.contains_key(&value) {
            let operands = node.operands.iter().map(|v| known.get(v).copied().flatten()).collect::<Option<Vec<_>>>();
            known.insert(value, operands.and_then(|operands| growth(op, &operands)));
        }
    }
    let grows = |value: &ir::Value| !known.get(value).copied().flatten().is_some_and(|growth| growth.is_steady());
    results.iter().position(grows)
}

/// How the result of an operator grows; none if it follows no power.
fn growth(op: &Op, operands: &[Growth]) -> Option<Growth> {
    let first = operands.first().copied();
    // The same power in all; zeros have any.
    let alike = |of: &[Growth]| {
        let mut degrees = of.iter().filter_map(|g| g.degree);
        let found = degrees.next();
        degrees.all(|degree| Some(degree) == found).then_some(Growth::of(found))
    };
    let one_over = |number: Option<f64>, count: Option<f64>| {
        number.zip(count).is_some_and(|(number, count)| (number * count - 1.0).abs() < 1e-6)
    };
    match op {
        Op::Constant(c) => {
            let number = c.value.uniform().map(ir::Scalar::as_f64);
            Some(Growth { degree: Some(0).filter(|_| number != Some(0.0)), number, count: None })
        }
        Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Slice(_) | Op::Reverse(_) => first,
        Op::Reduce(reduce) if !reduce.kind.is_arg() && reduce.kind != Reduction::Product => {
            first.map(|x| Growth::of(x.degree))
        }
        Op::Dot(_) => product(operands, 1),
        Op::Map(f) => match (f, operands) {
            (ScalarOp::Mul, [a, b]) if one_over(a.number, b.count) || one_over(b.number, a.count) => Some(Growth::NONE),
            (ScalarOp::Div, [a, b]) if one_over(b.number.map(f64::recip), a.count) => Some(Growth::NONE),
            (ScalarOp::Mul, _) => product(operands, 1),
            (ScalarOp::Div, _) => product(operands, -1),
            (ScalarOp::Add | ScalarOp::Sub | ScalarOp::Max | ScalarOp::Min, _) => alike(operands),
            (ScalarOp::Select, [condition, branches @ ..]) => alike(branches).filter(|_| condition.is_steady()),
            (ScalarOp::Compare(_), _) => alike(operands).map(|_| Growth::NONE),
            (ScalarOp::Neg | ScalarOp::Convert(_), [x]) => Some(*x),
            (ScalarOp::Abs | ScalarOp::Relu, [x]) => Some(Growth::of(x.degree)),
            (ScalarOp::Sign, _) => Some(Growth::NONE),
            (ScalarOp::Sqrt, [x]) => Some(Growth::of(x.degree.map(|degree| degree / 2))),
            (ScalarOp::Rsqrt, [x]) => Some(Growth::of(x.degree.map(|degree| -degree / 2))),
            _ => steady(operands),
        },
        _ => steady(operands),
    }
}

fn steady(operands: &[Growth]) -> Option<Growth> {
    operands.iter().all(Growth::is_steady).then_some(Growth::NONE)
}

/// Of a product, or a quotient with `sign` -1.
fn product(operands: &[Growth], sign: i32) -> Option<Growth> {
    let [a, b] = operands else { return None };
    match (a.degree, b.degree) {
        (Some(a), Some(b)) => Some(Growth::of(Some(a + sign * b))),
        // nothing is known of a quotient by zero
        (_, None) if sign < 0 => None,
        _ => Some(Growth::of(None)),
    }
}
