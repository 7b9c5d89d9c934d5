//! Lists known at compile time.

use super::super::value::Value;
use super::super::{Eval, Lower, MAX_LIST};
use super::{Args, Bodies};

pub(super) const BODIES: Bodies =
    &[("range", range), ("enumerate", enumerate), ("zip", zip), ("reversed", reversed), ("len", len)];

fn range<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let first = args.int(0).unwrap_or_default();
    let (from, to) = match args.int(1) {
        Some(to) => (first, to),
        None => (0, first),
    };
    if to.saturating_sub(from) > MAX_LIST as i64 {
        let message = format!("a list of {} numbers is too long", to.saturating_sub(from));
        return Err(lower.error("number-out-of-range", message, args.span, "too long"));
    }
    Ok(Value::list((from..to).map(Value::int).collect()))
}

fn list<'p>(lower: &mut Lower<'p>, args: &Args<'p>, i: usize) -> Eval<Vec<Value<'p>>> {
    match args.value(i) {
        Value::List(items) | Value::Tuple(items) => Ok(items.to_vec()),
        other => Err(lower.wrong(args, i, &other, "a list")),
    }
}

fn enumerate<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let items = list(lower, &args, 0)?;
    let pairs = items.into_iter().zip(0..).map(|(item, i)| Value::Tuple(vec![Value::int(i), item].into()));
    Ok(Value::list(pairs.collect()))
}

fn zip<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let (a, b) = (list(lower, &args, 0)?, list(lower, &args, 1)?);
    if a.len() != b.len() {
        let message = format!("the lists have different lengths: {} and {}", a.len(), b.len());
        return Err(lower.error("wrong-count", message, args.span, "different lengths"));
    }
    Ok(Value::list(a.into_iter().zip(b).map(|(a, b)| Value::Tuple(vec![a, b].into())).collect()))
}

fn reversed<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let mut items = list(lower, &args, 0)?;
    items.reverse();
    Ok(Value::list(items))
}

fn len<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    Ok(Value::int(list(lower, &args, 0)?.len() as i64))
}
