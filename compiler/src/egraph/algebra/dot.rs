//! Products: absorbed transposes, associativity, scales, merged products.

use dlc_ir::op::{Broadcast, Concat, Dot, Slice};
use dlc_ir::{Op, Scalar, ScalarOp as F};

use super::transpose::transposed;
use super::{Need, Rule, Trigger, is_moderate, map, rules};
use crate::egraph::facts::product;
use crate::egraph::graph::{Match, Rhs};
use crate::egraph::language::Kind;

/// The only contracted axis of each operand of a product of two matrices.
fn matrices(s: &Match<'_>, dot: &Dot, args: &[egg::Id]) -> Option<(usize, usize)> {
    let plain = dot.lhs.len() == 1 && dot.lhs_batch.is_empty();
    let two = s.ty(args[0]).rank() == 2 && s.ty(args[1]).rank() == 2;
    (plain && two).then(|| (dot.lhs[0], dot.rhs[0]))
}

fn matmul(l: impl Into<Rhs>, lhs: usize, r: impl Into<Rhs>, rhs: usize) -> Rhs {
    let dot = Dot { lhs: vec![lhs], rhs: vec![rhs], lhs_batch: vec![], rhs_batch: vec![] };
    Rhs::op(dot, [l.into(), r.into()])
}

/// `(a b) c` over axis `k` of the first product, whose operands are contracted along `axes`, as `a (b c)`, or as `b (a c)`.
fn right(args: &[egg::Id], axes: (usize, usize), k: usize, c: egg::Id, ck: usize) -> Rhs {
    let ((a, ak), (b, bk)) = ((args[0], axes.0), (args[1], axes.1));
    if k == 1 { matmul(a, ak, matmul(b, 1 - bk, c, ck), 0) } else { matmul(b, bk, matmul(a, 1 - ak, c, ck), 0) }
}

/// `a (b c)` over axis `k` of the second product as `(a b) c`, or as `(a c) b`.
fn left(a: egg::Id, ak: usize, args: &[egg::Id], axes: (usize, usize), k: usize) -> Rhs {
    let ((b, bk), (c, ck)) = ((args[0], axes.0), (args[1], axes.1));
    if k == 0 { matmul(matmul(a, ak, b, 1 - bk), 1, c, ck) } else { matmul(matmul(a, ak, c, 1 - ck), 1, b, bk) }
}

/// Whether the product of any element of one with any of the other is finite and normal, and so are their sums.
pub(super) fn scales(s: &Match<'_>, x: egg::Id, y: egg::Id) -> bool {
    let dtype = s.own_ty().dtype;
    s.is_fast() || !dtype.is_float() || {
        let product = product(s.facts(x), s.facts(y), false);
        // An upper bound of the number of terms.
        const TERMS: f64 = (1u64 << 32) as f64;
        product.is_normal(dtype) && product.magnitude() * TERMS <= f64::from(f32::MAX)
    }
}

rules! {
    Exact "dot-of-transpose" [Trigger::Of(Kind::Dot)] "a product absorbs the transpose of an operand", |s, out| {
        let Op::Dot(dot) = s.op() else { return };
        let (l, r) = s.xy();
        let batch = dot.lhs_batch.len();
        let rank = s.own_ty().rank();
        let left_free = s.ty(l).rank() - batch - dot.lhs.len();
        for side in [0, 1] {
            let (summed, batched, x) = if side == 0 { (&dot.lhs, &dot.lhs_batch, l) } else { (&dot.rhs, &dot.rhs_batch, r) };
            for (op, args) in s.ops(x) {
                let Op::Transpose(t) = op else { continue };
                let through = |axes: &[usize]| axes.iter().map(|&a| t.perm[a]).collect::<Vec<_>>();
                let free = through(&Dot::free(t.perm.len(), summed, batched));
                let mut sorted = free.clone();
                sorted.sort_unstable();
                let begin = batch + if side == 0 { 0 } else { left_free };
                let place = |axis: usize| match axis.checked_sub(begin).and_then(|i| free.get(i)) {
                    Some(f) => begin + sorted.iter().position(|x| x == f).expect("the same axes"),
                    None => axis,
                };
                let perm = (0..rank).map(place).collect();
                let mut inner = dot.clone();
                let new_args = if side == 0 {
                    (inner.lhs, inner.lhs_batch) = (through(summed), through(batched));
                    [args[0].into(), r.into()]
                } else {
                    (inner.rhs, inner.rhs_batch) = (through(summed), through(batched));
                    [l.into(), args[0].into()]
                };
                out.push(transposed(perm, Rhs::op(inner, new_args)));
            }
        }
    }
    Exact "transpose-of-dot" [Trigger::Of(Kind::Transpose)] "a transpose that exchanges the free axes of a product exchanges its operands", |s, out| {
        let Op::Transpose(t) = s.op() else { return };
        for (op, args) in s.ops(s.x()) {
            let Op::Dot(d) = op else { continue };
            let batch = d.lhs_batch.len();
            let left = s.ty(args[0]).rank() - batch - d.lhs.len();
            let rank = t.perm.len();
            let exchanged: Vec<usize> = (0..batch).chain(batch + left..rank).chain(batch..batch + left).collect();
            if t.perm == exchanged {
                let swapped = Dot {
                    lhs: d.rhs.clone(),
                    rhs: d.lhs.clone(),
                    lhs_batch: d.rhs_batch.clone(),
                    rhs_batch: d.lhs_batch.clone(),
                };
                out.push(Rhs::op(swapped, [args[1].into(), args[0].into()]));
            }
        }
    }
    Fast "dot-associate-right" [Trigger::Of(Kind::Dot)] "(x y) z = x (y z) of matrices", |s, out| {
        let Op::Dot(outer) = s.op() else { return };
        let Some((k, ck)) = matrices(s, outer, s.args()) else { return };
        let (l, c) = s.xy();
        for (op, args) in s.ops(l) {
            let Op::Dot(inner) = op else { continue };
            let Some((ak, bk)) = matrices(s, inner, args) else { continue };
            out.push(right(args, (ak, bk), k, c, ck));
        }
    }
    Weights "dot-of-weights" [Trigger::Of(Kind::Dot)] "(x v) w = x (v w) and v (w x) = (v w) x of matrices, where v and w are weights", |s, out| {
        let Op::Dot(outer) = s.op() else { return };
        let Some((k, ck)) = matrices(s, outer, s.args()) else { return };
        let (l, r) = s.xy();
        for (op, args) in s.ops(l).filter(|_| s.weight_only(r) && !s.weight_only(l)) {
            let Op::Dot(inner) = op else { continue };
            let Some(axes) = matrices(s, inner, args) else { continue };
            let other = usize::from(k == 1);
            if s.weight_only(args[other]) {
                out.push(right(args, axes, k, r, ck));
            }
        }
        for (op, args) in s.ops(r).filter(|_| s.weight_only(l) && !s.weight_only(r)) {
            let Op::Dot(inner) = op else { continue };
            let Some(axes) = matrices(s, inner, args) else { continue };
            let other = usize::from(ck == 1);
            if s.weight_only(args[other]) {
                out.push(left(l, k, args, axes, ck));
            }
        }
    }
    Fast "dot-associate-left" [Trigger::Of(Kind::Dot)] "x (y z) = (x y) z of matrices", |s, out| {
        let Op::Dot(outer) = s.op() else { return };
        let Some((ak, k)) = matrices(s, outer, s.args()) else { return };
        let (a, r) = s.xy();
        for (op, args) in s.ops(r) {
            let Op::Dot(inner) = op else { continue };
            let Some((bk, ck)) = matrices(s, inner, args) else { continue };
            out.push(left(a, ak, args, (bk, ck), k));
        }
    }
    Safe "scale-out-of-dot" [Trigger::Of(Kind::Dot)] "(x * c) y = (x y) * c, where x * c and the products neither overflow nor underflow", |s, out| {
        let (l, r) = s.xy();
        for (x, left) in [(l, true), (r, false)] {
            for product in s.maps(x, F::Mul) {
                let kept = || s.is_normal(x) && s.is_normal(s.class) && scales(s, product[0], if left { r } else { l });
                if let Some(c) = s.uniform(product[1]).filter(|&c| is_moderate(c) && kept()) {
                    let args = if left { [product[0].into(), r.into()] } else { [l.into(), product[0].into()] };
                    let dot = Rhs::Op(s.op().clone(), args.into());
                    out.push(Rhs::binary(F::Mul, dot, Rhs::full(s.own_ty(), c)));
                }
            }
        }
    }
    Safe "dot-of-zero" [Trigger::Of(Kind::Dot), Trigger::Of(Kind::Conv)] "a product of zeros with finite numbers is zero", |s, out| {
        let (l, r) = s.xy();
        if (s.is(l, 0.0) && s.is_finite(r)) || (s.is(r, 0.0) && s.is_finite(l)) {
            out.push(Rhs::full(s.own_ty(), Scalar::Int(0).convert(s.own_ty().dtype)));
        }
    }
    Weights "scale-into-weights" [map(F::Mul)] "(x w) * broadcast(c) = x (w * broadcast(c)), where w and c are weights", |s, out| {
        for (product, scale) in s.both() {
            for (op, source) in s.ops(scale) {
                let Op::Broadcast(b) = op else { continue };
                if !s.weight_only(source[0]) || b.axes.as_slice() != [s.own_ty().rank().wrapping_sub(1)] {
                    continue;
                }
                for (op, args) in s.ops(product) {
                    let Op::Dot(d) = op else { continue };
                    let w = args[1];
                    let free = Dot::free(s.ty(w).rank(), &d.rhs, &d.rhs_batch);
                    if s.weight_only(w) && free.len() == 1 {
                        let wide = Broadcast { shape: s.ty(w).shape.clone(), axes: free };
                        let scaled = Rhs::binary(F::Mul, w, Rhs::op(wide, [source[0].into()]));
                        out.push(Rhs::op(d.clone(), [args[0].into(), scaled]));
                    }
                }
            }
        }
    }
    Exact "merge-dots" [Trigger::Of(Kind::Dot)] "products of one tensor with several weights are one product with the concatenated weights", |s, out| {
        let Op::Dot(dot) = s.op() else { return };
        let (x, w) = s.xy();
        let mergeable = |args: &[egg::Id]| {
            s.same(args[0], x)
                && s.weight_only(args[1])
                && s.ty(args[1]).rank() == 2
                && !s.ops(args[1]).any(|(op, _)| matches!(op, Op::Concat(_)))
        };
        if !mergeable(s.args()) || dot.rhs.len() != 1 || !dot.rhs_batch.is_empty() {
            return;
        }
        let mut parts: Vec<(egg::Id, egg::Id)> = s
            .users(x)
            .filter(|(_, op, args)| *op == s.op() && mergeable(args))
            .map(|(class, _, args)| (class, args[1]))
            .collect();
        parts.sort_unstable();
        parts.dedup_by_key(|(class, _)| *class);
        if parts.len() < 2 {
            return;
        }
        let axis = 1 - dot.rhs[0];
        let width = |w: egg::Id| s.ty(w).shape[axis];
        let before: usize = parts.iter().take_while(|(class, _)| !s.same(*class, s.class)).map(|&(_, w)| width(w)).sum();
        let merged = Rhs::op(Concat { axis }, parts.iter().map(|&(_, w)| w.into()));
        let product = Rhs::op(dot.clone(), [x.into(), merged]);
        let last = s.own_ty().rank() - 1;
        let mut limit = s.own_ty().shape.to_vec();
        let mut start = vec![0; limit.len()];
        start[last] = before;
        limit[last] = before + width(w);
        let stride = vec![1; limit.len()];
        out.push(Rhs::op(Slice { start, limit, stride }, [product]));
    }
}
