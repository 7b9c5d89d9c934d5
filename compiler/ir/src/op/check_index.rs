//! `check_index`: fails if an index is out of range.

use super::eval::result_type;
use super::{Doc, Domain, EvalError, Grad, Operator, Sample, Tolerance, TypeError, Types, attr::word_enum};
use crate::compute::{Combine, Compute, Expr, Index, Lowering, Reduce};
use crate::{DType, Direction, Scalar, ScalarOp, Tensor, Type};

word_enum! {
    /// The operator that indexes an axis.
    pub enum Indexing {
        /// [`super::Gather`].
        Gather = "gather",
        /// [`super::Scatter`].
        Scatter = "scatter",
        /// [`super::ScatterArgmax`].
        ScatterArgmax = "scatter_argmax",
    }
}

/// Fails the step if an index is out of range. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CheckIndex {
    /// The size of the indexed axis.
    pub size: usize,
    /// The operator that indexes it, for the message.
    pub by: Indexing,
}

impl Operator for CheckIndex {
    const MNEMONIC: &'static str = "check_index";
    const OPERANDS: &'static [&'static str] = &["indices"];
    const DOC: Doc = Doc {
        meaning: "True; the step fails if an index is outside of `0 .. size`. The compiler inserts one for every \
            `gather` and `scatter` whose indices are not known to be in range, as a result of the program with the \
            role `check`, so that no rewrite removes it.",
        attributes: &[
            ("size", "the size of the indexed axis"),
            ("by", "the operator that indexes it, for the message: one of `gather`, `scatter`, `scatter_argmax`"),
        ],
        types: "`indices` is i64, of any shape; the result is a scalar.",
        gradient: "Zero.",
    };
    attrs!(size, by);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        ensure!(args[0].dtype == DType::I64, "expected i64 indices, found {}", args[0]);
        Ok(smallvec::smallvec![Type::scalar(DType::Bool)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let ty = result_type(self, args)?;
        in_range(&args[0], self.size)?;
        Ok(vec![Tensor::full(ty, Scalar::Bool(true))])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Zero
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let indices = &args[0];
        let index = || Expr::read(0, indices, Index::axes(0..indices.rank()));
        let compare = |direction, bound: usize| {
            let bound = Expr::constant(DType::I64, Scalar::Int(bound as i64));
            Expr::Apply(ScalarOp::Compare(direction), DType::I64, vec![index(), bound])
        };
        let inside = vec![compare(Direction::Ge, 0), compare(Direction::Lt, self.size)];
        Lowering::Compute(Compute {
            extents: vec![],
            body: Expr::Apply(ScalarOp::And, DType::Bool, inside),
            reduce: Some(Reduce {
                combine: Combine::Min,
                extents: if indices.rank() == 0 { vec![1] } else { indices.shape.to_vec() },
                guards: vec![],
                position: None,
            }),
        })
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        let sample = |shape: &[usize], size, by| {
            Sample::new(CheckIndex { size, by }).with(Type::new(DType::I64, shape), Domain::Int(0, size as i64 - 1))
        };
        vec![
            sample(&[2, 3], 5, Indexing::Gather),
            sample(&[], 1, Indexing::Scatter),
            sample(&[0], 3, Indexing::Gather),
            sample(&[1000], 7, Indexing::ScatterArgmax),
        ]
    }
}

/// Finds an index outside of `0 .. size`.
pub(super) fn in_range(indices: &Tensor, size: usize) -> Result<(), EvalError> {
    match indices.scalars().map(Scalar::as_i64).find(|&i| i < 0 || i >= size as i64) {
        Some(index) => Err(EvalError::IndexOutOfRange { index, size }),
        None => Ok(()),
    }
}
