//! Moves broadcasts towards the results, so that less is computed, and merges them.

use dlc_ir::op::{Broadcast, Reshape};
use dlc_ir::{Op, Shape};

use super::{Need, Rule, Trigger, hoist, rules};
use crate::egraph::graph::Rhs;
use crate::egraph::language::Kind;

rules! {
    Exact "broadcast-broadcast" [Trigger::Of(Kind::Broadcast)] "two broadcasts are one", |s, out| {
        let Op::Broadcast(outer) = s.op() else { return };
        for (op, args) in s.ops(s.x()) {
            if let Op::Broadcast(inner) = op {
                let axes = inner.axes.iter().map(|&a| outer.axes[a]).collect();
                out.push(Rhs::op(Broadcast { shape: outer.shape.clone(), axes }, [args[0].into()]));
            }
        }
    }
    Exact "broadcast-of-nothing" [Trigger::Of(Kind::Broadcast)] "a broadcast to the same shape is the identity", |s, out| {
        if s.own_ty().shape == s.ty(s.x()).shape {
            out.push(s.x().into());
        }
    }
    Exact "hoist-broadcast" [Trigger::AnyMap] "f(broadcast(x), broadcast(y)) = broadcast(f(x, y))", |s, out| {
        // only if that computes less
        let smaller = |small: &Shape| small.elements() < s.own_ty().shape.elements();
        hoist(s, out, |op, small| matches!(op, Op::Broadcast(_)) && smaller(small));
    }
    Exact "broadcast-without-units" [Trigger::Of(Kind::Broadcast)] "a broadcast need not keep axes of size 1", |s, out| {
        let Op::Broadcast(b) = s.op() else { return };
        let from = s.ty(s.x());
        if from.shape.elements() > 1 && from.shape.contains(&1) {
            let kept: Vec<usize> = (0..from.rank()).filter(|&a| from.shape[a] != 1).collect();
            let shape: Shape = kept.iter().map(|&a| from.shape[a]).collect();
            let axes = kept.iter().map(|&a| b.axes[a]).collect();
            let dropped = Rhs::op(Reshape { shape }, [s.x().into()]);
            out.push(Rhs::op(Broadcast { shape: b.shape.clone(), axes }, [dropped]));
        }
    }
    Exact "slice-of-broadcast" [Trigger::Of(Kind::Slice)] "a slice of a broadcast is a broadcast of a slice", |s, out| {
        let Op::Slice(slice) = s.op() else { return };
        for (op, args) in s.ops(s.x()) {
            let Op::Broadcast(b) = op else { continue };
            let pick = |list: &[usize]| b.axes.iter().map(|&a| list[a]).collect::<Vec<_>>();
            let inner = dlc_ir::op::Slice {
                start: pick(&slice.start),
                limit: pick(&slice.limit),
                stride: pick(&slice.stride),
            };
            let whole = s.ty(args[0]).shape == inner.limit.as_slice().into()
                && inner.start.iter().all(|&x| x == 0)
                && inner.stride.iter().all(|&x| x == 1);
            let x = if whole { args[0].into() } else { Rhs::op(inner, [args[0].into()]) };
            let axes = b.axes.clone();
            out.push(Rhs::op(Broadcast { shape: s.own_ty().shape.clone(), axes }, [x]));
        }
    }
}
