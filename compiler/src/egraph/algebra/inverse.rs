//! Exponentials, logarithms, roots, and functions composed of them.

use dlc_ir::ScalarOp as F;

use super::{Need, Rule, map, number, rules};
use crate::egraph::graph::Rhs;

rules! {
    Safe "log-of-exp" [map(F::Log)] "log(exp(x)) = x, where exp(x) neither overflows nor underflows", |s, out| {
        for inner in s.maps(s.x(), F::Exp).filter(|_| s.is_kept(s.x())) {
            out.push(inner[0].into());
        }
    }
    Safe "exp-of-log" [map(F::Exp)] "exp(log(x)) = x, where x is not negative", |s, out| {
        for inner in s.maps(s.x(), F::Log).filter(|i| s.is_nonnegative(i[0])) {
            out.push(inner[0].into());
        }
    }
    Safe "log-of-softmax" [map(F::Log)] "log(exp(x) / y) = x - log(y), where neither exp(x) nor the quotient overflows or underflows", |s, out| {
        for quotient in s.maps(s.x(), F::Div) {
            let kept = [s.x(), quotient[0]].into_iter().all(|id| s.is_kept(id));
            for inner in s.maps(quotient[0], F::Exp).filter(|_| kept) {
                out.push(Rhs::binary(F::Sub, inner[0], Rhs::unary(F::Log, quotient[1])));
            }
        }
    }
    Safe "log-of-scaled-exp" [map(F::Log)] "log(exp(x) * y) = x + log(y), where neither exp(x) nor the product overflows or underflows", |s, out| {
        for product in s.maps(s.x(), F::Mul) {
            for (e, y) in [(0, 1), (1, 0)] {
                let kept = [s.x(), product[e]].into_iter().all(|id| s.is_kept(id));
                for inner in s.maps(product[e], F::Exp).filter(|_| kept) {
                    out.push(Rhs::binary(F::Add, inner[0], Rhs::unary(F::Log, product[y])));
                }
            }
        }
    }
    Safe "inverse-exp" [map(F::Div)] "1 / exp(x) = exp(-x)", |s, out| {
        let (x, y) = s.xy();
        if s.is(x, 1.0) {
            for inner in s.maps(y, F::Exp) {
                out.push(Rhs::unary(F::Exp, Rhs::unary(F::Neg, inner[0])));
            }
        }
    }
    Safe "sigmoid" [map(F::Div)] "1 / (1 + exp(-x)) = sigmoid(x)", |s, out| {
        let (x, y) = s.xy();
        if !s.is(x, 1.0) {
            return;
        }
        for sum in s.maps(y, F::Add) {
            for (one, e) in [(0, 1), (1, 0)] {
                if s.is(sum[one], 1.0) {
                    for inner in s.maps(sum[e], F::Exp) {
                        for arg in s.maps(inner[0], F::Neg) {
                            out.push(Rhs::unary(F::Sigmoid, arg[0]));
                        }
                    }
                }
            }
        }
    }
    Safe "expm1" [map(F::Sub)] "exp(x) - 1 = expm1(x)", |s, out| {
        let (x, y) = s.xy();
        if s.is(y, 1.0) {
            for inner in s.maps(x, F::Exp) {
                out.push(Rhs::unary(F::Expm1, inner[0]));
            }
        }
    }
    Safe "log1p" [map(F::Log)] "log(1 + x) = log1p(x)", |s, out| {
        for sum in s.maps(s.x(), F::Add) {
            for (one, x) in [(0, 1), (1, 0)] {
                if s.is(sum[one], 1.0) {
                    out.push(Rhs::unary(F::Log1p, sum[x]));
                }
            }
        }
    }
    Safe "sqrt-of-square" [map(F::Sqrt)] "sqrt(x * x) = |x|, where x * x neither overflows nor underflows", |s, out| {
        for product in s.maps(s.x(), F::Mul) {
            if s.same(product[0], product[1]) && s.is_normal(s.x()) {
                out.push(Rhs::unary(F::Abs, product[0]));
            }
        }
    }
    Safe "square-of-sqrt" [map(F::Mul)] "sqrt(x) * sqrt(x) = x, where x is not negative", |s, out| {
        let (x, y) = s.xy();
        if s.same(x, y) {
            for inner in s.maps(x, F::Sqrt).filter(|i| s.is_nonnegative(i[0])) {
                out.push(inner[0].into());
            }
        }
    }
    Safe "one-by-sqrt" [map(F::Div)] "1 / sqrt(x) = rsqrt(x)", |s, out| {
        let (one, y) = s.xy();
        if s.is(one, 1.0) {
            for inner in s.maps(y, F::Sqrt) {
                out.push(Rhs::unary(F::Rsqrt, inner[0]));
            }
        }
    }
    Fast "div-by-sqrt" [map(F::Div)] "x / sqrt(y) = x * rsqrt(y), which rounds twice", |s, out| {
        let (x, y) = s.xy();
        for inner in s.maps(y, F::Sqrt).filter(|_| !s.is(x, 1.0)) {
            out.push(Rhs::binary(F::Mul, x, Rhs::unary(F::Rsqrt, inner[0])));
        }
    }
    Fast "div-by-rsqrt" [map(F::Div)] "x / rsqrt(y) = x * sqrt(y), which rounds twice", |s, out| {
        let (x, y) = s.xy();
        for inner in s.maps(y, F::Rsqrt) {
            out.push(Rhs::binary(F::Mul, x, Rhs::unary(F::Sqrt, inner[0])));
        }
    }
    Safe "tanh-of-sigmoids" [map(F::Sub)] "2 * sigmoid(2 * x) - 1 = tanh(x)", |s, out| {
        let (x, y) = s.xy();
        if !s.is(y, 1.0) {
            return;
        }
        for scaled in s.maps(x, F::Mul).filter(|p| s.is(p[1], 2.0)) {
            for gate in s.maps(scaled[0], F::Sigmoid) {
                for doubled in s.maps(gate[0], F::Mul).filter(|p| s.is(p[1], 2.0)) {
                    out.push(Rhs::unary(F::Tanh, doubled[0]));
                }
            }
        }
    }
    Safe "one-plus-tanh" [map(F::Add), map(F::Sub)] "1 + tanh(x) = 2 * sigmoid(2 * x), 1 - tanh(x) = 2 * sigmoid(-2 * x)", |s, out| {
        let (x, y) = s.xy();
        let twice = |factor: f64, arg| {
            let gate = Rhs::unary(F::Sigmoid, Rhs::binary(F::Mul, arg, number(s, factor)));
            Rhs::binary(F::Mul, gate, number(s, 2.0))
        };
        if s.op() == &F::Sub.into() {
            if s.is(x, 1.0) {
                out.extend(s.maps(y, F::Tanh).map(|inner| twice(-2.0, inner[0])));
            }
            return;
        }
        for (one, tanh) in s.both() {
            if s.is(one, 1.0) {
                out.extend(s.maps(tanh, F::Tanh).map(|inner| twice(2.0, inner[0])));
            }
        }
    }
    Safe "sigmoid-complement" [map(F::Sub)] "1 - sigmoid(x) = sigmoid(-x)", |s, out| {
        let (x, y) = s.xy();
        if s.is(x, 1.0) {
            for inner in s.maps(y, F::Sigmoid) {
                // Only if the negation exists already: otherwise nothing is gained.
                for arg in s.maps(inner[0], F::Neg) {
                    out.push(Rhs::unary(F::Sigmoid, arg[0]));
                }
            }
        }
    }
}
