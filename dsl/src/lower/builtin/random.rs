//! Random draws. Their keys are derived from the seed, the step and the call site, and are not passed explicitly.

use dlc_ir::{DType, Scalar, ScalarOp, Shape, Type};

use super::super::Stop;
use super::super::value::{Axis, Data, Value};
use super::super::{Eval, Lower};
use super::shape::given_shape;
use super::{Args, Bodies};
use crate::span::Span;

pub(super) const BODIES: Bodies = &[("uniform", uniform), ("normal", normal)];

/// Uniform samples in [0, 1), with as many bits as the dtype represents exactly.
fn unit<'p>(lower: &mut Lower<'p>, axes: &[Axis], span: Span) -> Eval<Data> {
    let dtype = lower.float;
    let (bits, shift, scale) = match dtype {
        DType::F64 => (DType::I64, 11, 1.0 / (1u64 << 53) as f64),
        DType::F32 => (DType::I32, 8, 1.0 / (1u64 << 24) as f64),
        DType::I32 | DType::I64 | DType::U8 | DType::Bool => unreachable!("a model's float type is a float type"),
    };
    let shape: Shape = axes.iter().map(|axis| axis.size).collect();
    let mut drawn = lower.random_bits(Type::new(bits, shape), span)?;
    drawn.axes = axes.into();
    let drawn = lower.with_number(ScalarOp::ShiftRight, &drawn, Scalar::Int(shift), span)?;
    let drawn = lower.convert(&drawn, dtype, span)?;
    lower.with_number(ScalarOp::Mul, &drawn, Scalar::Float(scale), span)
}

/// `x * scale + offset`.
fn affine(lower: &mut Lower<'_>, mut x: Data, scale: f64, offset: f64, span: Span) -> Eval<Data> {
    if scale != 1.0 {
        x = lower.with_number(ScalarOp::Mul, &x, Scalar::Float(scale), span)?;
    }
    if offset != 0.0 {
        x = lower.with_number(ScalarOp::Add, &x, Scalar::Float(offset), span)?;
    }
    Ok(x)
}

/// The shape of a draw: the argument `shape`; else in a dataset one number for each example, in an initial value the weight's shape.
fn shape_of_draw<'p>(lower: &mut Lower<'p>, args: &Args<'p>, i: usize) -> Eval<Vec<Axis>> {
    match &lower.readers {
        Some(readers) if args.get(i).is_none() => match readers.examples {
            Some(examples) => Ok(vec![Axis::new(examples)]),
            // the files are still to be read
            None => Err(Stop),
        },
        _ => given_shape(lower, args, i),
    }
}

fn uniform<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let (low, high) = (args.float(0), args.float(1));
    if low > high {
        let message = format!("`low` is {low}, greater than `high`, {high}");
        return Err(lower.error("number-out-of-range", message, args.span, "empty range"));
    }
    let axes = shape_of_draw(lower, &args, 2)?;
    let drawn = unit(lower, &axes, args.span)?;
    Ok(Value::Data(affine(lower, drawn, high - low, low, args.span)?))
}

fn normal<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let (mean, std) = (args.float(0), args.float(1));
    if std < 0.0 {
        let message = format!("`std` is {std}; expected at least 0");
        return Err(lower.error("number-out-of-range", message, args.span(1), "negative"));
    }
    let axes = shape_of_draw(lower, &args, 2)?;
    let span = args.span;
    // Box and Muller: the first draw gives the radius, its complement being above 0, the second the angle.
    let first = unit(lower, &axes, span)?;
    let second = unit(lower, &axes, span)?;
    let complement = affine(lower, first, -1.0, 1.0, span)?;
    let log = lower.map1(ScalarOp::Log, &complement, span)?;
    let square = affine(lower, log, -2.0, 0.0, span)?;
    let radius = lower.map1(ScalarOp::Sqrt, &square, span)?;
    let angle = affine(lower, second, 2.0 * std::f64::consts::PI, 0.0, span)?;
    let cosine = lower.map1(ScalarOp::Cos, &angle, span)?;
    let drawn = lower.map(ScalarOp::Mul, &[&radius, &cosine], span)?;
    Ok(Value::Data(affine(lower, drawn, std, mean, span)?))
}
