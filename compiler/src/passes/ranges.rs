//! Range analysis of integer values.

use dlc_ir::op::Reduction;
use dlc_ir::{DType, Function, Node, Op, Scalar, ScalarOp, Type};

/// The smallest and the largest possible element.
pub(super) type Range = (i128, i128);

/// For each node the range of its first result; `None` for other dtypes.
pub(super) fn ranges(function: &Function) -> Vec<Option<Range>> {
    let mut known: Vec<Option<Range>> = vec![None; function.node_count()];
    for (id, node) in function.nodes() {
        let Some(whole) = node.types.first().and_then(|ty| whole(ty.dtype)) else { continue };
        let args: Vec<Option<Range>> = node
            .operands
            .iter()
            .map(|v| if v.result == 0 { known[v.node.index()] } else { self::whole(function.ty(*v).dtype) })
            .collect();
        let types: Vec<&Type> = node.operands.iter().map(|&v| function.ty(v)).collect();
        let found = function.op(id).and_then(|op| range(op, node, &args, &types));
        // A value that may wrap is unbounded.
        known[id.index()] = Some(found.filter(|r| whole.0 <= r.0 && r.1 <= whole.1).unwrap_or(whole));
    }
    known
}

/// The range of an integer dtype.
fn whole(dtype: DType) -> Option<Range> {
    match dtype {
        DType::I64 => Some((i64::MIN.into(), i64::MAX.into())),
        DType::I32 => Some((i32::MIN.into(), i32::MAX.into())),
        DType::U8 => Some((0, 255)),
        DType::Bool => Some((0, 1)),
        DType::F32 | DType::F64 => None,
    }
}

fn union(a: Range, b: Range) -> Range {
    (a.0.min(b.0), a.1.max(b.1))
}

fn range(op: &Op, node: &Node, args: &[Option<Range>], types: &[&Type]) -> Option<Range> {
    let arg = |i: usize| args.get(i).copied().flatten();
    match op {
        Op::Constant(c) => {
            let mut numbers = c.value.scalars().map(|x: Scalar| i128::from(x.as_i64())).map(|x| (x, x));
            let first = numbers.next()?;
            Some(numbers.fold(first, union))
        }
        Op::Iota(iota) => Some((0, node.types[0].shape[iota.axis] as i128 - 1)).filter(|r| r.1 >= 0),
        Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Reverse(_) | Op::Slice(_) | Op::Gather(_) => arg(0),
        Op::Pad(_) => Some(union(arg(0)?, arg(1)?)),
        Op::Concat(_) => args.iter().copied().reduce(|a, b| Some(union(a?, b?))).flatten(),
        Op::Reduce(r) => match r.kind {
            Reduction::Min | Reduction::Max => arg(0),
            Reduction::ArgMin | Reduction::ArgMax => {
                let elements: usize = r.axes.iter().map(|&a| types[0].shape[a]).product();
                Some((0, (elements as i128 - 1).max(0)))
            }
            Reduction::Sum | Reduction::Product => None,
        },
        Op::Map(f) => scalar(*f, args),
        _ => None,
    }
}

fn scalar(f: ScalarOp, args: &[Option<Range>]) -> Option<Range> {
    let arg = |i: usize| args.get(i).copied().flatten();
    let (a, b) = (arg(0), arg(1));
    match f {
        ScalarOp::Convert(_) | ScalarOp::StopGradient => a,
        ScalarOp::Neg => a.map(|a| (-a.1, -a.0)),
        ScalarOp::Relu => a.map(|a| (a.0.max(0), a.1.max(0))),
        ScalarOp::Add => Some((a?.0 + b?.0, a?.1 + b?.1)),
        ScalarOp::Sub => Some((a?.0 - b?.1, a?.1 - b?.0)),
        ScalarOp::Mul => {
            let corner = |x: i128, y: i128| x.checked_mul(y);
            let (a, b) = (a?, b?);
            let corners = [corner(a.0, b.0)?, corner(a.0, b.1)?, corner(a.1, b.0)?, corner(a.1, b.1)?];
            Some((*corners.iter().min()?, *corners.iter().max()?))
        }
        ScalarOp::Max => Some((a?.0.max(b?.0), a?.1.max(b?.1))),
        ScalarOp::Min => Some((a?.0.min(b?.0), a?.1.min(b?.1))),
        ScalarOp::Rem => {
            // The result has the sign of the left operand; it is 0 for a division by 0.
            let most = (b?.0.abs().max(b?.1.abs()) - 1).max(0);
            Some((if a?.0 < 0 { -most } else { 0 }, if a?.1 > 0 { most } else { 0 }))
        }
        ScalarOp::Select => Some(union(b?, arg(2)?)),
        _ => None,
    }
}
