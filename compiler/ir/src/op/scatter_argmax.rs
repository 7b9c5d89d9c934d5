//! `scatter_argmax`: which update a `scatter` of the kind `max` leaves in each element.

use super::eval::result_type;
use super::{
    Doc, Domain, EvalError, Gather, Grad, Operator, Sample, Tolerance, TypeError, Types, gather::samples_of_indexing,
};
use crate::compute::{Lowering, Special};
use crate::{DType, Scalar, Tensor, Type};

/// For each element the number of the update that [`super::Scatter`] with the kind `max` leaves there. Its [`Operator::DOC`] has
/// the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScatterArgmax {
    /// The axis of `x` that is indexed.
    pub axis: usize,
    /// The number of leading batch axes that `x`, `indices` and `updates` have in common.
    pub batch: usize,
}

impl Operator for ScatterArgmax {
    const MNEMONIC: &'static str = "scatter_argmax";
    const OPERANDS: &'static [&'static str] = &["x", "indices", "updates"];
    const DOC: Doc = Doc {
        meaning: "For each element of `x` the number of the update that `scatter` of the kind `max` leaves there, \
            counted in row-major order of `i` from 0, and -1 where `x` itself stays: the first of the largest, where \
            `x` precedes all updates (the first NaN, if there is one). The step fails if an index is out of range; if \
            `updates` is empty nothing is indexed.",
        attributes: &[
            ("axis", "the axis of `x` that is indexed"),
            ("batch", "the number of leading batch axes of `x`, `indices` and `updates`"),
        ],
        types: "Numbers; `updates` has the type of `gather` with the same attributes. The result is i64 of the shape of `x`.",
        gradient: "Zero.",
    };
    attrs!(axis, batch);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let expected = Gather { axis: self.axis, batch: self.batch }
            .result(&args[0], &args[1])
            .map_err(|e| TypeError { mnemonic: Self::MNEMONIC, ..e })?;
        ensure!(args[0].dtype != DType::Bool, "bool is not supported");
        ensure!(args[2] == expected, "expected updates of type {expected}, found {}", args[2]);
        Ok(smallvec::smallvec![args[0].with_dtype(DType::I64)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let (x, indices, updates) = (&args[0], &args[1], &args[2]);
        let ty = result_type(self, args)?;
        let gather = Gather { axis: self.axis, batch: self.batch };
        let positions = gather.positions(&ty, indices, updates.ty())?;
        let inner = x.shape()[self.axis + 1..].iter().product::<usize>().max(1);
        let count = indices.shape()[self.batch..].iter().product::<usize>().max(1);
        let mut best: Vec<Scalar> = x.scalars().collect();
        let mut winners = vec![-1; best.len()];
        for (at, (position, update)) in positions.into_iter().zip(updates.scalars()).enumerate() {
            let beaten = match (update, best[position]) {
                (Scalar::Float(new), Scalar::Float(old)) => new > old || (new.is_nan() && !old.is_nan()),
                (new, old) => new.as_i64() > old.as_i64(),
            };
            if beaten {
                best[position] = update;
                winners[position] = (at / inner % count) as i64;
            }
        }
        Ok(vec![Tensor::from_fn(ty, |i| Scalar::Int(winners[i]))])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Zero
    }

    fn lower(&self, _: &[Type]) -> Lowering {
        Lowering::Special(Special::Scatter)
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        let sample = |x: Type, indices: Type, axis: usize, batch: usize, distinct: bool| {
            let size = x.shape[axis] as i64;
            let updates = Gather { axis, batch }.result(&x, &indices).expect("the samples are well typed");
            let domain = match x.dtype {
                // few distinct numbers, so that some are equal
                dtype if dtype.is_float() && !distinct => Domain::Int(-1, 1),
                dtype => Domain::of(dtype),
            };
            let op = ScatterArgmax { axis, batch };
            Sample::new(op).with(x, domain).with(indices, Domain::Int(0, size - 1)).with(updates, domain)
        };
        let mut samples = samples_of_indexing(|x, indices, axis, batch| sample(x, indices, axis, batch, true));
        samples.extend(samples_of_indexing(|x, indices, axis, batch| sample(x, indices, axis, batch, false)));
        samples.push(sample(Type::new(DType::F32, [3, 16]), Type::new(DType::I64, [9]), 0, 0, false));
        samples.push(sample(Type::new(DType::U8, [3, 16]), Type::new(DType::I64, [9]), 0, 0, true));
        samples
    }
}
