//! Moves transposes into each other and through scalar functions, broadcasts and reductions.

use dlc_ir::Op;
use dlc_ir::op::{Broadcast, Reduce, Transpose};

use super::{Need, Rule, Trigger, hoist, rules};
use crate::egraph::graph::Rhs;
use crate::egraph::language::Kind;

/// A transpose of a term, unless it is the identity.
pub(super) fn transposed(perm: Vec<usize>, x: Rhs) -> Rhs {
    if perm.is_sorted() { x } else { Rhs::op(Transpose { perm }, [x]) }
}

rules! {
    Exact "transpose-transpose" [Trigger::Of(Kind::Transpose)] "two transposes are one, or the identity", |s, out| {
        let Op::Transpose(outer) = s.op() else { return };
        for (op, args) in s.ops(s.x()) {
            if let Op::Transpose(inner) = op {
                let perm = outer.perm.iter().map(|&a| inner.perm[a]).collect();
                out.push(transposed(perm, args[0].into()));
            }
        }
    }
    Exact "transpose-of-broadcast" [Trigger::Of(Kind::Transpose)] "a transpose of a broadcast is a broadcast", |s, out| {
        let Op::Transpose(t) = s.op() else { return };
        for (op, args) in s.ops(s.x()) {
            let Op::Broadcast(b) = op else { continue };
            // Where each axis of the small tensor goes.
            let at: Vec<usize> =
                b.axes.iter().map(|a| t.perm.iter().position(|p| p == a).expect("a permutation has all axes")).collect();
            let mut perm: Vec<usize> = (0..at.len()).collect();
            perm.sort_by_key(|&i| at[i]);
            let axes = perm.iter().map(|&i| at[i]).collect();
            let shape = s.own_ty().shape.clone();
            out.push(Rhs::op(Broadcast { shape, axes }, [transposed(perm, args[0].into())]));
        }
    }
    Exact "hoist-transpose" [Trigger::AnyMap] "f(transpose(x), transpose(y)) = transpose(f(x, y))", |s, out| {
        hoist(s, out, |op, _| matches!(op, Op::Transpose(_)));
    }
    Exact "sink-transpose" [Trigger::Of(Kind::Transpose)] "transpose(f(x)) = f(transpose(x))", |s, out| {
        for (op, args) in s.ops(s.x()) {
            if let (Op::Map(f), &[x]) = (op, args) {
                out.push(Rhs::unary(*f, Rhs::Op(s.op().clone(), vec![x.into()])));
            }
        }
    }
    Safe "reduce-of-transpose" [Trigger::Of(Kind::Reduce)] "a reduction of a transpose is a transpose of a reduction", |s, out| {
        let Op::Reduce(r) = s.op() else { return };
        if r.kind.is_arg() {
            return;
        }
        for (op, args) in s.ops(s.x()) {
            let Op::Transpose(t) = op else { continue };
            let mut axes: Vec<usize> = r.axes.iter().map(|&a| t.perm[a]).collect();
            axes.sort_unstable();
            let kept = |list: &[usize]| list.iter().copied().filter(|a| !axes.contains(a)).collect::<Vec<_>>();
            let before = kept(&(0..t.perm.len()).collect::<Vec<_>>());
            let after = kept(&t.perm);
            let perm = after.iter().map(|a| before.iter().position(|b| b == a).expect("the same axes")).collect();
            let reduced = Rhs::op(Reduce { kind: r.kind, axes: axes.clone() }, [args[0].into()]);
            out.push(transposed(perm, reduced));
        }
    }
}
