//! The lowering of an operator as an expression: which elements it reads and how it combines them. `dlc-compiler` turns this into
//! loop nests, and compiles operators without knowing their meaning.
//!
//! Everything is *pulled*: a [`Compute`] defines one element of the result as an expression over the axes of the result (and of a
//! reduction). Two computes are fused by substitution: an [`Expr::Read`] of a value is replaced by the body that computes the
//! value, its axes by the read's indices.

use crate::{DType, Scalar, ScalarOp, Type};

mod eval;

/// An integer expression over the axes of the iteration space: quasi-affine, apart from indices from data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Index {
    /// The position on an axis of the iteration space: the result's (parallel) axes first, then the reduction axes.
    Axis(usize),
    Const(i64),
    Add(Box<Index>, Box<Index>),
    Mul(Box<Index>, i64),
    /// A quotient, rounded down; the divisor is positive.
    Div(Box<Index>, i64),
    /// The remainder of that quotient, never negative.
    Mod(Box<Index>, i64),
    /// An element of data (dtype i64) in `0 .. bound`. [`crate::op::CheckIndex`] checks that it is in range; compiled code clamps
    /// it.
    Data {
        value: Box<Expr>,
        /// One past the largest valid index.
        bound: usize,
    },
}

/// A condition on the position, which guards a read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// `low <= index < high`.
    InRange {
        index: Index,
        low: i64,
        /// Exclusive.
        high: i64,
    },
    /// `index` is a multiple of `divisor`, which is positive.
    Divisible { index: Index, divisor: i64 },
}

/// A scalar expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    Read {
        operand: usize,
        dtype: DType,
        /// One index per axis; in range wherever the guards around it hold.
        index: Vec<Index>,
    },
    Const(ConstScalar),
    /// A position, converted to a number type.
    Position(Index, DType),
    /// A scalar function; the dtype is that of its operands (for `select` that of the branches).
    Apply(ScalarOp, DType, Vec<Expr>),
    /// `then` where all guards hold, else `other`; only the chosen branch reads.
    If {
        /// The conditions, tested in order: a later one may rely on an earlier one.
        guards: Vec<Guard>,
        then: Box<Expr>,
        other: Box<Expr>,
    },
    /// Element number `element` of [`crate::op::RngBits`] with this key and counter (both i64).
    Random {
        key: Box<Expr>,
        counter: Box<Expr>,
        /// The element's row-major position in the result of `rng_bits`.
        element: Index,
        dtype: DType,
    },
}

/// A scalar constant of a dtype, compared by its bits.
#[derive(Clone, Copy, Debug)]
pub struct ConstScalar {
    pub dtype: DType,
    /// The value, already rounded to the dtype.
    pub value: Scalar,
}

impl ConstScalar {
    fn key(self) -> (DType, u64) {
        let bits = match self.value {
            Scalar::Float(x) => x.to_bits(),
            Scalar::Int(x) => x as u64,
            Scalar::Bool(x) => u64::from(x),
        };
        (self.dtype, bits)
    }
}

impl PartialEq for ConstScalar {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for ConstScalar {}

impl std::hash::Hash for ConstScalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// How the elements of a reduction are combined. Elements whose guards do not hold are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Combine {
    /// Sum from 0.
    Sum,
    /// Product from 1.
    Product,
    /// Smallest from the largest value of the dtype (inf, true); NaN if any is.
    Min,
    /// Largest from the smallest value of the dtype (-inf, false); NaN if any is.
    Max,
    /// Position of the first smallest, or of the first NaN: the value of [`Reduce::position`] there.
    ArgMin,
    /// Position of the first largest, or of the first NaN.
    ArgMax,
}

/// The reduction of a [`Compute`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// Elements are combined in row-major order of `extents`, unless the order does not matter.
    pub combine: Combine,
    /// The sizes of the reduction axes, which follow the parallel axes in [`Index::Axis`].
    pub extents: Vec<usize>,
    /// Elements for which these do not hold are skipped (padding).
    pub guards: Vec<Guard>,
    /// The index that `ArgMin` and `ArgMax` return.
    pub position: Option<Index>,
}

/// The computation of one element of a result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Compute {
    /// The sizes of the parallel axes.
    pub extents: Vec<usize>,
    /// The element, or the operand of the reduction.
    pub body: Expr,
    pub reduce: Option<Reduce>,
}

impl Compute {
    /// An elementwise computation of a result of this type.
    pub fn map(ty: &Type, body: Expr) -> Lowering {
        Lowering::Compute(Compute { extents: ty.shape.to_vec(), body, reduce: None })
    }
}

/// How an operator is compiled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lowering {
    /// One expression for each element of the only result.
    Compute(Compute),
    /// By a special case in the scheduler, which matches on the operator.
    Special(Special),
}

/// The operators that the scheduler handles specially.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Special {
    /// `constant`: its bytes, or its one value as an immediate.
    Constant,
    /// `scatter` and `scatter_argmax`: updates are applied in the order of their indices.
    Scatter,
    /// `call`.
    Call,
    /// `gradient`: differentiation has replaced it before scheduling.
    Gradient,
}

impl std::ops::Add for Index {
    type Output = Index;
    fn add(self, other: Index) -> Index {
        match (self, other) {
            (Index::Const(a), Index::Const(b)) => Index::Const(a + b),
            (Index::Const(0), x) | (x, Index::Const(0)) => x,
            (a, b) => Index::Add(Box::new(a), Box::new(b)),
        }
    }
}

impl std::ops::Add<i64> for Index {
    type Output = Index;
    fn add(self, other: i64) -> Index {
        self + Index::Const(other)
    }
}

impl std::ops::Mul<i64> for Index {
    type Output = Index;
    fn mul(self, factor: i64) -> Index {
        match (self, factor) {
            (Index::Const(a), b) => Index::Const(a * b),
            (_, 0) => Index::Const(0),
            (x, 1) => x,
            (x, k) => Index::Mul(Box::new(x), k),
        }
    }
}

impl Index {
    /// Positions on consecutive axes.
    pub fn axes(range: std::ops::Range<usize>) -> Vec<Index> {
        range.map(Index::Axis).collect()
    }

    /// The quotient, rounded down.
    pub fn quotient(self, divisor: i64) -> Index {
        match (self, divisor) {
            (x, 1) => x,
            (Index::Const(a), k) => Index::Const(a.div_euclid(k)),
            (x, k) => Index::Div(Box::new(x), k),
        }
    }

    /// The remainder of [`Index::quotient`], never negative.
    pub fn modulo(self, divisor: i64) -> Index {
        match (self, divisor) {
            (_, 1) => Index::Const(0),
            (Index::Const(a), k) => Index::Const(a.rem_euclid(k)),
            (x, k) => Index::Mod(Box::new(x), k),
        }
    }

    /// The row-major position of an index in a shape.
    pub fn flatten(index: &[Index], extents: &[usize]) -> Index {
        index.iter().zip(extents).fold(Index::Const(0), |flat, (i, &n)| flat * n as i64 + i.clone())
    }

    /// The index in a shape of a row-major position.
    pub fn unflatten(position: Index, extents: &[usize]) -> Vec<Index> {
        let mut rest = position;
        let mut index = vec![];
        for (axis, &n) in extents.iter().enumerate().rev() {
            let here = if axis == 0 { rest.clone() } else { rest.clone().modulo(n as i64) };
            index.push(here);
            rest = rest.quotient(n.max(1) as i64);
        }
        index.reverse();
        index
    }
}

impl Expr {
    /// An element of an operand of this type.
    pub fn read(operand: usize, ty: &Type, index: Vec<Index>) -> Expr {
        Expr::Read { operand, dtype: ty.dtype, index }
    }

    /// The dtype of the value.
    pub fn dtype(&self) -> DType {
        match self {
            Expr::Read { dtype, .. } | Expr::Position(_, dtype) | Expr::Random { dtype, .. } => *dtype,
            Expr::Const(c) => c.dtype,
            Expr::Apply(f, dtype, _) => f.result(*dtype),
            Expr::If { then, .. } => then.dtype(),
        }
    }

    /// A constant.
    pub fn constant(dtype: DType, value: Scalar) -> Expr {
        Expr::Const(ConstScalar { dtype, value: value.convert(dtype) })
    }
}
