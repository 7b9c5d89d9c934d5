//! Constant folding.

use dlc_ir::op::{Broadcast, Constant, Reduction};
use dlc_ir::{Op, Scalar, ScalarOp as F, Tensor};

use super::{Need, Rule, Trigger, rules};
use crate::egraph::analysis::FOLD_BYTES;
use crate::egraph::graph::Rhs;
use crate::egraph::language::Kind;

rules! {
    Exact "fold-constants" [Trigger::Any] "an operator on small constants, with a result of at most 4 KiB, is a constant", |s, out| {
        if s.args().is_empty() || s.data(s.class).constant.is_some() {
            return;
        }
        if s.own_ty().bytes() > FOLD_BYTES || s.own_ty().shape.elements() == 0 {
            return;
        }
        let known: Option<Vec<Tensor>> = s.args().iter().map(|&a| s.data(a).constant.clone()).collect();
        let Some(known) = known else { return };
        // A uniform constant stays a broadcast: kernels have it as an immediate.
        let repeats = matches!(s.op(), Op::Broadcast(_)) && s.uniform(s.class).is_some();
        if repeats {
            return;
        }
        if let Ok(results) = s.op().eval(&known)
            && let [value] = results.as_slice() {
                out.push(match value.uniform() {
                    Some(number) => Rhs::full(value.ty(), number),
                    None => Rhs::op(Constant { value: value.clone() }, []),
                });
            }
    }
    Exact "fold-repeated" [Trigger::AnyMap] "a scalar function of uniform tensors is a uniform tensor", |s, out| {
        let &Op::Map(f) = s.op() else { return };
        if s.own_ty().rank() == 0 {
            return;
        }
        let known: Option<Vec<Scalar>> = s.args().iter().map(|&a| s.uniform(a)).collect();
        if let (Some(known), Some(&last)) = (known, s.args().last()) {
            out.push(Rhs::full(s.own_ty(), f.eval(s.ty(last).dtype, &known)));
        }
    }
    Exact "fold-moved" [Trigger::Of(Kind::Reshape), Trigger::Of(Kind::Transpose), Trigger::Of(Kind::Reverse), Trigger::Of(Kind::Slice)]
        "data movement of a uniform tensor is a uniform tensor", |s, out| {
        if let Some(number) = s.uniform(s.x()) {
            out.push(Rhs::full(s.own_ty(), number));
        }
    }
    Safe "fold-sum-of-repeated" [Trigger::Of(Kind::Reduce)] "the sum of n equal numbers is n times the number", |s, out| {
        let Op::Reduce(r) = s.op() else { return };
        let count: usize = r.axes.iter().map(|&a| s.ty(s.x()).shape[a]).product();
        // An empty sum of infinities is 0, not NaN.
        if let (Some(number), Reduction::Sum, 1..) = (s.uniform(s.x()), r.kind, count) {
            let count = if s.own_ty().dtype.is_float() { Scalar::Float(count as f64) } else { Scalar::Int(count as i64) };
            out.push(Rhs::full(s.own_ty(), F::Mul.eval(s.own_ty().dtype, &[number, count])));
        }
    }
    Exact "fold-extremum-of-repeated" [Trigger::Of(Kind::Reduce)] "the maximum or minimum of equal numbers is the number", |s, out| {
        let Op::Reduce(r) = s.op() else { return };
        if s.ty(s.x()).shape.elements() == 0 {
            return;
        }
        if let (Some(number), Reduction::Max | Reduction::Min) = (s.uniform(s.x()), r.kind) {
            out.push(Rhs::full(s.own_ty(), number));
        }
    }
    Exact "broadcast-of-one" [Trigger::Of(Kind::Broadcast)] "a broadcast of one element is a broadcast of a scalar", |s, out| {
        let Op::Broadcast(b) = s.op() else { return };
        let from = s.ty(s.x());
        if from.rank() > 0 && from.shape.elements() == 1 {
            let scalar = Rhs::op(dlc_ir::op::Reshape { shape: dlc_ir::Shape::scalar() }, [s.x().into()]);
            out.push(Rhs::op(Broadcast { shape: b.shape.clone(), axes: vec![] }, [scalar]));
        }
    }
}
