//! `reduce`: reduces along axes.

use super::eval::{result_type, walk_axes};
use super::{
    Doc, Domain, EvalError, FLOAT, Grad, Operator, Sample, Tolerance, Transpose, TypeError, Types, are_axes,
    attr::word_enum, lowered_type,
};
use crate::compute::{self, Combine, Compute, Expr, Index, Lowering};
use crate::scalar::Cotangents;
use crate::{Builder, DType, Direction, Scalar, Tensor, Type, Value};

word_enum! {
    /// How elements are combined.
    pub enum Reduction {
        /// Sum; 0 of none.
        Sum = "sum",
        /// Product; 1 of none.
        Product = "product",
        /// Smallest, NaN if any is; `and` on bool.
        Min = "min",
        /// Largest, NaN if any is; `or` on bool.
        Max = "max",
        /// Index of the first smallest element, in row-major order of the reduction axes; of the first NaN, if any.
        ArgMin = "argmin",
        /// Index of the first largest element, likewise.
        ArgMax = "argmax",
    }
}

impl Reduction {
    /// Whether the result is an index.
    pub fn is_arg(self) -> bool {
        matches!(self, Reduction::ArgMin | Reduction::ArgMax)
    }

    /// The reference reduction to a value; not to an index.
    pub(super) fn combine(self, dtype: DType, elements: impl Iterator<Item = Scalar>) -> Scalar {
        let extreme = |beyond: fn(f64, f64) -> bool, x: Scalar, y: Scalar| match (x, y) {
            (Scalar::Float(a), Scalar::Float(b)) => {
                if a.is_nan() || beyond(a, b) {
                    x
                } else {
                    y
                }
            }
            _ => {
                let (a, b) = (x.as_i64(), y.as_i64());
                let first = if self == Reduction::Max { a > b } else { a < b };
                if first { x } else { y }
            }
        };
        elements.fold(self.identity(dtype), |x, y| match (self, x, y) {
            (Reduction::Sum, Scalar::Float(a), Scalar::Float(b)) => Scalar::Float(a + b),
            (Reduction::Sum, a, b) => Scalar::Int(a.as_i64().wrapping_add(b.as_i64())),
            (Reduction::Product, Scalar::Float(a), Scalar::Float(b)) => Scalar::Float(a * b),
            (Reduction::Product, a, b) => Scalar::Int(a.as_i64().wrapping_mul(b.as_i64())),
            (Reduction::Min | Reduction::ArgMin, a, b) => extreme(|a, b| a < b, a, b),
            (Reduction::Max | Reduction::ArgMax, a, b) => extreme(|a, b| a > b, a, b),
        })
    }

    /// The neutral element.
    pub fn identity(self, dtype: DType) -> Scalar {
        let (smallest, largest) = match dtype {
            DType::F32 | DType::F64 => (Scalar::Float(f64::NEG_INFINITY), Scalar::Float(f64::INFINITY)),
            DType::I32 => (Scalar::Int(i32::MIN.into()), Scalar::Int(i32::MAX.into())),
            DType::I64 => (Scalar::Int(i64::MIN), Scalar::Int(i64::MAX)),
            DType::U8 => (Scalar::Int(0), Scalar::Int(255)),
            DType::Bool => (Scalar::Bool(false), Scalar::Bool(true)),
        };
        match self {
            Reduction::Sum => Scalar::zero(dtype),
            Reduction::Product => Scalar::one(dtype),
            Reduction::Min | Reduction::ArgMin => largest,
            Reduction::Max | Reduction::ArgMax => smallest,
        }
    }

    /// The reference reduction to the position of the first smallest or largest element, or of the first NaN.
    pub(super) fn position(self, elements: impl Iterator<Item = (i64, Scalar)>) -> Option<i64> {
        let mut best: Option<(i64, f64, i64)> = None;
        for (position, x) in elements {
            let (float, int) = match x {
                Scalar::Float(x) => (x, 0),
                x => (0.0, x.as_i64()),
            };
            let better = best.is_none_or(|(_, best_float, best_int)| match (self, best_float.is_nan()) {
                (_, true) => false,
                (Reduction::ArgMin | Reduction::Min, _) => float.is_nan() || float < best_float || int < best_int,
                _ => float.is_nan() || float > best_float || int > best_int,
            });
            if better {
                best = Some((position, float, int));
            }
        }
        best.map(|(position, ..)| position)
    }
}

/// Reduces along axes, which the result does not have. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    pub kind: Reduction,
    /// The axes, ascending.
    pub axes: Vec<usize>,
}

impl Reduce {
    /// The parallel axes: those that the result keeps, ascending, for an operand of this rank.
    pub fn kept(&self, rank: usize) -> Vec<usize> {
        (0..rank).filter(|a| !self.axes.contains(a)).collect()
    }
}

impl Operator for Reduce {
    const MNEMONIC: &'static str = "reduce";
    const OPERANDS: &'static [&'static str] = &["x"];
    const DOC: Doc = Doc {
        meaning: "Reduces along axes, which the result does not have. An empty `sum` and `product` are 0 and 1; `min` \
            and `max` are NaN if any element is, and on bool `and` and `or`. `argmin` and `argmax` are the i64 \
            position of the first smallest or largest element, counted in row-major order of the reduction axes, of \
            the first NaN if there is one.",
        attributes: &[
            ("kind", "one of `sum`, `product`, `min`, `max`, `argmin`, `argmax`"),
            ("axes", "the axes, ascending"),
        ],
        types: "Numbers, for `min` and `max` bool too. `min`, `max`, `argmin`, `argmax` need at least one element.",
        gradient: "`sum`: a broadcast. `product`: multiplied by the product of the other elements, which is computed \
            without division, so that it holds at zeros. `min`, `max`: the whole cotangent goes to the first smallest \
            or largest element. `argmin`, `argmax`: zero.",
    };
    attrs!(kind, axes);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        let ascend = self.axes.is_sorted() && are_axes(&self.axes, x.rank());
        ensure!(ascend, "expected ascending axes of {x}, found {:?}", self.axes);
        let bool_allowed = matches!(self.kind, Reduction::Min | Reduction::Max);
        ensure!(x.dtype != DType::Bool || bool_allowed, "`{}` does not support bool", self.kind.word());
        let none = self.axes.iter().any(|&a| x.shape[a] == 0);
        let has_identity = matches!(self.kind, Reduction::Sum | Reduction::Product);
        ensure!(!none || has_identity, "`{}` of an empty axis of {x} has no value", self.kind.word());
        let shape: Vec<_> = (0..x.rank()).filter(|a| !self.axes.contains(a)).map(|a| x.shape[a]).collect();
        let dtype = if self.kind.is_arg() { DType::I64 } else { x.dtype };
        Ok(smallvec::smallvec![Type::new(dtype, shape)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let x = &args[0];
        let ty = result_type(self, args)?;
        if self.axes.is_empty() && !self.kind.is_arg() {
            // Returned unchanged, so that -0 stays: a sum of one element is 0 + -0 = 0.
            return Ok(vec![x.clone()]);
        }
        let kept = walk_axes(x.shape(), &self.kept(x.shape().rank()));
        let reduced = walk_axes(x.shape(), &self.axes);
        let element = |i: usize| {
            let elements = reduced.iter().map(|r| x.get(kept[i] + r));
            if self.kind.is_arg() {
                Scalar::Int(self.kind.position((0..).zip(elements)).expect("the type rule refuses empty reductions"))
            } else {
                self.kind.combine(x.dtype(), elements)
            }
        };
        Ok(vec![Tensor::from_fn(ty, element)])
    }

    fn grad(&self) -> Grad<Self> {
        if self.kind.is_arg() { Grad::Zero } else { Grad::Vjp(vjp) }
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let x = &args[0];
        let ty = lowered_type(self, args);
        let mut index = vec![Index::Const(0); x.rank()];
        let kept = self.kept(x.rank());
        kept.iter().chain(&self.axes).enumerate().for_each(|(axis, &a)| index[a] = Index::Axis(axis));
        let body = Expr::read(0, x, index);
        if self.axes.is_empty() {
            let first = Expr::Position(Index::Const(0), DType::I64);
            return Compute::map(&ty, if self.kind.is_arg() { first } else { body });
        }
        let extents: Vec<usize> = self.axes.iter().map(|&a| x.shape[a]).collect();
        let position = Index::flatten(&Index::axes(kept.len()..x.rank()), &extents);
        Lowering::Compute(Compute {
            extents: ty.shape.to_vec(),
            body,
            reduce: Some(compute::Reduce {
                combine: self.kind.combiner(),
                extents,
                guards: vec![],
                position: self.kind.is_arg().then_some(position),
            }),
        })
    }

    fn tolerance(&self, args: &[Type]) -> Tolerance {
        self.kind.tolerance(self.axes.iter().map(|&a| args[0].shape[a]).product())
    }

    fn samples() -> Vec<Sample> {
        let mut samples = vec![];
        for &kind in Reduction::ALL {
            let mut sample = |dtype: DType, shape: &[usize], axes: &[usize]| {
                let op = Reduce { kind, axes: axes.to_vec() };
                samples.push(Sample::new(op).with(Type::new(dtype, shape), kind.domain(dtype)));
            };
            sample(DType::F32, &[4, 5], &[1]);
            sample(DType::F64, &[4], &[0]);
            sample(DType::F64, &[2, 3, 4], &[0, 2]);
            sample(DType::F64, &[2, 3], &[0, 1]);
            sample(DType::F64, &[3, 1], &[1]);
            sample(DType::F64, &[2, 2], &[]);
            sample(DType::F64, &[0, 3], &[1]);
            sample(DType::F32, &[40, 50], &[0, 1]);
            sample(DType::I32, &[2, 3], &[0]);
            sample(DType::U8, &[5], &[0]);
            if matches!(kind, Reduction::Sum | Reduction::Product) {
                sample(DType::F64, &[2, 0], &[1]);
            }
            if matches!(kind, Reduction::Min | Reduction::Max) {
                sample(DType::Bool, &[3, 2], &[1]);
            }
        }
        samples
    }
}

impl Reduction {
    /// The combiner of its compiled form.
    pub(super) fn combiner(self) -> Combine {
        match self {
            Reduction::Sum => Combine::Sum,
            Reduction::Product => Combine::Product,
            Reduction::Min => Combine::Min,
            Reduction::Max => Combine::Max,
            Reduction::ArgMin => Combine::ArgMin,
            Reduction::ArgMax => Combine::ArgMax,
        }
    }

    /// The tolerance of a reduction of this many elements.
    pub(super) fn tolerance(self, terms: usize) -> Tolerance {
        match self {
            Reduction::Sum | Reduction::Product => Tolerance::Terms(terms),
            _ => Tolerance::Exact,
        }
    }

    /// The domain of generated tests.
    pub(super) fn domain(self, dtype: DType) -> Domain {
        match self {
            _ if !dtype.is_float() => Domain::of(dtype),
            Reduction::Sum | Reduction::Product => FLOAT,
            _ => Domain::Distinct(-2.0, 2.0),
        }
    }
}

fn vjp(op: &Reduce, b: &mut Builder, args: &[Value], _: &[Value], cts: &[Value]) -> Cotangents {
    let x = args[0];
    let shape = b.ty(x).shape.clone();
    let kept = op.kept(shape.rank());
    let spread = b.broadcast(cts[0], shape.clone(), &kept)?;
    let cotangent = match op.kind {
        Reduction::Sum => spread,
        Reduction::Product => {
            let others = product_of_others(b, x, &op.axes)?;
            b.mul(spread, others)?
        }
        Reduction::Min | Reduction::Max => {
            // the whole cotangent goes to the first of the extreme elements
            let kind = if op.kind == Reduction::Min { Reduction::ArgMin } else { Reduction::ArgMax };
            let first = b.reduce(kind, x, &op.axes)?;
            let first = b.broadcast(first, shape.clone(), &kept)?;
            let reduced: Vec<usize> = op.axes.iter().map(|&a| shape[a]).collect();
            let numbers = b.iota(Type::new(DType::I64, [reduced.iter().product::<usize>()]), 0)?;
            let numbers = b.reshape(numbers, reduced)?;
            let numbers = b.broadcast(numbers, shape, &op.axes)?;
            let chosen = b.compare(Direction::Eq, numbers, first)?;
            let zeros = b.zeros_like(x)?;
            b.select(chosen, spread, zeros)?
        }
        Reduction::ArgMin | Reduction::ArgMax => {
            let message = format!("{} has no derivative", op.kind.word());
            return Err(TypeError { mnemonic: Reduce::MNEMONIC, message });
        }
    };
    Ok(vec![Some(cotangent)])
}

/// For each element the product of all others along `axes`. It is a product, not a division, so that it holds where elements are
/// zero; the quadratic intermediate is never stored, since it is computed within the reduction.
pub(super) fn product_of_others(b: &mut Builder, x: Value, axes: &[usize]) -> Result<Value, TypeError> {
    let ty = b.ty(x).clone();
    let kept: Vec<usize> = (0..ty.rank()).filter(|a| !axes.contains(a)).collect();
    let order = [kept.as_slice(), axes].concat();
    let moved = b.transpose(x, &order)?;
    let moved_shape = b.ty(moved).shape.clone();
    let (outer, reduced) = moved_shape.split_at(kept.len());
    let n: usize = reduced.iter().product();
    let flat = b.reshape(moved, [outer, &[n]].concat())?;
    let square = [outer, &[n, n]].concat();
    let (row, column) = (kept.len(), kept.len() + 1);
    let columns: Vec<usize> = (0..kept.len()).chain([column]).collect();
    let elements = b.broadcast(flat, square.clone(), &columns)?;
    let (own, other) = (b.iota(Type::new(DType::I64, [n, n]), 0)?, b.iota(Type::new(DType::I64, [n, n]), 1)?);
    let diagonal = b.compare(Direction::Eq, own, other)?;
    let diagonal = b.broadcast(diagonal, square, &[row, column])?;
    let ones = b.full_like(elements, 1.0)?;
    let others = b.select(diagonal, ones, elements)?;
    let product = b.reduce(Reduction::Product, others, &[column])?;
    let back = b.reshape(product, moved_shape)?;
    b.transpose(back, &Transpose { perm: order }.inverse())
}
