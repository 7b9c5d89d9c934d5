//! Functions of single elements. On numbers known when compiling they are computed at once.

use dlc_ir::{DType, Scalar, ScalarOp};

use super::super::integer::{Rounding, quotient};
use super::super::value::Value;
use super::super::{Eval, Lower, Stop};
use super::{Args, Builtin, row};
use crate::ast::BinaryOp;

macro_rules! unary {
    ($($name:literal $op:ident $doc:literal;)*) => {
        &[$(row($name, &["x"], 0, &[], $doc, |lower, args| unary(lower, args, ScalarOp::$op))),*]
    };
}

pub(super) const UNARY: &[Builtin] = unary! {
    "abs" Abs "The absolute value.";
    "sign" Sign "-1, 0 or 1.";
    "relu" Relu "The positive part.";
    "exp" Exp "e to the power `x`.";
    "expm1" Expm1 "`exp(x) - 1`, exact near 0.";
    "log" Log "The natural logarithm.";
    "log1p" Log1p "`log(1 + x)`, exact near 0.";
    "sqrt" Sqrt "The square root.";
    "rsqrt" Rsqrt "One over the square root.";
    "tanh" Tanh "The hyperbolic tangent.";
    "sigmoid" Sigmoid "`1 / (1 + exp(-x))`.";
    "erf" Erf "The error function.";
    "sin" Sin "The sine.";
    "cos" Cos "The cosine.";
    "floor" Floor "The largest whole number not above.";
    "ceil" Ceil "The smallest whole number not below.";
    "round" Round "The nearest whole number, of two the even one.";
    "stop_gradient" StopGradient "`x`, through which no gradient flows.";
};

pub(super) const OTHER: &[Builtin] = &[
    row("add", &["x", "by"], 0, &[], "`x + by`, as a step of a pipeline.", |l, a| operator(l, a, BinaryOp::Add)),
    row("sub", &["x", "by"], 0, &[], "`x - by`, as a step of a pipeline.", |l, a| operator(l, a, BinaryOp::Sub)),
    row("mul", &["x", "by"], 0, &[], "`x * by`, as a step of a pipeline.", |l, a| operator(l, a, BinaryOp::Mul)),
    row("div", &["x", "by"], 0, &[], "`x / by`, as a step of a pipeline.", |l, a| operator(l, a, BinaryOp::Div)),
    row("pow", &["x", "by"], 0, &[], "`x ** by`, as a step of a pipeline.", |l, a| operator(l, a, BinaryOp::Pow)),
    row(
        "floor_div",
        &["x", "y"],
        0,
        &[],
        "Integer quotient, rounded down: `x == floor_div(x, y) * y + x % y`. Data wraps around, and divided by 0 it is 0; when \
         compiling, division by zero and overflow are errors.",
        |lower, args| divide(lower, args, Rounding::Down),
    ),
    row(
        "ceil_div",
        &["x", "y"],
        0,
        &[],
        "Integer quotient, rounded up. Data wraps around, and divided by 0 it is 0; when compiling, division \
         by zero and overflow are errors.",
        |lower, args| divide(lower, args, Rounding::Up),
    ),
    row("maximum", &["a", "b"], 0, &[], "The larger of both, element by element.", |lower, args| {
        binary(lower, args, ScalarOp::Max)
    }),
    row("minimum", &["a", "b"], 0, &[], "The smaller of both, element by element.", |lower, args| {
        binary(lower, args, ScalarOp::Min)
    }),
    row(
        "where",
        &["condition", "a", "b"],
        0,
        &[],
        "`a` where the condition holds, elsewhere `b`; what is not chosen counts neither for the value nor for gradients, \
         infinite slopes included. Behind `@`, an index or a block that is called twice, guard the operand: \
         `sqrt(where(x > 0, x, 1))`.",
        select,
    ),
    row("float", &["x"], 0, &[], "`x` in the model's float type.", |lower, args| {
        let float = lower.float;
        convert(lower, args, float)
    }),
    row("int", &["x"], 0, &[], "A number without its fraction; of data, i64.", |lower, args| {
        convert(lower, args, DType::I64)
    }),
    row("f32", &["x"], 0, &[], "`x` as f32.", |lower, args| convert(lower, args, DType::F32)),
    row("f64", &["x"], 0, &[], "`x` as f64.", |lower, args| convert(lower, args, DType::F64)),
    row("i32", &["x"], 0, &[], "`x` as i32.", |lower, args| convert(lower, args, DType::I32)),
    row("i64", &["x"], 0, &[], "`x` as i64.", |lower, args| convert(lower, args, DType::I64)),
    row("u8", &["x"], 0, &[], "`x` as u8.", |lower, args| convert(lower, args, DType::U8)),
    row("bool", &["x"], 0, &[], "Whether `x` is not 0.", |lower, args| convert(lower, args, DType::Bool)),
];

fn unary<'p>(lower: &mut Lower<'p>, args: Args<'p>, f: ScalarOp) -> Eval<Value<'p>> {
    let keeps_int = matches!(f, ScalarOp::Abs | ScalarOp::Sign | ScalarOp::Relu | ScalarOp::StopGradient);
    match args.value(0) {
        Value::Int(i, _) if keeps_int => Ok(Value::int(f.eval(DType::I64, &[Scalar::Int(i)]).as_i64())),
        v @ (Value::Int(..) | Value::Float(_)) => {
            let x = if let Value::Int(i, _) = v {
                i as f64
            } else if let Value::Float(x) = v {
                x
            } else {
                0.0
            };
            let y = f.eval(DType::F64, &[Scalar::Float(x)]).as_f64();
            if y.is_nan() && !x.is_nan() {
                let message = format!("`{}` has no value at {x}", f.def().mnemonic);
                return Err(lower.fault("number-out-of-range", message, args.span(0), "outside of its domain"));
            }
            Ok(Value::Float(y))
        }
        _ => {
            let x = lower.arg_data(&args, 0)?;
            if !f.def().accepts.includes(x.dtype) {
                let message = format!("{} does not take {}", args.what(0), x.show(lower.float));
                return Err(lower.fault("type-mismatch", message, args.span(0), "convert it: `float(…)`"));
            }
            Ok(Value::Data(lower.map1(f, &x, args.span)?))
        }
    }
}

fn binary<'p>(lower: &mut Lower<'p>, args: Args<'p>, f: ScalarOp) -> Eval<Value<'p>> {
    let (a, b) = (args.value(0), args.value(1));
    match (&a, &b) {
        (Value::Int(x, _), Value::Int(y, _)) => Ok(Value::int(if f == ScalarOp::Max { *x.max(y) } else { *x.min(y) })),
        (Value::Data(d), _) | (_, Value::Data(d)) => {
            let dtype = d.dtype;
            let x = lower.as_data(a, dtype, &args.what(0), args.span(0))?;
            let y = lower.as_data(b, dtype, &args.what(1), args.span(1))?;
            let spans = [args.span(0), args.span(1)];
            Ok(Value::Data(lower.map_aligned(f, &[x, y], &spans, args.span)?))
        }
        _ => {
            let x = lower.number(&a, DType::F64, args.span(0))?;
            let y = lower.number(&b, DType::F64, args.span(1))?;
            Ok(Value::Float(f.eval(DType::F64, &[x, y]).as_f64()))
        }
    }
}

fn divide<'p>(lower: &mut Lower<'p>, args: Args<'p>, rounding: Rounding) -> Eval<Value<'p>> {
    let (a, b) = (args.value(0), args.value(1));
    if let Some((i, found)) = [&a, &b].into_iter().enumerate().find(|(_, value)| !is_integer(value)) {
        let found = found.describe(lower.float);
        let message = format!("expected an integer for {}, found {found}", args.what(i));
        let rounds = if rounding == Rounding::Down { "floor" } else { "ceil" };
        return Err(lower.fault("type-mismatch", message, args.span(i), format!("of floats, write `{rounds}(x / y)`")));
    }
    if matches!(b, Value::Int(0, _)) {
        let dividend = if let Value::Int(a, _) = a { a.to_string() } else { a.describe(lower.float) };
        return Err(lower.by_zero(&dividend, args.span));
    }
    let dtype = match (&a, &b) {
        (Value::Int(x, _), Value::Int(y, _)) => {
            let value = quotient(*x, *y, rounding).map(Value::int);
            return value.ok_or_else(|| lower.overflow(args.span));
        }
        (Value::Data(d), _) | (_, Value::Data(d)) => d.dtype,
        _ => return Err(Stop),
    };
    let x = lower.as_data(a, dtype, &args.what(0), args.span(0))?;
    let y = lower.as_data(b, dtype, &args.what(1), args.span(1))?;
    let spans = [args.span(0), args.span(1)];
    Ok(Value::Data(lower.rounded_quotient(rounding, x, y, &spans, args.span)?))
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
            let message = format!("{} wants bool data, not {}", args.what(0), d.show(lower.float));
            return Err(lower.fault("type-mismatch", message, args.span(0), "compare it with something: `… > 0`"));
        }
        other => return Err(lower.wrong(&args, 0, &other, "bool data")),
    };
    let (a, b) = (args.value(1), args.value(2));
    let dtype = match (&a, &b) {
        (Value::Data(d), _) | (_, Value::Data(d)) => d.dtype,
        _ => lower.float,
    };
    let x = lower.as_data(a, dtype, &args.what(1), args.span(1))?;
    let y = lower.as_data(b, dtype, &args.what(2), args.span(2))?;
    let spans = [args.span(0), args.span(1), args.span(2)];
    Ok(Value::Data(lower.map_aligned(ScalarOp::Select, &[condition, x, y], &spans, args.span)?))
}

fn convert<'p>(lower: &mut Lower<'p>, args: Args<'p>, dtype: DType) -> Eval<Value<'p>> {
    let known = match args.value(0) {
        Value::Int(i, _) => Some(Scalar::Int(i)),
        Value::Float(x) => Some(Scalar::Float(x)),
        Value::Bool(b) => Some(Scalar::Bool(b)),
        _ => None,
    };
    if let Some(scalar) = known {
        return Ok(match scalar.convert(dtype) {
            Scalar::Int(i) => Value::int(i),
            Scalar::Float(x) => Value::Float(x),
            Scalar::Bool(b) => Value::Bool(b),
        });
    }
    if let Value::Str(text) = args.value(0) {
        let number = text.trim().parse::<f64>().ok().filter(|x| x.is_finite());
        return match (number, dtype.is_int()) {
            (Some(x), true) => Ok(Value::int(x as i64)),
            (Some(x), false) => Ok(Value::Float(x)),
            (None, _) => {
                let message = format!("\"{text}\" is no number");
                Err(lower.fault("type-mismatch", message, args.span(0), "not a number"))
            }
        };
    }
    let x = lower.arg_data(&args, 0)?;
    Ok(Value::Data(lower.convert(&x, dtype, args.span)?))
}
