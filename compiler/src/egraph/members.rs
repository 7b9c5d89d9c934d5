//! Tests the e-graph itself: whether all members of a class are equal, under the rules of the maths.
//!
//! Each class has the value that the program gives it, or that of the first e-node for one that rules made. Every e-node is
//! evaluated on the values of its operands' classes and compared with that. The same is computed in f64 beside the program's f32,
//! where nothing overflows or underflows: running error analysis there bounds the rounding, and an underflow or overflow is not
//! excused as rounding.

use dlc_ir::bounds::{self, Bounded, Constants};
use dlc_ir::op::{Constant, Iota, Reduction};
use dlc_ir::{DType, Function, Op, ScalarOp, Tensor};
use egg::Id;
use rustc_hash::FxHashMap;

use super::facts::Facts;
use super::graph::{AlgebraGraph, is_outside};
use super::language::ENode;
use crate::options::Math;

/// The ratio of the rounding errors of f32 and f64.
const COARSER: f64 = (1u64 << (f64::MANTISSA_DIGITS - f32::MANTISSA_DIGITS)) as f64;
/// A difference below this is underflow to be ignored.
const LOST: f64 = 4.0 * f32::MIN_POSITIVE as f64;

/// Statistics of the comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// E-nodes that rules made.
    pub made: usize,
    /// Elements that were compared.
    pub elements: usize,
    /// Further elements that rounding may change arbitrarily, or that are sums beyond the range.
    pub open: usize,
}

/// The value of a class.
struct Value {
    /// As the program computes it.
    narrow: Tensor,
    /// The same in f64, with its error bound.
    wide: Bounded,
    /// Whether the order of additions decides whether it is infinite.
    open: bool,
}

/// Compares all members of all classes of a saturated e-graph on arguments of its function, whose floats are all f32.
///
/// # Errors
/// A member that differs from its class. If the program rejects the arguments, there is nothing to compare.
pub fn members(algebra: &AlgebraGraph, function: &Function, args: &[Tensor], math: Math) -> Result<Members, String> {
    let mut values: FxHashMap<Id, Value> = FxHashMap::default();
    let mut made = Members::default();
    // The program's own, in its order.
    let mut own: FxHashMap<dlc_ir::Value, Value> = FxHashMap::default();
    for (&value, arg) in function.arg_values().iter().zip(args) {
        let value_of = || Value { narrow: arg.clone(), wide: Bounded::exact(widened(arg)), open: false };
        own.insert(value, value_of());
        if let Some(class) = algebra.class(value) {
            values.entry(class).or_insert_with(value_of);
        }
    }
    for (id, node, op) in function.ops() {
        if is_outside(op) {
            return Err("functions with calls are not supported".to_owned());
        }
        let operands: Option<Vec<&Value>> = node.operands.iter().map(|v| own.get(v)).collect();
        let Some(Some(value)) = operands.map(|o| evaluate(op, &o)) else { return Ok(made) };
        let at = dlc_ir::Value { node: id, result: 0 };
        if let Some(class) = algebra.class(at) {
            let copy = || Value { narrow: value.narrow.clone(), wide: value.wide.clone(), open: value.open };
            values.entry(class).or_insert_with(copy);
        }
        own.insert(at, value);
    }
    let mut classes: Vec<Id> = algebra.egraph.classes().map(|c| c.id).collect();
    classes.sort_unstable();
    let nodes = |class: Id| algebra.egraph[class].nodes.iter();
    let evaluated = |values: &FxHashMap<Id, Value>, node: &ENode| {
        let op = algebra.egraph.analysis.ops.get(node.head)?;
        let operands: Option<Vec<&Value>> =
            node.children.iter().map(|c| values.get(&algebra.egraph.find(*c))).collect();
        evaluate(op, &operands?)
    };
    // What rules made, as soon as its operands are known.
    loop {
        let before = values.len();
        for &class in &classes {
            if !values.contains_key(&class)
                && let Some(value) = nodes(class).find_map(|node| evaluated(&values, node))
            {
                values.insert(class, value);
            }
        }
        if values.len() == before {
            break;
        }
    }
    for &class in &classes {
        let Some(expected) = values.get(&class) else { continue };
        for node in nodes(class) {
            let Some(found) = evaluated(&values, node) else { continue };
            made.made += 1;
            let facts = algebra.egraph[class].data.facts;
            let proved = if math == Math::Fast { Ok(()) } else { check_facts(&found.narrow, facts) };
            let agree = proved.and_then(|()| compare(&found, expected, math, &mut made));
            agree.map_err(|e| {
                let op = algebra.egraph.analysis.ops.get(node.head).map_or("leaf", Op::mnemonic);
                let origin = algebra.origins().get(node).and_then(|o| o.rule).unwrap_or("the program");
                format!("`{op}` of {origin}, a member of a class of {}: {e}", expected.narrow.ty())
            })?;
        }
    }
    Ok(made)
}

fn widened(tensor: &Tensor) -> Tensor {
    if tensor.dtype().is_float() { tensor.convert(DType::F64) } else { tensor.clone() }
}

fn wide(op: &Op) -> Op {
    match op {
        Op::Constant(c) => Constant { value: widened(&c.value) }.into(),
        Op::Map(ScalarOp::Convert(to)) if to.is_float() => ScalarOp::Convert(DType::F64).into(),
        Op::Iota(iota) if iota.ty.dtype.is_float() => {
            Iota { ty: iota.ty.with_dtype(DType::F64), axis: iota.axis }.into()
        }
        op => op.clone(),
    }
}

fn evaluate(op: &Op, operands: &[&Value]) -> Option<Value> {
    let narrow: Vec<Tensor> = operands.iter().map(|v| v.narrow.clone()).collect();
    let bounded: Vec<Bounded> = operands.iter().map(|v| v.wide.clone()).collect();
    let narrow = op.eval(&narrow).ok()?.into_iter().next()?;
    let value = bounds::operator(&wide(op), &bounded, Constants::Folded).ok()?;
    let mut value = Value { narrow, wide: value, open: operands.iter().any(|v| v.open) };
    // A short constant may have been rounded to f32.
    if let Op::Constant(_) = op
        && value.narrow.dtype().is_float()
    {
        let rounded = |x: f64| x.abs() * 2.0 * DType::F64.unit_roundoff();
        value.wide.radius = value.wide.value.to_f64s().into_iter().map(rounded).collect();
    }
    value.open |= sums_beyond(op, operands);
    Some(value)
}

/// Whether the sum of the magnitudes of the terms is near infinity.
fn sums_beyond(op: &Op, operands: &[&Value]) -> bool {
    let is_sum = match op {
        Op::Reduce(r) => r.kind == Reduction::Sum,
        Op::ReduceWindow(r) => r.kind == Reduction::Sum,
        Op::Dot(_) | Op::Conv(_) => true,
        _ => false,
    };
    let float = operands.first().is_some_and(|v| v.narrow.dtype().is_float());
    if !is_sum || !float {
        return false;
    }
    let magnitude =
        |v: &&Value| Op::from(ScalarOp::Abs).eval(std::slice::from_ref(&v.wide.value)).ok().map(|mut r| r.remove(0));
    let magnitudes: Option<Vec<Tensor>> = operands.iter().map(magnitude).collect();
    let sums = magnitudes.and_then(|m| wide(op).eval(&m).ok());
    let beyond = |x: &f64| x.is_finite() && *x > f64::from(f32::MAX) / 4.0;
    sums.is_some_and(|s| s[0].to_f64s().iter().any(beyond))
}

/// Whether the facts of a value hold.
fn check_facts(value: &Tensor, facts: Facts) -> Result<(), String> {
    let holds = |x: f64| match x.is_nan() {
        true => facts.nan,
        false => {
            (facts.low..=facts.high).contains(&x)
                && (if x == 0.0 { facts.zero } else { x.abs() >= facts.least })
                && (!facts.whole || x.is_infinite() || x.fract() == 0.0)
        }
    };
    match value.to_f64s().into_iter().find(|&x| !holds(x)) {
        Some(x) => Err(format!("{x:?} is none of {facts:?}")),
        None => Ok(()),
    }
}

fn compare(found: &Value, expected: &Value, math: Math, counts: &mut Members) -> Result<(), String> {
    // A value that is not determined for the program cannot be compared.
    if expected.open {
        counts.open += expected.narrow.len();
        return Ok(());
    }
    let float = expected.narrow.dtype().is_float();
    for (i, (x, y)) in found.narrow.scalars().zip(expected.narrow.scalars()).enumerate() {
        if x.same_bits(y) || (x.as_f64().is_nan() && y.as_f64().is_nan()) {
            counts.elements += 1;
            continue;
        }
        let radius = COARSER * (found.wide.radius[i] + expected.wide.radius[i]);
        let differ = || Err(format!("element {i}: expected {1:?} ± {radius:e}, found {0:?}", x.as_f64(), y.as_f64()));
        if math == Math::Strict {
            return differ();
        }
        if !float {
            if radius == 0.0 {
                return differ();
            }
            counts.open += 1;
            continue;
        }
        let (x, y) = (x.as_f64(), y.as_f64());
        // Just below the largest number rounding decides whether it overflows.
        let edge = f64::from(f32::MAX) * (1.0 - 1e-4) - if radius.is_finite() { radius } else { 0.0 };
        let at_edge = |x: f64| x.abs() >= edge;
        counts.elements += 1;
        let same = match (x.is_finite(), y.is_finite()) {
            // Zero has no sign, so the sign of a quotient by it is arbitrary.
            _ if x.is_infinite() && y.is_infinite() => true,
            _ if x.is_nan() || y.is_nan() => false,
            (true, true) => {
                if radius.is_infinite() {
                    counts.open += 1;
                    counts.elements -= 1;
                }
                (x - y).abs() <= radius + LOST
            }
            _ => at_edge(x) && at_edge(y),
        };
        if !same {
            return differ();
        }
    }
    Ok(())
}
