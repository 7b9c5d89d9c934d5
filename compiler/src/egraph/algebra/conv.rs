//! Convolutions, and folding of batch norm and other weights into them.

use dlc_ir::op::{Broadcast, Dot, Reshape};
use dlc_ir::{Op, Scalar, ScalarOp as F};

use super::dot::scales;
use super::{Need, Rule, Trigger, is_moderate, map, rules};
use crate::egraph::graph::{Match, Rhs};
use crate::egraph::language::Kind;

/// Whether a value is a product with weights, possibly plus or times weights: an exact quotient of it is not expected.
fn of_product(s: &Match<'_>, x: egg::Id) -> bool {
    let is_product = |id: egg::Id| s.ops(id).any(|(op, _)| matches!(op, Op::Conv(_) | Op::Dot(_)));
    let beside_weight = |(op, args): (&Op, &[egg::Id])| match (op, args) {
        (Op::Map(F::Add | F::Sub | F::Mul), &[a, b]) => {
            (is_product(a) && s.weight_only(b)) || (is_product(b) && s.weight_only(a))
        }
        _ => false,
    };
    s.is_fast() || is_product(x) || s.ops(x).any(beside_weight)
}

rules! {
    Weights "scale-into-kernel" [map(F::Mul)] "conv(x, w) * broadcast(c) = conv(x, w * broadcast(c)), where w and c are weights", |s, out| {
        for (product, scale) in s.both() {
            for (op, source) in s.ops(scale) {
                let Op::Broadcast(b) = op else { continue };
                if b.axes != [1] || !s.weight_only(source[0]) {
                    continue;
                }
                for (op, args) in s.ops(product) {
                    let Op::Conv(c) = op else { continue };
                    if s.weight_only(args[1]) {
                        let wide = Broadcast { shape: s.ty(args[1]).shape.clone(), axes: vec![0] };
                        let scaled = Rhs::binary(F::Mul, args[1], Rhs::op(wide, [source[0].into()]));
                        out.push(Rhs::op(c.clone(), [args[0].into(), scaled]));
                    }
                }
            }
        }
    }
    Weights "distribute-over-weights" [map(F::Mul)] "(x + b) * c = x * c + b * c, where x is a product and b and c are weights", |s, out| {
        for (sum, c) in s.both() {
            if !s.weight_only(c) || s.weight_only(sum) {
                continue;
            }
            for f in [F::Add, F::Sub] {
                for terms in s.maps(sum, f).filter(|t| s.weight_only(t[0]) != s.weight_only(t[1])) {
                    // If x and b cancel, this loses digits of x; those of a product were rounded off already.
                    let x = terms[usize::from(s.weight_only(terms[0]))];
                    if !s.ops(x).any(|(op, _)| matches!(op, Op::Conv(_) | Op::Dot(_))) {
                        continue;
                    }
                    let times = |x: egg::Id| Rhs::binary(F::Mul, x, c);
                    out.push(Rhs::binary(f, times(terms[0]), times(terms[1])));
                }
            }
        }
    }
    Weights "divide-by-weights" [map(F::Div)] "x / c = x * (1 / c), where c is a weight and x is a product with weights, or one plus or times weights", |s, out| {
        let (x, c) = s.xy();
        if s.weight_only(c) && !s.weight_only(x) && s.own_ty().dtype.is_float() && s.uniform(c).is_none() && of_product(s, x) {
            let one = Rhs::full(s.own_ty(), Scalar::Float(1.0));
            out.push(Rhs::binary(F::Mul, x, Rhs::binary(F::Div, one, c)));
        }
    }
    Weights "multiply-weights" [map(F::Mul)] "(x * b) * c = x * (b * c), where b and c are weights", |s, out| {
        for (product, c) in s.both() {
            if !s.weight_only(c) || s.weight_only(product) {
                continue;
            }
            for inner in s.maps(product, F::Mul) {
                for (x, b) in [(0, 1), (1, 0)] {
                    // Constants are handled by `mul-constants`, which checks that their product is representable.
                    let known = s.uniform(inner[b]).is_some() && s.uniform(c).is_some();
                    if s.weight_only(inner[b]) && !s.weight_only(inner[x]) && !known {
                        out.push(Rhs::binary(F::Mul, inner[x], Rhs::binary(F::Mul, inner[b], c)));
                    }
                }
            }
        }
    }
    Weights "add-weights" [map(F::Add), map(F::Sub)] "(x + b) + c = x + (b + c), where b and c are weights, and the same with minus", |s, out| {
        let (sum, c) = s.xy();
        let Op::Map(outer) = *s.op() else { return };
        if !s.weight_only(c) || s.weight_only(sum) {
            return;
        }
        // Constants are handled by `add-constants`, which checks that their sum is representable.
        let known = |b| s.uniform(b).is_some() && s.uniform(c).is_some();
        let weight = |i: &&[egg::Id]| s.weight_only(i[1]) && !s.weight_only(i[0]) && !known(i[1]);
        for inner in s.maps(sum, F::Add).filter(weight) {
            out.push(Rhs::binary(F::Add, inner[0], Rhs::binary(outer, inner[1], c)));
        }
        for inner in s.maps(sum, F::Sub).filter(weight) {
            // (x - b) + c = x - (b - c);  (x - b) - c = x - (b + c)
            let opposite = if outer == F::Add { F::Sub } else { F::Add };
            out.push(Rhs::binary(F::Sub, inner[0], Rhs::binary(opposite, inner[1], c)));
        }
    }
    Safe "pad-into-conv" [Trigger::Of(Kind::Conv)] "zeros around the input are padding of the convolution, where the weights are finite", |s, out| {
        let Op::Conv(c) = s.op() else { return };
        let (x, w) = s.xy();
        for (op, args) in s.ops(x).filter(|_| s.is_finite(w)) {
            let Op::Pad(p) = op else { continue };
            // Elements that are cut off are not what padding would add back.
            let adds = |cut: i64, padding: i64| cut >= 0 || padding <= 0;
            let fits = s.is(args[1], 0.0)
                && p.interior.iter().all(|&i| i == 0)
                && p.low[..2] == [0, 0]
                && p.high[..2] == [0, 0]
                && p.low[2..].iter().zip(&c.low).chain(p.high[2..].iter().zip(&c.high)).all(|(&p, &c)| adds(p, c))
                && c.x_dilation.iter().all(|&d| d == 1);
            if fits {
                let mut padded = c.clone();
                for i in 0..padded.low.len() {
                    padded.low[i] += p.low[i + 2];
                    padded.high[i] += p.high[i + 2];
                }
                out.push(Rhs::op(padded, [args[0].into(), w.into()]));
            }
        }
    }
    Safe "scale-out-of-conv" [Trigger::Of(Kind::Conv)] "conv(x * c, w) = conv(x, w) * c, where x * c and the products neither overflow nor underflow", |s, out| {
        let (x, w) = s.xy();
        for product in s.maps(x, F::Mul) {
            let kept = || s.is_normal(x) && s.is_normal(s.class) && scales(s, product[0], w);
            if let Some(c) = s.uniform(product[1]).filter(|&c| is_moderate(c) && kept()) {
                let conv = Rhs::Op(s.op().clone(), vec![product[0].into(), w.into()]);
                out.push(Rhs::binary(F::Mul, conv, Rhs::full(s.own_ty(), c)));
            }
        }
    }
    Safe "conv-of-one-position" [Trigger::Of(Kind::Conv)] "a convolution with one position is a matrix product", |s, out| {
        let Op::Conv(c) = s.op() else { return };
        let (x, w) = s.xy();
        let (input, kernel) = (s.ty(x), s.ty(w));
        let whole = input.shape[1..] == kernel.shape[1..]
            && c.low.iter().chain(&c.high).all(|&p| p == 0)
            && c.x_dilation.iter().chain(&c.kernel_dilation).all(|&d| d == 1)
            && c.feature_groups == 1
            && c.batch_groups == 1;
        if whole {
            let flat = |id: egg::Id| {
                let shape = &s.ty(id).shape;
                let sizes = [shape[0], shape[1..].iter().product()];
                if shape.rank() == 2 { id.into() } else { Rhs::op(Reshape { shape: sizes.into() }, [id.into()]) }
            };
            let dot = Dot { lhs: vec![1], rhs: vec![1], lhs_batch: vec![], rhs_batch: vec![] };
            let product = Rhs::op(dot, [flat(x), flat(w)]);
            let shape = s.own_ty().shape.clone();
            out.push(if shape.rank() == 2 { product } else { Rhs::op(Reshape { shape }, [product]) });
        }
    }
}
