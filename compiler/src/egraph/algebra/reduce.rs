//! Reductions: of each other, of broadcasts, of products.

use dlc_ir::op::{Broadcast, Dot, Reduce, Reduction};
use dlc_ir::{Op, Scalar, ScalarOp as F, Shape};

use super::transpose::transposed;
use super::{Need, Rule, Trigger, is_moderate, map, rules};
use crate::egraph::graph::Rhs;
use crate::egraph::language::Kind;

/// The positions of the parallel axes in the result of a reduction.
fn position_after(axes: &[usize], axis: usize) -> usize {
    axis - axes.iter().filter(|&&a| a < axis).count()
}

rules! {
    Safe "reduce-reduce" [Trigger::Of(Kind::Reduce)] "two reductions of one kind are one; products of integers only", |s, out| {
        let Op::Reduce(outer) = s.op() else { return };
        for (op, args) in s.ops(s.x()) {
            let Op::Reduce(inner) = op else { continue };
            if inner.kind != outer.kind || inner.kind.is_arg() {
                continue;
            }
            // Reordering a product of floats may overflow or underflow where the original did not.
            if inner.kind == Reduction::Product && s.own_ty().dtype.is_float() && !s.is_fast() {
                continue;
            }
            let kept: Vec<usize> = (0..s.ty(args[0]).rank()).filter(|a| !inner.axes.contains(a)).collect();
            let mut axes: Vec<usize> = outer.axes.iter().map(|&a| kept[a]).chain(inner.axes.iter().copied()).collect();
            axes.sort_unstable();
            out.push(Rhs::op(Reduce { kind: inner.kind, axes }, [args[0].into()]));
        }
    }
    Safe "reduce-of-broadcast" [Trigger::Of(Kind::Reduce)] "broadcast axes are not reduced: a sum multiplies by their size", |s, out| {
        let Op::Reduce(r) = s.op() else { return };
        if !matches!(r.kind, Reduction::Sum | Reduction::Max | Reduction::Min) {
            return;
        }
        for (op, args) in s.ops(s.x()) {
            let Op::Broadcast(b) = op else { continue };
            let repeated: Vec<usize> = r.axes.iter().copied().filter(|a| !b.axes.contains(a)).collect();
            if repeated.is_empty() || b.shape.elements() == 0 {
                continue;
            }
            let inner: Vec<usize> = (0..b.axes.len()).filter(|&i| r.axes.contains(&b.axes[i])).collect();
            let mut term = Rhs::from(args[0]);
            let kept: Vec<usize> = (0..b.axes.len()).filter(|i| !inner.contains(i)).collect();
            if !inner.is_empty() {
                term = Rhs::op(Reduce { kind: r.kind, axes: inner }, [term]);
            }
            let ty = s.ty(args[0]).with_shape(kept.iter().map(|&i| s.ty(args[0]).shape[i]).collect::<Vec<_>>());
            if r.kind == Reduction::Sum {
                let count: usize = repeated.iter().map(|&a| b.shape[a]).product();
                let count = if ty.dtype.is_float() { Scalar::Float(count as f64) } else { Scalar::Int(count as i64) };
                term = Rhs::binary(F::Mul, term, Rhs::full(&ty, count));
            }
            let axes: Vec<usize> = kept.iter().map(|&i| position_after(&r.axes, b.axes[i])).collect();
            let shape = s.own_ty().shape.clone();
            out.push(if ty.shape == shape { term } else { Rhs::op(Broadcast { shape, axes }, [term]) });
        }
    }
    Safe "reduce-of-reshape" [Trigger::Of(Kind::Reduce)] "a reduction to a scalar ignores a reshape", |s, out| {
        let Op::Reduce(r) = s.op() else { return };
        if r.kind.is_arg() || s.own_ty().rank() > 0 {
            return;
        }
        for (op, args) in s.ops(s.x()) {
            if matches!(op, Op::Reshape(_)) {
                let axes: Vec<usize> = (0..s.ty(args[0]).rank()).collect();
                let reduced = Rhs::op(Reduce { kind: r.kind, axes: axes.clone() }, [args[0].into()]);
                out.push(if axes.is_empty() { args[0].into() } else { reduced });
            }
        }
    }
    Safe "scale-out-of-sum" [Trigger::Of(Kind::Reduce)] "sum(x * c) = sum(x) * c, where the sums of all magnitudes are finite", |s, out| {
        let Op::Reduce(Reduce { kind: Reduction::Sum, axes }) = s.op() else { return };
        let count: usize = axes.iter().map(|&a| s.ty(s.x()).shape[a]).product();
        for product in s.maps(s.x(), F::Mul) {
            let bounded = || [product[0], s.x()].into_iter().all(|id| s.is_below(id, count as f64));
            if let Some(c) = s.uniform(product[1]).filter(|&c| is_moderate(c) && bounded()) {
                let sum = Rhs::Op(s.op().clone(), vec![product[0].into()]);
                out.push(Rhs::binary(F::Mul, sum, Rhs::full(s.own_ty(), c)));
            }
        }
    }
    Safe "neg-out-of-sum" [Trigger::Of(Kind::Reduce)] "sum(-x) = -sum(x), up to the sign of zero", |s, out| {
        let Op::Reduce(Reduce { kind: Reduction::Sum, .. }) = s.op() else { return };
        for inner in s.maps(s.x(), F::Neg) {
            out.push(Rhs::unary(F::Neg, Rhs::Op(s.op().clone(), vec![inner[0].into()])));
        }
    }
    Safe "sum-of-sums" [map(F::Add), map(F::Sub)] "sum(x) + sum(y) = sum(x + y) over the same axes", |s, out| {
        let (x, y) = s.xy();
        let Op::Map(f) = *s.op() else { return };
        for (op, a) in s.ops(x) {
            let Op::Reduce(r) = op else { continue };
            for (_, b) in s.ops(y).filter(|(other, _)| *other == op) {
                if r.kind == Reduction::Sum && s.ty(a[0]) == s.ty(b[0]) {
                    out.push(Rhs::op(r.clone(), [Rhs::binary(f, a[0], b[0])]));
                }
            }
        }
    }
    Safe "factor-out-of-sum" [Trigger::Of(Kind::Reduce)] "sum(x * broadcast(y)) = sum(x) * y, where y is constant along the sum and the sums of all magnitudes are finite", |s, out| {
        let Op::Reduce(r) = s.op() else { return };
        if r.kind != Reduction::Sum {
            return;
        }
        let count: usize = r.axes.iter().map(|&a| s.ty(s.x()).shape[a]).product();
        for product in s.maps(s.x(), F::Mul) {
            for (x, y) in [(0, 1), (1, 0)] {
                if ![s.x(), product[x], product[y]].into_iter().all(|id| s.is_below(id, count as f64)) {
                    continue;
                }
                for (op, source) in s.ops(product[y]) {
                    let Op::Broadcast(b) = op else { continue };
                    if b.axes.is_empty() || b.axes.iter().any(|a| r.axes.contains(a)) {
                        continue;
                    }
                    let sum = Rhs::op(r.clone(), [product[x].into()]);
                    let shape = s.own_ty().shape.clone();
                    let axes: Vec<usize> = b.axes.iter().map(|&a| position_after(&r.axes, a)).collect();
                    let same = s.ty(source[0]).shape == shape;
                    let factor =
                        if same { source[0].into() } else { Rhs::op(Broadcast { shape, axes }, [source[0].into()]) };
                    out.push(Rhs::binary(F::Mul, sum, factor));
                }
            }
        }
    }
    Safe "sum-of-products-is-dot" [Trigger::Of(Kind::Reduce)] "sum(broadcast(x) * broadcast(y)) is a dot", |s, out| {
        let Op::Reduce(r) = s.op() else { return };
        if r.kind != Reduction::Sum {
            return;
        }
        for product in s.maps(s.x(), F::Mul) {
            for (op, x) in s.ops(product[0]) {
                let Op::Broadcast(a) = op else { continue };
                for (op, y) in s.ops(product[1]) {
                    let Op::Broadcast(b) = op else { continue };
                    let Some(term) = dot_of(a, b, &r.axes, &s.own_ty().shape) else { continue };
                    let (dot, perm) = term;
                    out.push(transposed(perm, Rhs::op(dot, [x[0].into(), y[0].into()])));
                }
            }
        }
    }
}

/// The dot of two broadcasts whose product is summed, and the permutation of its result; `None` if it is not a proper product.
fn dot_of(a: &Broadcast, b: &Broadcast, summed: &[usize], result: &Shape) -> Option<(Dot, Vec<usize>)> {
    let rank = a.shape.rank();
    let (mut dot, mut batch, mut left, mut right) =
        (Dot { lhs: vec![], rhs: vec![], lhs_batch: vec![], rhs_batch: vec![] }, vec![], vec![], vec![]);
    for axis in 0..rank {
        let (in_a, in_b) = (a.axes.iter().position(|&x| x == axis), b.axes.iter().position(|&x| x == axis));
        match (in_a, in_b, summed.contains(&axis)) {
            (Some(i), Some(j), true) => {
                dot.lhs.push(i);
                dot.rhs.push(j);
            }
            (Some(i), Some(j), false) => {
                dot.lhs_batch.push(i);
                dot.rhs_batch.push(j);
                batch.push(axis);
            }
            (Some(_), None, false) => left.push(axis),
            (None, Some(_), false) => right.push(axis),
            _ => return None,
        }
    }
    if dot.lhs.is_empty() || left.is_empty() || right.is_empty() {
        return None;
    }
    let order: Vec<usize> = batch.into_iter().chain(left).chain(right).collect();
    let kept: Vec<usize> = (0..rank).filter(|axis| !summed.contains(axis)).collect();
    debug_assert_eq!(kept.len(), result.rank());
    let perm = kept.iter().map(|axis| order.iter().position(|x| x == axis)).collect::<Option<Vec<_>>>()?;
    Some((dot, perm))
}
