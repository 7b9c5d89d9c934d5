//! Functions that combine the elements of axes.

use dlc_ir::op::{Reduce, Reduction};
use dlc_ir::{DType, Scalar, ScalarOp};

use super::super::value::{Axis, Data, Value};
use super::super::{Eval, Lower};
use super::{Args, Bodies};

pub(super) const BODIES: Bodies = &[
    ("sum", |lower, args| reduction(lower, args, Reduction::Sum)),
    ("product", |lower, args| reduction(lower, args, Reduction::Product)),
    ("max", |lower, args| reduction(lower, args, Reduction::Max)),
    ("min", |lower, args| reduction(lower, args, Reduction::Min)),
    ("argmax", |lower, args| reduction(lower, args, Reduction::ArgMax)),
    ("argmin", |lower, args| reduction(lower, args, Reduction::ArgMin)),
    ("mean", mean),
];

fn reduction<'p>(lower: &mut Lower<'p>, args: Args<'p>, kind: Reduction) -> Eval<Value<'p>> {
    if let Value::List(items) = args.value(0)
        && !items.iter().any(Value::has_data)
    {
        return known(lower, &args, &items, kind);
    }
    let x = lower.arg_data(&args, 0)?;
    let axes = lower.arg_axes_or_all(&args, 1, &x)?;
    Ok(Value::Data(reduce(lower, &args, &x, kind, &axes)?))
}

fn reduce<'p>(lower: &mut Lower<'p>, args: &Args<'p>, x: &Data, kind: Reduction, axes: &[usize]) -> Eval<Data> {
    if axes.is_empty() && !kind.is_arg() {
        return Ok(x.clone());
    }
    let mut x = x.clone();
    if x.dtype == DType::Bool && !matches!(kind, Reduction::Max | Reduction::Min) {
        x = lower.convert(&x, DType::I64, args.span)?;
    }
    let kept = |i: usize| !axes.contains(&i);
    let left: Vec<Axis> = (0..x.rank()).filter(|&i| kept(i)).map(|i| x.axes[i].clone()).collect();
    let result = lower.emit_as(Reduce { kind, axes: axes.to_vec() }, &[&x], left, args.span)?;
    if !args.bool(2) {
        return Ok(result);
    }
    let axes = (0..x.rank()).map(|i| if kept(i) { x.axes[i].clone() } else { Axis::stretching() }).collect();
    lower.reshape(&result, axes, args.span)
}

fn mean<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_float_data(&args, 0)?;
    let axes = lower.arg_axes_or_all(&args, 1, &x)?;
    let count: usize = axes.iter().map(|&i| x.axes[i].size).product();
    let is_empty = (0..x.rank()).any(|i| !axes.contains(&i) && x.axes[i].size == 0);
    if count == 0 && !is_empty {
        let message = format!("mean of an empty tensor: {}", x.show(lower.float));
        return Err(lower.error("shape-mismatch", message, args.span(0), "an axis of size 0"));
    }
    let sum = reduce(lower, &args, &x, Reduction::Sum, &axes)?;
    let share = Scalar::Float(1.0 / count.max(1) as f64);
    Ok(Value::Data(lower.with_number(ScalarOp::Mul, &sum, share, args.span)?))
}

/// A list of numbers known at compile time.
fn known<'p>(lower: &mut Lower<'p>, args: &Args<'p>, items: &[Value<'p>], kind: Reduction) -> Eval<Value<'p>> {
    let all_int = items.iter().all(|v| matches!(v, Value::Int(..)));
    let dtype = if all_int { DType::I64 } else { DType::F64 };
    let numbers = items.iter().map(|item| lower.number(item, dtype, args.span(0))).collect::<Eval<Vec<_>>>()?;
    let f = match kind {
        Reduction::Sum => ScalarOp::Add,
        Reduction::Product => ScalarOp::Mul,
        Reduction::Max => ScalarOp::Max,
        Reduction::Min => ScalarOp::Min,
        Reduction::ArgMax | Reduction::ArgMin => {
            return Err(lower.wrong(args, 0, &Value::list(items.to_vec()), "data"));
        }
    };
    let Some(total) = numbers.into_iter().reduce(|a, b| f.eval(dtype, &[a, b])) else {
        return match kind {
            Reduction::Sum => Ok(Value::int(0)),
            Reduction::Product => Ok(Value::int(1)),
            _ => Err(lower.error("number-out-of-range", "reduction of an empty list", args.span(0), "empty")),
        };
    };
    Ok(total.into())
}
