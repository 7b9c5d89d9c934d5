//! Sums, products and their inverses.

use dlc_ir::{Op, Scalar, ScalarOp as F};

use super::{Need, Rule, is_finite, is_moderate, is_normal, map, number, rules};
use crate::egraph::graph::{Match, Rhs};

/// Whether division by the number is exactly multiplication by its inverse: powers of two.
fn exact_inverse(x: f64) -> bool {
    x.is_normal() && x.abs() >= 1e-30 && x.abs() <= 1e30 && x.to_bits() & ((1 << 52) - 1) == 0
}

fn float(s: &Match<'_>) -> bool {
    s.own_ty().dtype.is_float()
}

rules! {
    Safe "add-zero" [map(F::Add)] "x + 0 = x", |s, out| {
        let (x, y) = s.xy();
        if s.is(y, 0.0) {
            out.push(x.into());
        } else if s.is(x, 0.0) {
            out.push(y.into());
        }
    }
    Exact "sub-zero" [map(F::Sub)] "x - 0 = x", |s, out| {
        let (x, y) = s.xy();
        if s.uniform(y).is_some_and(|u| u.same_bits(Scalar::Float(0.0)) || u == Scalar::Int(0)) {
            out.push(x.into());
        }
    }
    Safe "zero-sub" [map(F::Sub)] "0 - x = -x", |s, out| {
        let (x, y) = s.xy();
        if s.is(x, 0.0) {
            out.push(Rhs::unary(F::Neg, y));
        }
    }
    Safe "sub-self" [map(F::Sub)] "x - x = 0, where x is finite", |s, out| {
        let (x, y) = s.xy();
        if s.same(x, y) && s.is_finite(x) {
            out.push(number(s, 0.0));
        }
    }
    Exact "mul-one" [map(F::Mul)] "x * 1 = x", |s, out| {
        for (x, y) in s.both() {
            if s.is(y, 1.0) {
                out.push(x.into());
            }
        }
    }
    Exact "div-one" [map(F::Div)] "x / 1 = x", |s, out| {
        let (x, y) = s.xy();
        if s.is(y, 1.0) {
            out.push(x.into());
        }
    }
    Safe "mul-zero" [map(F::Mul)] "x * 0 = 0, where x is finite", |s, out| {
        for (x, y) in s.both() {
            if s.is(y, 0.0) && s.is_finite(x) {
                out.push(number(s, 0.0));
            }
        }
    }
    Safe "zero-div" [map(F::Div)] "0 / x = 0, where x is neither 0 nor NaN", |s, out| {
        let (x, y) = s.xy();
        // An integer by zero is zero.
        if s.is(x, 0.0) && (!float(s) || s.is_nonzero(y)) {
            out.push(number(s, 0.0));
        }
    }
    Safe "div-self" [map(F::Div)] "x / x = 1 of floats, where x is finite and not 0", |s, out| {
        let (x, y) = s.xy();
        if float(s) && s.same(x, y) && s.is_finite(x) && s.is_nonzero(x) {
            out.push(number(s, 1.0));
        }
    }
    Exact "mul-minus-one" [map(F::Mul)] "x * -1 = -x", |s, out| {
        for (x, y) in s.both() {
            if s.is(y, -1.0) {
                out.push(Rhs::unary(F::Neg, x));
            }
        }
    }
    Exact "neg-neg" [map(F::Neg)] "-(-x) = x", |s, out| {
        for inner in s.maps(s.x(), F::Neg) {
            out.push(inner[0].into());
        }
    }
    Safe "neg-sub" [map(F::Neg)] "-(x - y) = y - x", |s, out| {
        for inner in s.maps(s.x(), F::Sub) {
            out.push(Rhs::binary(F::Sub, inner[1], inner[0]));
        }
    }
    Exact "add-neg" [map(F::Add)] "x + (-y) = x - y", |s, out| {
        for (x, y) in s.both() {
            for inner in s.maps(y, F::Neg) {
                out.push(Rhs::binary(F::Sub, x, inner[0]));
            }
        }
    }
    Exact "sub-neg" [map(F::Sub)] "x - (-y) = x + y", |s, out| {
        let (x, y) = s.xy();
        for inner in s.maps(y, F::Neg) {
            out.push(Rhs::binary(F::Add, x, inner[0]));
        }
    }
    Exact "neg-out-of-mul" [map(F::Mul)] "(-x) * y = -(x * y)", |s, out| {
        for (x, y) in s.both() {
            for inner in s.maps(x, F::Neg) {
                out.push(Rhs::unary(F::Neg, Rhs::binary(F::Mul, inner[0], y)));
            }
        }
    }
    Exact "neg-out-of-div" [map(F::Div)] "(-x) / y = x / (-y) = -(x / y) of floats", |s, out| {
        let (x, y) = s.xy();
        if float(s) {
            for inner in s.maps(x, F::Neg) {
                out.push(Rhs::unary(F::Neg, Rhs::binary(F::Div, inner[0], y)));
            }
            for inner in s.maps(y, F::Neg) {
                out.push(Rhs::unary(F::Neg, Rhs::binary(F::Div, x, inner[0])));
            }
        }
    }
    Safe "neg-out-of-odd" [map(F::Sin), map(F::Tanh), map(F::Erf)] "f(-x) = -f(x), where f is sin, tanh or erf", |s, out| {
        let Op::Map(f) = *s.op() else { return };
        for inner in s.maps(s.x(), F::Neg) {
            out.push(Rhs::unary(F::Neg, Rhs::unary(f, inner[0])));
        }
    }
    Exact "neg-into-constant" [map(F::Neg)] "-(x * c) = x * -c", |s, out| {
        for inner in s.maps(s.x(), F::Mul) {
            if s.uniform(inner[1]).is_some() {
                out.push(Rhs::binary(F::Mul, inner[0], Rhs::unary(F::Neg, inner[1])));
            }
        }
    }
    Exact "mul-neg-constant" [map(F::Mul)] "(-x) * c = x * -c", |s, out| {
        let (x, y) = s.xy();
        if s.uniform(y).is_some() {
            for inner in s.maps(x, F::Neg) {
                out.push(Rhs::binary(F::Mul, inner[0], Rhs::unary(F::Neg, y)));
            }
        }
    }
    Safe "add-constants" [map(F::Add), map(F::Sub)] "(x + c) + d = x + (c + d), and the same with minus: of integers, and of floats that are whole and small", |s, out| {
        let (x, y) = s.xy();
        let Some(d) = s.uniform(y) else { return };
        let (outer, opposite) = if s.op() == &F::Add.into() { (F::Add, F::Sub) } else { (F::Sub, F::Add) };
        // (x - c) + d = x - (c - d);  (x - c) - d = x - (c + d)
        for (inner, joined) in [(F::Add, outer), (F::Sub, opposite)] {
            for sum in s.maps(x, inner) {
                // If x and c cancel, only the digits to which x + c was rounded remain.
                let exact = |id| s.is_fast() || s.facts(id).is_exact(s.own_ty().dtype);
                if float(s) && ![sum[0], sum[1], y].into_iter().all(exact) {
                    continue;
                }
                if s.uniform(sum[1]).is_some_and(|c| is_finite(joined.eval(s.own_ty().dtype, &[c, d]))) {
                    out.push(Rhs::binary(inner, sum[0], Rhs::binary(joined, sum[1], y)));
                }
            }
        }
    }
    Safe "mul-constants" [map(F::Mul)] "(x * c) * d = x * (c * d), where x * c neither overflows nor underflows", |s, out| {
        let (x, y) = s.xy();
        if let Some(d) = s.uniform(y) {
            for inner in s.maps(x, F::Mul) {
                if s.uniform(inner[1]).is_some_and(|c| is_normal(s, c.as_f64() * d.as_f64())) && s.is_normal(x) {
                    out.push(Rhs::binary(F::Mul, inner[0], Rhs::binary(F::Mul, inner[1], y)));
                }
            }
        }
    }
    Safe "scale-outwards" [map(F::Mul)] "(x * c) * y = (x * y) * c, where x * c and x * y neither overflow nor underflow", |s, out| {
        for (x, y) in s.both() {
            if s.uniform(y).is_none() {
                for inner in s.maps(x, F::Mul).filter(|i| s.uniform(i[1]).is_some_and(is_moderate)) {
                    if !s.is_normal(x) || !s.is_normal_of(F::Mul, inner[0], y) {
                        continue;
                    }
                    out.push(Rhs::binary(F::Mul, Rhs::binary(F::Mul, inner[0], y), inner[1]));
                }
            }
        }
    }
    Exact "div-by-power-of-two" [map(F::Div)] "x / c = x * (1 / c), where c is a power of two", |s, out| {
        let (x, y) = s.xy();
        if let Some(Scalar::Float(c)) = s.uniform(y)
            && exact_inverse(c) {
                out.push(Rhs::binary(F::Mul, x, number(s, 1.0 / c)));
            }
    }
    Fast "div-by-constant" [map(F::Div)] "x / c = x * (1 / c), which rounds twice", |s, out| {
        let (x, y) = s.xy();
        if let Some(Scalar::Float(c)) = s.uniform(y)
            && is_normal(s, c)
            && is_normal(s, 1.0 / c)
        {
            out.push(Rhs::binary(F::Mul, x, number(s, 1.0 / c)));
        }
    }
    Fast "div-scaled" [map(F::Div)] "(x * c) / y = (x / y) * c of floats", |s, out| {
        let (x, y) = s.xy();
        if float(s) && s.uniform(y).is_none() {
            for inner in s.maps(x, F::Mul).filter(|i| s.uniform(i[1]).is_some_and(is_moderate)) {
                out.push(Rhs::binary(F::Mul, Rhs::binary(F::Div, inner[0], y), inner[1]));
            }
        }
    }
    Safe "mul-inverse" [map(F::Mul)] "x * (1 / y) = x / y of floats, where 1 / y neither overflows nor underflows", |s, out| {
        for (x, y) in s.both() {
            for inner in s.maps(y, F::Div) {
                if float(s) && s.is(inner[0], 1.0) && s.is_normal(y) {
                    out.push(Rhs::binary(F::Div, x, inner[1]));
                }
            }
        }
    }
    Exact "add-self" [map(F::Add)] "x + x = x * 2", |s, out| {
        let (x, y) = s.xy();
        if s.same(x, y) {
            out.push(Rhs::binary(F::Mul, x, number(s, 2.0)));
        }
    }
    Safe "factor-out" [map(F::Add), map(F::Sub)] "x * z + y * z = (x + y) * z, where all of them are finite: always of integers", |s, out| {
        let (x, y) = s.xy();
        let dlc_ir::Op::Map(outer) = *s.op() else { return };
        for a in s.maps(x, F::Mul) {
            for b in s.maps(y, F::Mul) {
                for (p, q) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    // Nor may a sum of both leave the range before it is scaled down, or an infinite sum cancel.
                    let (left, right, z) = (a[1 - p], b[1 - q], a[p]);
                    let bounded = [x, y].into_iter().all(|id| s.is_below(id, 2.0))
                        && [left, right, z].into_iter().all(|id| s.is_below(id, 2.0));
                    if s.same(z, b[q]) && bounded {
                        out.push(Rhs::binary(F::Mul, Rhs::binary(outer, left, right), z));
                    }
                }
            }
        }
    }
    Safe "factor-out-one" [map(F::Add), map(F::Sub)] "x * c + x = x * (c + 1), where x * c is finite: always of integers", |s, out| {
        let (x, y) = s.xy();
        if ![x, y].into_iter().all(|id| s.is_below(id, 2.0)) {
            return;
        }
        let dlc_ir::Op::Map(outer) = *s.op() else { return };
        for a in s.maps(x, F::Mul) {
            if s.same(a[0], y) && s.uniform(a[1]).is_some() {
                out.push(Rhs::binary(F::Mul, y, Rhs::binary(outer, a[1], number(s, 1.0))));
            }
        }
        for b in s.maps(y, F::Mul) {
            if s.same(b[0], x) && s.uniform(b[1]).is_some() {
                out.push(Rhs::binary(F::Mul, x, Rhs::binary(outer, number(s, 1.0), b[1])));
            }
        }
    }
    Safe "power" [map(F::Pow)] "x^1 = x, x^2 = x * x, x^3 = x * x * x, x^0 = 1, x^-1 = 1 / x, and x^0.5 = sqrt(x), x^-0.5 = rsqrt(x), where x is not -inf", |s, out| {
        let (x, y) = s.xy();
        if !float(s) {
            return;
        }
        // The root of -inf is NaN, and that power of it infinite or 0.
        let has_root = s.is_finite(x) || s.facts(x).low > f64::NEG_INFINITY;
        let square = || Rhs::binary(F::Mul, x, x);
        match s.uniform(y).map(Scalar::as_f64) {
            Some(0.0) => out.push(number(s, 1.0)),
            Some(1.0) => out.push(x.into()),
            Some(2.0) => out.push(square()),
            Some(3.0) => out.push(Rhs::binary(F::Mul, square(), x)),
            Some(0.5) if has_root => out.push(Rhs::unary(F::Sqrt, x)),
            Some(-0.5) if has_root => out.push(Rhs::unary(F::Rsqrt, x)),
            Some(-1.0) => out.push(Rhs::binary(F::Div, number(s, 1.0), x)),
            _ => {}
        }
    }
    Exact "square-of-neg" [map(F::Mul)] "(-x) * (-x) = |x| * |x| = x * x", |s, out| {
        let (x, y) = s.xy();
        if s.same(x, y) {
            for inner in s.maps(x, F::Neg).chain(s.maps(x, F::Abs)) {
                out.push(Rhs::binary(F::Mul, inner[0], inner[0]));
            }
        }
    }
}
