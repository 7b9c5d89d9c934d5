//! Convolution and sliding windows over the axes behind batch and channels.

use std::rc::Rc;

use dlc_ir::op::{Conv, ReduceWindow, Reduction, Window};

use super::super::value::{Axis, Data, Value};
use super::super::{Eval, Lower};
use super::shape::keep_names;
use super::{Args, Bodies};

pub(super) const BODIES: Bodies = &[
    ("convolve", convolve),
    ("window_max", |lower, args| window(lower, args, Reduction::Max)),
    ("window_sum", |lower, args| window(lower, args, Reduction::Sum)),
];

/// One number for each of `n` axes, from one for all or a list; `default` where it was not given.
fn each<'p>(
    lower: &mut Lower<'p>,
    args: &Args<'p>,
    i: usize,
    n: usize,
    least: i64,
    default: &[usize],
) -> Eval<Vec<usize>> {
    let Some(list) = lower.arg_ints(args, i)? else { return Ok(default.to_vec()) };
    let list = if list.len() == 1 { vec![list[0]; n] } else { list };
    if list.len() != n {
        let message = format!("expected one number for {}, or one for each of {n} axes", args.what(i));
        return Err(lower.error("wrong-count", message, args.span(i), format!("found {}", list.len())));
    }
    if let Some(bad) = list.iter().find(|&&v| v < least || v >= 1 << 31) {
        let message = format!("{} is {bad}; expected at least {least}", args.what(i));
        return Err(lower.error("number-out-of-range", message, args.span(i), "out of range"));
    }
    Ok(list.into_iter().map(|v| v as usize).collect())
}

/// Checks that a window is not larger than its padded axis.
fn fits<'p>(lower: &mut Lower<'p>, args: &Args<'p>, x: &Data, axis: usize, size: usize, padding: usize) -> Eval<()> {
    let padded = x.axes[axis].size as u64 + 2 * padding as u64;
    if size as u64 <= padded {
        return Ok(());
    }
    let found = x.show(lower.float);
    let message = format!("a window of {size} does not fit axis {axis} of {found}, padded to {padded}");
    let error = lower.problem("shape-mismatch", message, args.span, "the window is larger than its data");
    let error = lower.with_origins(error, &[x]);
    Err(lower.fail(error.help("pad more, pool less before, or take a smaller window")))
}

fn convolve<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let x = lower.arg_float_data(&args, 0)?;
    let kernel = lower.arg_float_data(&args, 1)?;
    let spatial = x.rank().saturating_sub(2);
    if x.rank() < 3 || kernel.rank() != x.rank() {
        let (a, b) = (x.show(lower.float), kernel.show(lower.float));
        let message = format!("expected [B, C, …] and [O, C, …] of equal rank for `convolve`, found {a} and {b}");
        return Err(lower.error("rank-mismatch", message, args.span, "wrong number of axes"));
    }
    let stride = each(lower, &args, 2, spatial, 1, &[])?;
    let padding = each(lower, &args, 3, spatial, 0, &[])?;
    let dilation = each(lower, &args, 4, spatial, 1, &[])?;
    let groups = lower.arg_size(&args, 5, 1)?.unwrap_or_default();
    let (channels, inner, out) = (x.axes[1].size, kernel.axes[1].size, kernel.axes[0].size);
    if inner.checked_mul(groups) != Some(channels) || !out.is_multiple_of(groups) {
        let message = format!(
            "{channels} input channels in {groups} groups do not match a kernel of {inner} input and {out} output channels"
        );
        return Err(lower.error("shape-mismatch", message, args.span, "channels and groups do not match"));
    }
    // The distance between the first and the last element of a window.
    let reach = |i: usize| kernel.axes[i + 2].size.saturating_sub(1).saturating_mul(dilation[i]);
    for (i, &padding) in padding.iter().enumerate() {
        let size = if kernel.axes[i + 2].size == 0 { 0 } else { reach(i).saturating_add(1) };
        fits(lower, &args, &x, i + 2, size, padding)?;
    }
    let low: Vec<i64> = padding.iter().map(|&p| p as i64).collect();
    let op = Conv {
        stride: stride.clone(),
        high: low.clone(),
        low,
        x_dilation: vec![1; spatial],
        kernel_dilation: dilation.clone(),
        feature_groups: groups,
        batch_groups: 1,
    };
    let mut result = lower.emit(op, &[&x, &kernel], args.span)?;
    let products: u64 = kernel.axes[1..].iter().fold(2, |n, axis| n.saturating_mul(axis.size as u64));
    lower.flops = lower.flops.saturating_add(products.saturating_mul(result.shape().elements() as u64));
    keep_names(&mut result, &x, |i| i < 2 || stride[i - 2] == 1 && 2 * padding[i - 2] == reach(i - 2));
    Rc::make_mut(&mut result.axes)[1] = Axis { stretch: false, ..kernel.axes[0].clone() };
    Ok(Value::Data(result))
}

fn window<'p>(lower: &mut Lower<'p>, args: Args<'p>, kind: Reduction) -> Eval<Value<'p>> {
    let x = lower.arg_float_data(&args, 0)?;
    if x.rank() < 3 {
        let message = format!("expected spatial axes after the first two, found {}", x.show(lower.float));
        return Err(lower.error("rank-mismatch", message, args.span(0), "too few axes"));
    }
    let spatial = x.rank() - 2;
    let size = each(lower, &args, 1, spatial, 1, &[])?;
    let stride = each(lower, &args, 2, spatial, 1, &size)?;
    let padding = each(lower, &args, 3, spatial, 0, &[])?;
    for i in 0..spatial {
        if padding[i] >= size[i] {
            let message = format!("a padding of {} is not smaller than the window of {}", padding[i], size[i]);
            let label = "some windows would contain only padding";
            return Err(lower.error("number-out-of-range", message, args.span(3), label));
        }
        fits(lower, &args, &x, i + 2, size[i], padding[i])?;
    }
    let low: Vec<i64> = padding.iter().map(|&p| p as i64).collect();
    let mut tiles = Window::tiles((2..x.rank()).collect(), size.clone());
    (tiles.stride, tiles.high, tiles.low) = (stride.clone(), low.clone(), low);
    let mut result = lower.emit(ReduceWindow { kind, window: tiles }, &[&x], args.span)?;
    keep_names(&mut result, &x, |i| i < 2 || stride[i - 2] == 1 && 2 * padding[i - 2] + 1 == size[i - 2]);
    Ok(Value::Data(result))
}
