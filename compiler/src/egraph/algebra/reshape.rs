//! Reshapes, slices, padding, concatenation, reversal.

use dlc_ir::op::{Broadcast, Concat, Slice};
use dlc_ir::{Op, Shape};
use egg::Id;

use super::{Need, Rule, Trigger, hoist, rules};
use crate::egraph::graph::Rhs;
use crate::egraph::language::Kind;

/// The axes of a size other than 1.
fn long_axes(shape: &Shape) -> Vec<usize> {
    (0..shape.rank()).filter(|&a| shape[a] != 1).collect()
}

rules! {
    Exact "reshape-reshape" [Trigger::Of(Kind::Reshape)] "two reshapes are one", |s, out| {
        for (op, args) in s.ops(s.x()) {
            if matches!(op, Op::Reshape(_)) {
                out.push(Rhs::Op(s.op().clone(), vec![args[0].into()]));
            }
        }
    }
    Exact "reshape-of-nothing" [Trigger::Of(Kind::Reshape)] "a reshape to the same shape is the identity", |s, out| {
        if s.own_ty().shape == s.ty(s.x()).shape {
            out.push(s.x().into());
        }
    }
    Exact "hoist-reshape" [Trigger::AnyMap] "f(reshape(x), reshape(y)) = reshape(f(x, y))", |s, out| {
        hoist(s, out, |op, _| matches!(op, Op::Reshape(_)));
    }
    Exact "reshape-of-broadcast" [Trigger::Of(Kind::Reshape)] "a reshape that adds axes of size 1 merges with a broadcast", |s, out| {
        let (before, after) = (long_axes(&s.ty(s.x()).shape), long_axes(&s.own_ty().shape));
        let same_sizes = before.len() == after.len()
            && before.iter().zip(&after).all(|(&a, &b)| s.ty(s.x()).shape[a] == s.own_ty().shape[b]);
        if !same_sizes {
            return;
        }
        for (op, args) in s.ops(s.x()) {
            let Op::Broadcast(b) = op else { continue };
            let axes: Option<Vec<usize>> =
                b.axes.iter().map(|a| before.iter().position(|x| x == a).map(|i| after[i])).collect();
            if let Some(axes) = axes {
                out.push(Rhs::op(Broadcast { shape: s.own_ty().shape.clone(), axes }, [args[0].into()]));
            }
        }
    }
    Exact "slice-slice" [Trigger::Of(Kind::Slice)] "two slices are one", |s, out| {
        let Op::Slice(outer) = s.op() else { return };
        for (op, args) in s.ops(s.x()) {
            let Op::Slice(inner) = op else { continue };
            let rank = outer.start.len();
            let start: Vec<usize> = (0..rank).map(|a| inner.start[a] + outer.start[a] * inner.stride[a]).collect();
            let shape = &s.own_ty().shape;
            // The stride of a single element is irrelevant; as a product it would grow from one iteration to the next.
            let step = |a: usize| if shape[a] <= 1 { 1 } else { inner.stride[a] * outer.stride[a] };
            let stride: Vec<usize> = (0..rank).map(step).collect();
            let last = |a: usize| if shape[a] == 0 { 0 } else { (shape[a] - 1) * stride[a] + 1 };
            let limit = (0..rank).map(|a| start[a] + last(a)).collect();
            out.push(Rhs::op(Slice { start, limit, stride }, [args[0].into()]));
        }
    }
    Exact "slice-of-concat" [Trigger::Of(Kind::Slice)] "a slice of one part of a concatenation is a slice of the part", |s, out| {
        let Op::Slice(slice) = s.op() else { return };
        for (op, args) in s.ops(s.x()) {
            let Op::Concat(c) = op else { continue };
            let mut begin = 0;
            for &part in args {
                let end = begin + s.ty(part).shape[c.axis];
                if begin <= slice.start[c.axis] && slice.limit[c.axis] <= end {
                    let mut inner = slice.clone();
                    inner.start[c.axis] -= begin;
                    inner.limit[c.axis] -= begin;
                    let whole = s.ty(part) == s.own_ty();
                    out.push(if whole { part.into() } else { Rhs::op(inner, [part.into()]) });
                }
                begin = end;
            }
        }
    }
    Exact "slice-of-pad" [Trigger::Of(Kind::Slice)] "a slice that removes padding is a slice of the operand", |s, out| {
        let Op::Slice(slice) = s.op() else { return };
        for (op, args) in s.ops(s.x()) {
            let Op::Pad(p) = op else { continue };
            let undoes = (0..slice.start.len()).all(|a| {
                p.interior[a] == 0
                    && slice.stride[a] == 1
                    && p.low[a] >= 0
                    && slice.start[a] as i64 == p.low[a]
                    && slice.limit[a] == slice.start[a] + s.ty(args[0]).shape[a]
            });
            if undoes {
                out.push(args[0].into());
            }
        }
    }
    Exact "concat-concat" [Trigger::Of(Kind::Concat)] "a concatenation of concatenations is one", |s, out| {
        let Op::Concat(outer) = s.op() else { return };
        // Beside parts of length 0 a concatenation may be a part of itself, and would grow without end.
        let are_long = |parts: &[Id]| parts.iter().all(|&part| s.ty(part).shape[outer.axis] > 0);
        for (i, &part) in s.args().iter().enumerate() {
            for (op, inner) in s.ops(part) {
                if op == &Op::Concat(Concat { axis: outer.axis }) && are_long(inner) && are_long(s.args()) {
                    let flat = s.args()[..i].iter().chain(inner).chain(&s.args()[i + 1..]);
                    out.push(Rhs::op(outer.clone(), flat.map(|&id| id.into())));
                }
            }
        }
    }
    Exact "concat-of-slices" [Trigger::Of(Kind::Concat)] "two neighbouring slices of one tensor are one slice", |s, out| {
        let Op::Concat(c) = s.op() else { return };
        let &[left, right] = s.args() else { return };
        for (op, from) in s.ops(left) {
            let Op::Slice(a) = op else { continue };
            for (op, other) in s.ops(right) {
                let Op::Slice(b) = op else { continue };
                let beside = s.same(from[0], other[0])
                    && a.stride.iter().chain(&b.stride).all(|&x| x == 1)
                    && a.limit[c.axis] == b.start[c.axis]
                    && (0..a.start.len()).all(|x| x == c.axis || (a.start[x], a.limit[x]) == (b.start[x], b.limit[x]));
                if beside {
                    let mut joined = a.clone();
                    joined.limit[c.axis] = b.limit[c.axis];
                    let whole = s.ty(from[0]) == s.own_ty();
                    out.push(if whole { from[0].into() } else { Rhs::op(joined, [from[0].into()]) });
                }
            }
        }
    }
    Exact "reverse-reverse" [Trigger::Of(Kind::Reverse)] "reversing twice is the identity", |s, out| {
        for (op, args) in s.ops(s.x()) {
            if op == s.op() {
                out.push(args[0].into());
            }
        }
    }
}
