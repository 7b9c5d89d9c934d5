//! Functions that move elements.

use std::rc::Rc;

use dlc_ir::op::{Concat, Iota, Pad, Reverse, Slice};
use dlc_ir::{DType, Scalar, Shape, Type};

use super::super::index::position;
use super::super::value::{Axis, Data, Value};
use super::super::{Eval, Lower};
use super::{Args, Bodies};

pub(super) const BODIES: Bodies = &[
    ("reshape", reshape),
    ("flatten", flatten),
    ("transpose", transpose),
    ("squeeze", squeeze),
    ("stack", stack),
    ("concat", concat),
    ("split", split),
    ("flip", flip),
    ("pad", pad),
    ("broadcast", broadcast),
    ("along", along),
    ("shape", shape),
    ("rank", rank),
    ("size", size),
    ("iota", iota),
    ("take", take),
    ("pick", pick),
    ("zeros", |lower, args| full(lower, args, 0.0)),
    ("ones", |lower, args| full(lower, args, 1.0)),
    ("full", constant),
];

fn reshape<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_data(&args, 0)?;
    let Value::List(list) = args.value(1) else { return Err(lower.wrong(&args, 1, &args.value(1), "a list of sizes")) };
    let elements: u128 = x.axes.iter().map(|axis| axis.size as u128).product();
    let entry = |value: &Value<'p>| match value {
        Value::Int(-1, _) => Some(None),
        value => value.axis().map(Some),
    };
    let axes: Vec<Option<Axis>> = lower.each_of(&args, 1, &list, "sizes", entry)?;
    let known = axes.iter().flatten().fold(1u128, |n, axis| n.saturating_mul(axis.size as u128));
    let open = axes.iter().filter(|axis| axis.is_none()).count();
    let fits = match open {
        0 => known == elements,
        1 => known > 0 && elements.is_multiple_of(known),
        _ => false,
    };
    if !fits {
        let shown: Vec<String> = axes.iter().map(|axis| axis.as_ref().map_or("-1".into(), Axis::to_string)).collect();
        let found = x.show(lower.float);
        let message = format!("cannot reshape {found} ({elements} elements) to [{}]", shown.join(", "));
        return Err(lower.error("shape-mismatch", message, args.span(1), "wrong number of elements"));
    }
    let rest = if open == 1 { (elements / known) as usize } else { 0 };
    let axes = axes.into_iter().map(|axis| axis.unwrap_or(Axis::new(rest))).collect();
    Ok(Value::Data(lower.reshape(&x, axes, args.span)?))
}

fn flatten<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_data(&args, 0)?;
    let from = lower.arg_size(&args, 1, 0)?.unwrap_or_default();
    if x.rank() < from {
        let message = format!("`flatten` starts at axis {from}, but {} has {} axes", x.show(lower.float), x.rank());
        return Err(lower.error("rank-mismatch", message, args.span(0), "too few axes"));
    }
    let mut axes = x.axes[..from].to_vec();
    axes.push(Axis::new(x.axes[from..].iter().map(|axis| axis.size).product()));
    Ok(Value::Data(lower.reshape(&x, axes, args.span)?))
}

fn transpose<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_data(&args, 0)?;
    let expected = lower.arg_ints(&args, 1)?.unwrap_or_default();
    let rank = x.rank();
    let perm: Vec<usize> = expected.iter().filter_map(|&i| position(i, rank)).collect();
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if perm.len() != expected.len() || !sorted.into_iter().eq(0..rank) {
        let message = format!("{expected:?} is not a permutation of the {rank} axes of {}", x.show(lower.float));
        return Err(lower.error("rank-mismatch", message, args.span(1), "name each axis once"));
    }
    Ok(Value::Data(lower.permuted(&x, perm, args.span)?))
}

fn squeeze<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_data(&args, 0)?;
    let Some(gone) = lower.arg_axes(&args, 1, &x)? else {
        return Err(lower.missing("squeeze", &["axis"], args.span));
    };
    if let Some(&axis) = gone.iter().find(|&&axis| x.axes[axis].size != 1) {
        let message = format!("axis {axis} of {} does not have size 1", x.show(lower.float));
        return Err(lower.error("shape-mismatch", message, args.span(1), "expected an axis of size 1"));
    }
    let axes = (0..x.rank()).filter(|i| !gone.contains(i)).map(|i| x.axes[i].clone()).collect();
    Ok(Value::Data(lower.reshape(&x, axes, args.span)?))
}

/// The tensors of a list, all of one dtype.
fn parts<'p>(lower: &mut Lower<'p>, args: &Args<'p>) -> Eval<Vec<Data>> {
    let (Value::List(items) | Value::Tuple(items)) = args.value(0) else {
        return Err(lower.wrong(args, 0, &args.value(0), "a list of tensors"));
    };
    let dtype = items.iter().find_map(|v| if let Value::Data(d) = v { Some(d.dtype) } else { None });
    let dtype = dtype.unwrap_or(lower.float);
    if items.is_empty() {
        let message = format!("`{}` of an empty list", args.callee());
        return Err(lower.error("wrong-count", message, args.span(0), "no tensors"));
    }
    items.iter().map(|item| lower.as_data(item.clone(), dtype, &args.what(0), args.span(0))).collect()
}

fn stack<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let mut parts = parts(lower, &args)?;
    let rank = parts[0].rank() as i64;
    let at = args.int(1).unwrap_or_default();
    let at = if at < 0 { at + rank + 1 } else { at };
    if !(0..=rank).contains(&at) {
        let message = format!("position {at} of a new axis is out of range for {}", parts[0].show(lower.float));
        return Err(lower.error("number-out-of-range", message, args.span(1), "out of range"));
    }
    for part in &mut parts {
        let mut axes = part.axes.to_vec();
        axes.insert((at as usize).min(axes.len()), Axis::new(1));
        *part = Data { origin: part.origin, ..lower.reshape(part, axes, args.span)? };
    }
    join(lower, &args, parts, at as usize)
}

fn concat<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let parts = parts(lower, &args)?;
    if parts[0].rank() == 0 {
        let message = "cannot concatenate scalars";
        return Err(lower.error("rank-mismatch", message, args.span(0), "use `stack`"));
    }
    let axis = lower.arg_axis(&args, 1, &parts[0])?;
    join(lower, &args, parts, axis)
}

fn join<'p>(lower: &mut Lower<'p>, args: &Args<'p>, parts: Vec<Data>, axis: usize) -> Eval<Value<'p>> {
    let first = parts[0].clone();
    for part in &parts[1..] {
        let same = part.dtype == first.dtype
            && part.rank() == first.rank()
            && (0..part.rank()).all(|i| i == axis || lower.agree(&part.axes[i], &first.axes[i]));
        if !same {
            let (a, b) = (first.show(lower.float), part.show(lower.float));
            let message = format!("{a} and {b} must match except along axis {axis}");
            let error = lower.problem("shape-mismatch", message, args.span, "incompatible");
            return Err(lower.fail(lower.with_origins(error, &[&first, part])));
        }
    }
    let mut result = lower.emit(Concat { axis }, &parts.iter().collect::<Vec<_>>(), args.span)?;
    let size = result.axes[axis].size;
    result.axes = first.axes;
    Rc::make_mut(&mut result.axes)[axis] = Axis::new(size);
    Ok(Value::Data(result))
}

fn split<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_data(&args, 0)?;
    if x.rank() == 0 {
        return Err(lower.error("rank-mismatch", "a scalar has no axis to split", args.span(0), "a scalar"));
    }
    let axis = lower.arg_axis(&args, 2, &x)?;
    let size = x.axes[axis].size;
    let sizes: Vec<usize> = match args.value(1) {
        Value::Int(n, _) if n > 0 && size as i64 % n == 0 => vec![size / n as usize; n as usize],
        Value::Int(n, _) => {
            let message = format!("cannot split {size} elements into {n} equal parts");
            return Err(lower.error("not-divisible", message, args.span(1), format!("axis {axis} has {size}")));
        }
        _ => lower.arg_shape(&args, 1)?.unwrap_or_default().iter().map(|axis| axis.size).collect(),
    };
    if sizes.iter().fold(0usize, |n, s| n.saturating_add(*s)) != size {
        let message = format!("the sizes {sizes:?} do not sum to {size}, the size of axis {axis}");
        return Err(lower.error("shape-mismatch", message, args.span(1), "wrong number of elements"));
    }
    let mut from = 0;
    let mut parts = vec![];
    for part in sizes {
        let mut start = vec![0; x.rank()];
        let mut limit = x.shape().to_vec();
        (start[axis], limit[axis]) = (from, from + part);
        from += part;
        let mut axes = x.axes.to_vec();
        axes[axis] = Axis::new(part);
        let op = Slice { start, limit, stride: vec![1; x.rank()] };
        parts.push(Value::Data(lower.emit_as(op, &[&x], axes, args.span)?));
    }
    Ok(Value::Tuple(parts.into()))
}

fn flip<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_data(&args, 0)?;
    let axes = lower.arg_axes_or_all(&args, 1, &x)?;
    Ok(Value::Data(lower.emit_as(Reverse { axes }, &[&x], x.axes.clone(), args.span)?))
}

fn pad<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_data(&args, 0)?;
    let low = lower.arg_ints(&args, 1)?.unwrap_or_default();
    let high = lower.arg_ints(&args, 2)?.unwrap_or_default();
    if low.len() != x.rank() || high.len() != x.rank() {
        let message = format!("expected a list of one amount for each axis of {}", x.show(lower.float));
        return Err(lower.error("wrong-count", message, args.span(1), format!("expected {}", x.rank())));
    }
    let value = match (x.dtype, args.value(3)) {
        (DType::Bool, _) => Value::Bool(false),
        (dtype, Value::Float(value)) if dtype.is_int() && value == value.trunc() => Value::int(value as i64),
        (_, value) => value,
    };
    let value = lower.as_data(value, x.dtype, &args.what(3), args.span(3))?;
    let pad = Pad { low: low.clone(), high: high.clone(), interior: vec![0; x.rank()] };
    let mut result = lower.emit(pad, &[&x, &value], args.span)?;
    keep_names(&mut result, &x, |i| low[i] + high[i] == 0);
    Ok(Value::Data(result))
}

/// Axes keep their names where they have one size whatever it is, as `same` says, and not only at the size that they have now.
pub(super) fn keep_names(result: &mut Data, x: &Data, same: impl Fn(usize) -> bool) {
    for (i, (new, old)) in Rc::make_mut(&mut result.axes).iter_mut().zip(x.axes.iter()).enumerate() {
        if new.size == old.size && same(i) {
            *new = Axis { stretch: false, ..old.clone() };
        }
    }
}

fn broadcast<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_data(&args, 0)?;
    let axes = lower.arg_shape(&args, 1)?.unwrap_or_default();
    let fits = x.rank() <= axes.len()
        && x.axes.iter().rev().zip(axes.iter().rev()).all(|(a, b)| a.size == b.size || a.stretch);
    if !fits {
        let message = format!("{} cannot be broadcast to {}", x.show(lower.float), lower.show_axes(&axes));
        return Err(lower.error("shape-mismatch", message, args.span(1), "only leading axes and `_` are broadcast"));
    }
    Ok(Value::Data(lower.stretch_to(&x, &axes, args.span)?))
}

fn along<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let v = lower.arg_data(&args, 0)?;
    let x = lower.arg_data(&args, 1)?;
    let axis = lower.arg_axis(&args, 2, &x)?;
    if v.rank() != 1 || x.rank() == 0 || v.axes[0].size != x.axes[axis].size {
        let (a, b) = (v.show(lower.float), x.show(lower.float));
        let message = format!("{a} does not match axis {axis} of {b}");
        return Err(lower.error("shape-mismatch", message, args.span, "wrong size"));
    }
    let mut axes = v.axes.to_vec();
    axes.extend((axis + 1..x.rank()).map(|_| Axis::stretching()));
    Ok(Value::Data(lower.reshape(&v, axes, args.span)?))
}

fn shape<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_data(&args, 0)?;
    Ok(Value::list(x.axes.iter().map(|axis| Value::Int(axis.size as i64, axis.label.clone())).collect()))
}

fn rank<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    Ok(Value::int(lower.arg_data(&args, 0)?.rank() as i64))
}

fn size<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_data(&args, 0)?;
    let axes = lower.arg_axes_or_all(&args, 1, &x)?;
    Ok(Value::int(axes.iter().map(|&axis| x.axes[axis].size as i64).product()))
}

fn iota<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let axes = lower.arg_shape(&args, 0)?.unwrap_or_default();
    let shape: Shape = axes.iter().map(|axis| axis.size).collect();
    let axis = lower.arg_size(&args, 1, 0)?.unwrap_or(axes.len().saturating_sub(1));
    if axis >= axes.len() {
        let message = format!("{} has no axis {axis}", lower.show_axes(&axes));
        return Err(lower.error("number-out-of-range", message, args.span(1), "out of range"));
    }
    Ok(Value::Data(lower.emit_as(Iota { ty: Type::new(DType::I64, shape), axis }, &[], axes, args.span)?))
}

fn take<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_data(&args, 0)?;
    let index = lower.as_data(args.value(1), DType::I64, &args.what(1), args.span(1))?;
    if x.rank() == 0 {
        return Err(lower.error("rank-mismatch", "a scalar has no elements to take", args.span(0), "a scalar"));
    }
    let axis = lower.arg_axis(&args, 2, &x)?;
    Ok(Value::Data(lower.take(&x, &index, axis, 0, args.span)?))
}

fn pick<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_data(&args, 0)?;
    let index = lower.as_data(args.value(1), DType::I64, &args.what(1), args.span(1))?;
    let leading = x.rank().saturating_sub(1);
    let fits = x.rank() > 0 && index.rank() == leading && (0..leading).all(|i| x.axes[i].size == index.axes[i].size);
    if !fits {
        let (a, b) = (x.show(lower.float), index.show(lower.float));
        let message = format!("expected one index for each row of {a}, found {b}");
        return Err(lower.error("shape-mismatch", message, args.span(1), "wrong shape"));
    }
    Ok(Value::Data(lower.take(&x, &index, leading, leading, args.span)?))
}

/// The argument `shape`, or the shape of the weight whose initial value is computed.
pub(super) fn given_shape<'p>(lower: &mut Lower<'p>, args: &Args<'p>, i: usize) -> Eval<Vec<Axis>> {
    if let Some(axes) = lower.arg_shape(args, i)? {
        return Ok(axes);
    }
    match lower.initial_shapes.last() {
        Some(shape) => Ok(shape.iter().map(|&size| Axis::new(size)).collect()),
        None => Err(lower.missing(args.callee(), &["shape"], args.span)),
    }
}

fn full<'p>(lower: &mut Lower<'p>, args: Args<'p>, value: f64) -> Eval<Value<'p>> {
    let axes = given_shape(lower, &args, 0)?;
    let scalar = lower.scalar(lower.float, Scalar::Float(value), args.span)?;
    Ok(Value::Data(lower.stretch_to(&scalar, &axes, args.span)?))
}

fn constant<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let axes = given_shape(lower, &args, 1)?;
    let scalar = lower.arg_data(&args, 0)?;
    if scalar.rank() != 0 {
        let message = format!("expected a scalar for {}, found {}", args.what(0), scalar.show(lower.float));
        return Err(lower.error("rank-mismatch", message, args.span(0), "not a scalar"));
    }
    Ok(Value::Data(lower.stretch_to(&scalar, &axes, args.span)?))
}
