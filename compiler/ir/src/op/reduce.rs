//! `reduce`: combines the elements along axes.

use super::{EvalError, Operator, TypeError, Types, are_axes, attr::word_enum};
use super::eval::{element_at, result_type, tensor_of};
use crate::{DType, Scalar, Shape, Tensor, Type};

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
        /// Index of the first smallest element, in row-major order of the reduced axes; of the first NaN, if any is.
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

    /// The reference for combining elements; not for indices.
    pub(super) fn combine(self, dtype: DType, elements: impl Iterator<Item = Scalar>) -> Scalar {
        let extreme = |beyond: fn(f64, f64) -> bool, x: Scalar, y: Scalar| match (x, y) {
            (Scalar::Float(a), Scalar::Float(b)) => if a.is_nan() || beyond(a, b) { x } else { y },
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

    /// What no elements combine to: the neutral one.
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

    /// The reference for the position of the first smallest or largest element, or of the first NaN.
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

/// Combines the elements along axes, which the result does not have.
///
/// ```text
/// %1 = reduce %x {kind=sum, axes=[1]} : f32[32]   // from f32[32,128]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// How elements are combined.
    pub kind: Reduction,
    /// The axes, ascending.
    pub axes: Vec<usize>,
}

impl Reduce {
    /// The axes that the result has, ascending, of an operand of this rank.
    pub fn kept(&self, rank: usize) -> Vec<usize> {
        (0..rank).filter(|a| !self.axes.contains(a)).collect()
    }
}

impl Operator for Reduce {
    const MNEMONIC: &'static str = "reduce";
    const OPERANDS: &'static [&'static str] = &["x"];
    attrs!(kind, axes);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let x = &args[0];
        let ascend = self.axes.is_sorted() && are_axes(&self.axes, x.rank());
        ensure!(ascend, "{:?} are not ascending axes of {x}", self.axes);
        let bool_allowed = matches!(self.kind, Reduction::Min | Reduction::Max);
        ensure!(x.dtype != DType::Bool || bool_allowed, "no {} of bool", self.kind.word());
        let none = self.axes.iter().any(|&a| x.shape[a] == 0);
        let has_identity = matches!(self.kind, Reduction::Sum | Reduction::Product);
        ensure!(!none || has_identity, "no {} of no elements: {x}", self.kind.word());
        let shape: Vec<_> = (0..x.rank()).filter(|a| !self.axes.contains(a)).map(|a| x.shape[a]).collect();
        let dtype = if self.kind.is_arg() { DType::I64 } else { x.dtype };
        Ok(smallvec::smallvec![Type::new(dtype, shape)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let x = &args[0];
        let reduced: Shape = self.axes.iter().map(|&a| x.shape()[a]).collect();
        let kept = self.kept(x.shape().rank());
        let mut source = vec![0; x.shape().rank()];
        let element = |i: &[usize]| {
            kept.iter().zip(i).for_each(|(&a, &i)| source[a] = i);
            let elements = reduced.indices().map(|r| {
                self.axes.iter().zip(&r).for_each(|(&a, &i)| source[a] = i);
                element_at(x, source.iter().copied())
            });
            if self.kind.is_arg() {
                Scalar::Int(self.kind.position((0..).zip(elements)).expect("the type rule refuses empty reductions"))
            } else {
                self.kind.combine(x.dtype(), elements)
            }
        };
        Ok(vec![tensor_of(&result_type(self, args)?, element)])
    }
}
