//! Functions of single elements. On numbers known at compile time they are computed at once.

use dlc_ir::{DType, ScalarOp};

use super::super::integer::{Rounding, quotient};
use super::super::value::{Data, Value};
use super::super::{Eval, Lower};
use super::{Args, Bodies};
use crate::ast::BinaryOp;

pub(super) const BODIES: Bodies = &[
    ("add", |lower, args| operator(lower, args, BinaryOp::Add)),
    ("sub", |lower, args| operator(lower, args, BinaryOp::Sub)),
    ("mul", |lower, args| operator(lower, args, BinaryOp::Mul)),
    ("div", |lower, args| operator(lower, args, BinaryOp::Div)),
    ("pow", |lower, args| operator(lower, args, BinaryOp::Pow)),
    ("floor_div", |lower, args| divide(lower, args, Rounding::Down)),
    ("ceil_div", |lower, args| divide(lower, args, Rounding::Up)),
    ("maximum", |lower, args| binary(lower, args, ScalarOp::Max)),
    ("minimum", |lower, args| binary(lower, args, ScalarOp::Min)),
    ("where", select),
    ("float", |lower, args| {
        let float = lower.float;
        convert(lower, args, float)
    }),
    ("int", |lower, args| convert(lower, args, DType::I64)),
    ("f32", |lower, args| convert(lower, args, DType::F32)),
    ("f64", |lower, args| convert(lower, args, DType::F64)),
    ("i32", |lower, args| convert(lower, args, DType::I32)),
    ("i64", |lower, args| convert(lower, args, DType::I64)),
    ("u8", |lower, args| convert(lower, args, DType::U8)),
    ("bool", |lower, args| convert(lower, args, DType::Bool)),
];

fn binary<'p>(lower: &mut Lower<'p>, args: Args<'p>, f: ScalarOp) -> Eval<Value<'p>> {
    let (a, b) = (args.value(0), args.value(1));
    let dtype = match (&a, &b) {
        (Value::Data(_), _) | (_, Value::Data(_)) => {
            let operands = of_one_dtype(lower, &args, 0)?;
            return Ok(Value::Data(lower.map_aligned(f, &operands, args.span)?));
        }
        (Value::Int(..), Value::Int(..)) => DType::I64,
        _ => DType::F64,
    };
    let operands = [lower.number(&a, dtype, args.span(0))?, lower.number(&b, dtype, args.span(1))?];
    Ok(f.eval(dtype, &operands).into())
}

fn divide<'p>(lower: &mut Lower<'p>, args: Args<'p>, rounding: Rounding) -> Eval<Value<'p>> {
    let (a, b) = (args.value(0), args.value(1));
    if let Some((i, found)) = [&a, &b].into_iter().enumerate().find(|(_, value)| !is_integer(value)) {
        let found = found.describe(lower.float);
        let message = format!("expected an integer for {}, found {found}", args.what(i));
        let rounds = if rounding == Rounding::Down { "floor" } else { "ceil" };
        return Err(lower.error("type-mismatch", message, args.span(i), format!("of floats, write `{rounds}(x / y)`")));
    }
    if matches!(b, Value::Int(0, _)) {
        let dividend = if let Value::Int(a, _) = a { a.to_string() } else { a.describe(lower.float) };
        return Err(lower.by_zero(&dividend, args.span));
    }
    if let (Value::Int(x, _), Value::Int(y, _)) = (a, b) {
        return quotient(x, y, rounding).map(Value::int).ok_or_else(|| lower.overflow(args.span));
    }
    let operands = of_one_dtype(lower, &args, 0)?;
    Ok(Value::Data(lower.rounded_quotient(rounding, operands, args.span)?))
}

/// Two arguments, from the `i`th on, as data; a number gets the dtype of the other one.
fn of_one_dtype<'p>(lower: &mut Lower<'p>, args: &Args<'p>, i: usize) -> Eval<[Data; 2]> {
    let (a, b) = (args.value(i), args.value(i + 1));
    let dtype = match (&a, &b) {
        (Value::Data(d), _) | (_, Value::Data(d)) => d.dtype,
        _ => lower.float,
    };
    let a = lower.as_data(a, dtype, &args.what(i), args.span(i))?;
    Ok([a, lower.as_data(b, dtype, &args.what(i + 1), args.span(i + 1))?])
}

fn is_integer(value: &Value<'_>) -> bool {
    match value {
        Value::Int(..) => true,
        Value::Data(d) => d.dtype.is_int(),
        _ => false,
    }
}

fn operator<'p>(lower: &mut Lower<'p>, args: Args<'p>, op: BinaryOp) -> Eval<Value<'p>> {
    let (a, b) = ((args.value(0), args.span(0)), (args.value(1), args.span(1)));
    lower.binary_values(op, args.span, a, b, args.span)
}

fn select<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let condition = match args.value(0) {
        Value::Bool(b) => return Ok(args.value(if b { 1 } else { 2 })),
        Value::Data(d) if d.dtype == DType::Bool => d,
        Value::Data(d) => {
            let message = format!("expected bool data for {}, found {}", args.what(0), d.show(lower.float));
            return Err(lower.error("type-mismatch", message, args.span(0), "compare it with something: `… > 0`"));
        }
        other => return Err(lower.wrong(&args, 0, &other, "bool data")),
    };
    let [x, y] = of_one_dtype(lower, &args, 1)?;
    Ok(Value::Data(lower.map_aligned(ScalarOp::Select, &[condition, x, y], args.span)?))
}

fn convert<'p>(lower: &mut Lower<'p>, args: Args<'p>, dtype: DType) -> Eval<Value<'p>> {
    if let Some(scalar) = args.value(0).number() {
        return Ok(scalar.convert(dtype).into());
    }
    if let Value::Str(text) = args.value(0) {
        let number = text.trim().parse::<f64>().ok().filter(|x| x.is_finite());
        return match (number, dtype.is_int()) {
            (Some(x), true) => Ok(Value::int(x as i64)),
            (Some(x), false) => Ok(Value::Float(x)),
            (None, _) => {
                let message = format!("\"{text}\" is not a number");
                Err(lower.error("type-mismatch", message, args.span(0), "not a number"))
            }
        };
    }
    let x = lower.arg_data(&args, 0)?;
    Ok(Value::Data(lower.convert(&x, dtype, args.span)?))
}
