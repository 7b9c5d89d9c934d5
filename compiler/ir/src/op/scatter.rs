//! `scatter`: puts slices into one axis by index; the adjoint of `gather`.

use super::{EvalError, Gather, Operator, TypeError, Types, attr::word_enum};
use super::eval::{result_type};
use crate::{DType, Scalar, ScalarOp, Tensor, Type};

word_enum! {
    /// How a scattered element meets the one that is there.
    pub enum ScatterKind {
        /// Their sum.
        Add = "add",
        /// The larger; NaN if either is.
        Max = "max",
        /// The scattered one; of several the last in the order of `indices`.
        Set = "set",
    }
}

/// Puts slices into one axis of a copy of `x` by index, with the axes of [`super::Gather`]:
/// `result[b, p, indices[b, i], s] ∘= updates[b, p, i, s]`, in ascending order of `i`.
/// An index outside the axis is an error of the step.
///
/// ```text
/// %1 = scatter %zeros, %ids, %g {axis=0, batch=0, kind=add} : f32[100,64]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scatter {
    /// The axis of `x` that is indexed.
    pub axis: usize,
    /// How many leading axes of `x`, `indices` and `updates` go together.
    pub batch: usize,
    /// How a scattered element meets the one that is there.
    pub kind: ScatterKind,
}

impl Operator for Scatter {
    const MNEMONIC: &'static str = "scatter";
    const OPERANDS: &'static [&'static str] = &["x", "indices", "updates"];
    attrs!(axis, batch, kind);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let wanted = Gather { axis: self.axis, batch: self.batch }
            .result(&args[0], &args[1])
            .map_err(|e| TypeError { mnemonic: Self::MNEMONIC, ..e })?;
        ensure!(args[0].dtype != DType::Bool || self.kind == ScatterKind::Set, "no {} of bool", self.kind.word());
        ensure!(args[2] == wanted, "updates must be {wanted}, not {}", args[2]);
        Ok(smallvec::smallvec![args[0].clone()])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let (x, indices, updates) = (&args[0], &args[1], &args[2]);
        let ty = result_type(self, args)?;
        let gather = Gather { axis: self.axis, batch: self.batch };
        gather.check_indices(&ty, indices, updates.ty())?;
        let mut result: Vec<Scalar> = x.scalars().collect();
        for (i, update) in updates.shape().indices().zip(updates.scalars()) {
            let target = &mut result[ty.shape.offset(&gather.source(indices, &i))];
            *target = match (self.kind, *target, update) {
                (ScatterKind::Set, _, y) => y,
                (ScatterKind::Add, Scalar::Float(x), Scalar::Float(y)) => Scalar::Float(x + y),
                (ScatterKind::Add, x, y) => Scalar::Int(x.as_i64().wrapping_add(y.as_i64())),
                (ScatterKind::Max, x, y) => ScalarOp::Max.eval(ty.dtype, &[x, y]),
            };
        }
        Ok(vec![Tensor::from_fn(ty, |i| result[i])])
    }
}
