//! `scatter`: scatters slices into one axis by index; the adjoint of `gather`.

use super::eval::result_type;
use super::{
    Doc, Domain, EvalError, Gather, Grad, Operator, Sample, ScatterArgmax, Tolerance, TypeError, Types,
    attr::word_enum, gather::samples_of_indexing,
};
use crate::compute::{Lowering, Special};
use crate::scalar::Cotangents;
use crate::{Builder, DType, Direction, Scalar, ScalarOp, Tensor, Type, Value};

word_enum! {
    /// How an update is combined with the element in its position.
    pub enum ScatterKind {
        /// Their sum.
        Add = "add",
        /// The larger; NaN if either is.
        Max = "max",
        /// The update; of several the last in the order of `indices`.
        Set = "set",
    }
}

/// Scatters slices into one axis of a copy of `x` by index; the adjoint of [`Gather`]. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scatter {
    /// The axis of `x` that is indexed.
    pub axis: usize,
    /// The number of leading batch axes that `x`, `indices` and `updates` have in common.
    pub batch: usize,
    pub kind: ScatterKind,
}

impl Operator for Scatter {
    const MNEMONIC: &'static str = "scatter";
    const OPERANDS: &'static [&'static str] = &["x", "indices", "updates"];
    const DOC: Doc = Doc {
        meaning: "Scatters slices into one axis of a copy of `x` by index, with the axes of `gather`: `result[b, p, \
            indices[b, i], s]` is combined with `updates[b, p, i, s]`, in ascending row-major order of `i`. `add` \
            sums, `max` takes the larger (NaN if either is), `set` the update, of several the last. The step fails if \
            any index is out of range.",
        attributes: &[
            ("axis", "the axis of `x` that is indexed"),
            ("batch", "the number of leading batch axes of `x`, `indices` and `updates`"),
            ("kind", "one of `add`, `max`, `set`"),
        ],
        types: "`updates` has the type of `gather` with the same attributes; bool can only be set.",
        gradient: "`add`: for `x` the cotangent, for `updates` its `gather`. `set`: for `x` the cotangent where \
            nothing was written, for `updates` the cotangent of the last one. `max`: the cotangent goes to the winner \
            by `scatter_argmax`. None for `indices`.",
    };
    attrs!(axis, batch, kind);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let expected = Gather { axis: self.axis, batch: self.batch }
            .result(&args[0], &args[1])
            .map_err(|e| TypeError { mnemonic: Self::MNEMONIC, ..e })?;
        ensure!(
            args[0].dtype != DType::Bool || self.kind == ScatterKind::Set,
            "`{}` does not support bool",
            self.kind.word()
        );
        ensure!(args[2] == expected, "expected updates of type {expected}, found {}", args[2]);
        Ok(smallvec::smallvec![args[0].clone()])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let (x, indices, updates) = (&args[0], &args[1], &args[2]);
        let ty = result_type(self, args)?;
        let gather = Gather { axis: self.axis, batch: self.batch };
        let positions = gather.positions(&ty, indices, updates.ty())?;
        let mut result: Vec<Scalar> = x.scalars().collect();
        for (position, update) in positions.into_iter().zip(updates.scalars()) {
            let target = &mut result[position];
            *target = match (self.kind, *target, update) {
                (ScatterKind::Set, _, y) => y,
                (ScatterKind::Add, Scalar::Float(x), Scalar::Float(y)) => Scalar::Float(x + y),
                (ScatterKind::Add, x, y) => Scalar::Int(x.as_i64().wrapping_add(y.as_i64())),
                (ScatterKind::Max, x, y) => ScalarOp::Max.eval(ty.dtype, &[x, y]),
            };
        }
        Ok(vec![Tensor::from_fn(ty, |i| result[i])])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Vjp(vjp)
    }

    fn lower(&self, _: &[Type]) -> Lowering {
        Lowering::Special(Special::Scatter)
    }

    fn tolerance(&self, args: &[Type]) -> Tolerance {
        match self.kind {
            ScatterKind::Add => Tolerance::Terms(1 + args[1].shape[self.batch..].iter().product::<usize>()),
            ScatterKind::Max | ScatterKind::Set => Tolerance::Exact,
        }
    }

    fn samples() -> Vec<Sample> {
        let kinds = ScatterKind::ALL.iter().flat_map(|&kind| {
            samples_of_indexing(|x, indices, axis, batch| {
                let size = x.shape[axis] as i64;
                let updates = Gather { axis, batch }.result(&x, &indices).expect("the samples are well typed");
                // the largest must be unambiguous where the derivative depends on it
                let domain =
                    |ty: &Type| if ty.dtype.is_float() { Domain::Distinct(-2.0, 2.0) } else { Domain::of(ty.dtype) };
                let (on_x, on_updates) = (domain(&x), domain(&updates));
                let op = Scatter { axis, batch, kind };
                Sample::new(op).with(x, on_x).with(indices, Domain::Int(0, size - 1)).with(updates, on_updates)
            })
        });
        kinds.collect()
    }
}

fn vjp(op: &Scatter, b: &mut Builder, args: &[Value], _: &[Value], cts: &[Value]) -> Cotangents {
    let (x, indices, updates) = (args[0], args[1], args[2]);
    let gather = Gather { axis: op.axis, batch: op.batch };
    let taken = b.push(gather.clone(), &[cts[0], indices])?;
    let none = b.zeros_like(updates)?;
    match op.kind {
        ScatterKind::Add => Ok(vec![Some(cts[0]), None, Some(taken)]),
        ScatterKind::Set => {
            // of several updates of one element the last one leaves its number
            let numbers = number_updates(op, b, indices, updates)?;
            let unwritten = b.ty(x).with_dtype(DType::I64);
            let unwritten = b.full(&unwritten, Scalar::Int(-1))?;
            let last = b.push(op.clone(), &[unwritten, indices, numbers])?;
            let last = b.push(gather, &[last, indices])?;
            let wins = b.compare(Direction::Eq, last, numbers)?;
            let kept = b.push(op.clone(), &[cts[0], indices, none])?;
            Ok(vec![Some(kept), None, Some(b.select(wins, taken, none)?)])
        }
        ScatterKind::Max => {
            // Selects by the number of the winner, not by equality with the result: a rewrite may compute the operands of the
            // comparison differently from those of the maximum, and then none would be equal.
            let winner = b.push(ScatterArgmax { axis: op.axis, batch: op.batch }, &[x, indices, updates])?;
            let own = b.ty(winner).clone();
            let own = b.full(&own, Scalar::Int(-1))?;
            let stays = b.compare(Direction::Eq, winner, own)?;
            let nothing = b.zeros_like(cts[0])?;
            let numbers = number_updates(op, b, indices, updates)?;
            let winner = b.push(gather, &[winner, indices])?;
            let wins = b.compare(Direction::Eq, winner, numbers)?;
            Ok(vec![Some(b.select(stays, cts[0], nothing)?), None, Some(b.select(wins, taken, none)?)])
        }
    }
}

/// For each element of the updates the row-major number of its index, from 0.
fn number_updates(op: &Scatter, b: &mut Builder, indices: Value, updates: Value) -> Result<Value, TypeError> {
    let indexed = b.ty(indices).shape[op.batch..].to_vec();
    let shape = b.ty(updates).shape.clone();
    let count = Type::new(DType::I64, [indexed.iter().product::<usize>()]);
    let numbers = b.iota(count, 0)?;
    let axes: Vec<usize> = (op.axis..op.axis + indexed.len()).collect();
    let numbers = b.reshape(numbers, indexed)?;
    b.broadcast(numbers, shape, &axes)
}
