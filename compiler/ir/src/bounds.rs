//! The interpreter with an error bound for each element: running error analysis, in f64.
//!
//! A value is what the reference computes, with a radius for each element: the exact real value of the graph and the result of
//! any correct program lie within it. Every operator propagates the radii of its operands and adds its own rounding error. Where
//! rounding can decide a comparison either way, the result covers both outcomes, or has no bound at all (an infinite radius). Two
//! graphs that mean the same differ by at most the sum of their radii.

mod arithmetic;
mod indexed;
mod windows;

use crate::op::{EvalError, Reduction};
use crate::{DType, Function, Graph, Op, Scalar, ScalarOp, Tensor, Type};

/// A tensor with the radius of each element. For integers and booleans that is 0 where every program computes the same, else
/// infinity.
#[derive(Clone, Debug)]
pub struct Bounded {
    /// What the reference computes.
    pub value: Tensor,
    /// How far a correct program may be from it.
    pub radius: Vec<f64>,
}

/// How the constants of a graph came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constants {
    /// Written by the user: exact.
    Exact,
    /// Possibly folded by a pass: rounded, unless so short that they are exact.
    Folded,
}

impl Bounded {
    /// A value without an error.
    pub fn exact(value: Tensor) -> Self {
        Bounded { radius: vec![0.0; value.len()], value }
    }

    fn ty(&self) -> &Type {
        self.value.ty()
    }

    fn dtype(&self) -> DType {
        self.value.dtype()
    }

    fn is_exact(&self) -> bool {
        self.radius.iter().all(|&r| r == 0.0)
    }

    /// The radii as a tensor, for operators that move or sum elements.
    fn radii(&self) -> Tensor {
        Tensor::from_fn(self.ty().with_dtype(DType::F64), |i| Scalar::Float(self.radius[i]))
    }

    /// The largest magnitude that each element can have.
    fn largest(&self) -> Tensor {
        let at = |i| Scalar::Float(self.value.get(i).as_f64().abs() + self.radius[i]);
        Tensor::from_fn(self.ty().with_dtype(DType::F64), at)
    }

    fn magnitudes(&self) -> Tensor {
        let at = |i| Scalar::Float(self.value.get(i).as_f64().abs());
        Tensor::from_fn(self.ty().with_dtype(DType::F64), at)
    }
}

/// The results of a graph's entry on exact arguments.
///
/// # Errors
/// If an operator has no value; [`EvalError::NotLocal`] for a `gradient`.
pub fn interpret(graph: &Graph, args: &[Tensor], constants: Constants) -> Result<Vec<Bounded>, EvalError> {
    let args = args.iter().cloned().map(Bounded::exact).collect();
    function(graph, graph.entry(), args, constants)
}

/// The results of a function of a graph.
///
/// # Errors
/// As [`interpret`].
///
/// # Panics
/// If the graph is not well-formed.
pub fn function(
    graph: &Graph,
    function: &Function,
    args: Vec<Bounded>,
    constants: Constants,
) -> Result<Vec<Bounded>, EvalError> {
    let mut values: Vec<Vec<Bounded>> = vec![vec![]; function.node_count()];
    for (&value, arg) in function.arg_values().iter().zip(args) {
        values[value.node.index()] = vec![arg];
    }
    for (id, node, op) in function.ops() {
        let operands: Vec<Bounded> =
            node.operands.iter().map(|v| values[v.node.index()][v.result as usize].clone()).collect();
        values[id.index()] = match op {
            Op::Call(call) => {
                let callee = graph.function(&call.func).expect("the verifier has found every callee");
                self::function(graph, callee, operands, constants)?
            }
            _ => vec![operator(op, &operands, constants)?],
        };
    }
    Ok(function.results.iter().map(|r| values[r.value.node.index()][r.value.result as usize].clone()).collect())
}

/// The value of an operator that is not a call.
///
/// # Errors
/// As [`interpret`].
pub fn operator(op: &Op, args: &[Bounded], constants: Constants) -> Result<Bounded, EvalError> {
    let tensors: Vec<Tensor> = args.iter().map(|a| a.value.clone()).collect();
    let mut results = op.eval(&tensors)?;
    let (Some(value), true) = (results.pop(), results.is_empty()) else {
        return Err(EvalError::NotLocal(op.mnemonic()));
    };
    let mut radius = match op {
        Op::Constant(_) if constants == Constants::Folded => {
            value.scalars().map(|x| folded(x, value.dtype())).collect()
        }
        Op::Constant(_) | Op::Iota(_) => vec![0.0; value.len()],
        Op::Map(f) => arithmetic::map(*f, args, &value),
        Op::Broadcast(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Reverse(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::Concat(_) => moved(op, args)?,
        Op::Gather(gather) => indexed::gather(gather, args, &value)?,
        Op::Scatter(scatter) => indexed::scatter(scatter, args, &value)?,
        Op::ScatterArgmax(scatter) => indexed::winners(scatter, args, &value),
        Op::CheckIndex(_) => vec![0.0; value.len()],
        Op::Reduce(reduce) => {
            windows::combined(reduce.kind, &windows::of_reduce(reduce, args[0].ty()), &args[0], &value)
        }
        Op::ReduceWindow(reduce) => {
            let windows = windows::of_window(&reduce.window, args[0].ty(), value.ty());
            windows::combined(reduce.kind, &windows, &args[0], &value)
        }
        Op::WindowArgmax(argmax) => {
            let windows = windows::of_window(&argmax.window, args[0].ty(), value.ty());
            windows::combined(Reduction::ArgMax, &windows, &args[0], &value)
        }
        Op::Dot(dot) => products(op, dot.lhs.iter().map(|&a| args[0].ty().shape[a]).product(), args, &value)?,
        Op::Conv(_) => products(op, args[1].ty().shape[1..].iter().product(), args, &value)?,
        Op::RngBits(_) => vec![if args.iter().all(Bounded::is_exact) { 0.0 } else { f64::INFINITY }; value.len()],
        Op::Call(_) | Op::Gradient(_) => return Err(EvalError::NotLocal(op.mnemonic())),
    };
    let is_float = value.dtype().is_float();
    for (i, r) in radius.iter_mut().enumerate() {
        // What may overflow, or is NaN already, has no bound.
        let x = value.get(i).as_f64();
        let largest = if value.dtype() == DType::F32 { f64::from(f32::MAX) } else { f64::MAX };
        let beyond = is_float && *r > 0.0 && (!x.is_finite() || x.abs() + *r > largest);
        let fractional = !is_float && *r > 0.0;
        if r.is_nan() || beyond || fractional {
            *r = f64::INFINITY;
        }
    }
    Ok(Bounded { value, radius })
}

/// An f64 with this many trailing zero bits is a short number, hence exact; a rounded one has digits to the end. An f32 has 29
/// anyway, and a rounded one has eleven more once in two thousand times.
const SHORT: u32 = 40;

/// The radius of a constant that may be the rounded value of an expression.
fn folded(x: Scalar, dtype: DType) -> f64 {
    match x {
        Scalar::Float(x) if x.is_finite() && x.to_bits().trailing_zeros() < SHORT => {
            2.0 * dtype.unit_roundoff() * x.abs()
        }
        _ => 0.0,
    }
}

/// Operators that move elements move their radii.
fn moved(op: &Op, args: &[Bounded]) -> Result<Vec<f64>, EvalError> {
    let radii: Vec<Tensor> = args.iter().map(Bounded::radii).collect();
    Ok(op.eval(&radii)?[0].to_f64s())
}

/// The bound on the rounding of a result of this magnitude, if the reference and a program each err by this many units in the
/// last place.
fn rounding(ulps: f64, magnitude: f64, dtype: DType) -> f64 {
    let smallest = if dtype == DType::F32 { f64::from(f32::from_bits(1)) } else { f64::from_bits(1) };
    (ulps + 1.0) * (2.0 * dtype.unit_roundoff() * magnitude + smallest)
}

/// The bound on a sum, in any order, of `terms` rounded terms whose magnitudes sum to `magnitude`.
fn summing(terms: usize, magnitude: f64, dtype: DType) -> f64 {
    if dtype.is_float() { rounding((terms.max(1) as f64 + 1.0) / 2.0, magnitude, dtype) } else { 0.0 }
}

/// The bound on sums of `terms` products.
fn products(op: &Op, terms: usize, args: &[Bounded], value: &Tensor) -> Result<Vec<f64>, EvalError> {
    if !value.dtype().is_float() {
        let exact = args.iter().all(Bounded::is_exact);
        return Ok(vec![if exact { 0.0 } else { f64::INFINITY }; value.len()]);
    }
    let (x, y) = (&args[0], &args[1]);
    let sums = |a: Tensor, b: Tensor| Ok::<_, EvalError>(op.eval(&[a, b])?[0].to_f64s());
    let (from_x, from_y) = (sums(x.radii(), y.largest())?, sums(x.magnitudes(), y.radii())?);
    let all = sums(x.largest(), y.largest())?;
    // exact operands without terms are not rounded
    let own = |i: usize| if all[i] == 0.0 { 0.0 } else { summing(2 * terms, all[i], value.dtype()) };
    Ok((0..value.len()).map(|i| from_x[i] + from_y[i] + own(i)).collect())
}

/// Whether a scalar function returns one of its operands unchanged.
fn is_choice(f: ScalarOp) -> bool {
    matches!(f, ScalarOp::Max | ScalarOp::Min | ScalarOp::Relu | ScalarOp::Abs | ScalarOp::Neg | ScalarOp::StopGradient)
}
