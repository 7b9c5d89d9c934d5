//! Lists known when compiling, and words that later versions will fill.

use super::super::value::Value;
use super::super::{Eval, Lower, MAX_LIST};
use super::{Args, Builtin, row};

pub(super) const ROWS: &[Builtin] = &[
    row("range", &["start", "stop"], 1, &[], "Integers from `start` (0) up to, not including, `stop`.", range),
    row("enumerate", &["list"], 0, &[], "Each entry with its number.", enumerate),
    row("zip", &["a", "b"], 0, &[], "The entries of two lists side by side.", zip),
    row("reversed", &["list"], 0, &[], "The list from its end.", reversed),
    row("len", &["list"], 0, &[], "The number of entries.", len),
];

/// All their arguments may be left out: that they come later is to be said first.
pub(super) const LATER: &[Builtin] = &[
    row("grad", &["y", "x"], 2, &[], "The derivative of `y` by `x`; not yet.", later),
    row("attend", &["q", "k", "v"], 3, &["heads", "causal"], "Attention; not yet.", later),
    row("positions", &["n"], 1, &[], "The places in a sequence; not yet.", later),
    row("window", &["x", "size"], 2, &["shift"], "Windows of a series; not yet.", later),
    row("images", &["path"], 1, &["size"], "A folder of pictures; not yet.", later),
    row("corpus", &["path"], 1, &["context"], "A text in pieces; not yet.", later),
];

fn later<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    Err(lower.not_yet(args.builtin.name, args.span))
}

fn range<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let first = lower.arg_int(&args, 0)?.unwrap_or(0);
    let (from, to) = match lower.arg_int(&args, 1)? {
        Some(to) => (first, to),
        None => (0, first),
    };
    if to.saturating_sub(from) > MAX_LIST as i64 {
        let message = format!("a list of {} numbers is too long", to.saturating_sub(from));
        return Err(lower.fault("number-out-of-range", message, args.span, "too long"));
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
    let pairs = items.into_iter().zip(0..).map(|(item, i)| Value::Tuple([Value::int(i), item].into()));
    Ok(Value::list(pairs.collect()))
}

fn zip<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let (a, b) = (list(lower, &args, 0)?, list(lower, &args, 1)?);
    if a.len() != b.len() {
        let message = format!("the lists have {} and {} entries", a.len(), b.len());
        return Err(lower.fault("wrong-count", message, args.span, "not side by side"));
    }
    Ok(Value::list(a.into_iter().zip(b).map(|(a, b)| Value::Tuple([a, b].into())).collect()))
}

fn reversed<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let mut items = list(lower, &args, 0)?;
    items.reverse();
    Ok(Value::list(items))
}

fn len<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    Ok(Value::int(list(lower, &args, 0)?.len() as i64))
}
