//! Folding of index arithmetic while a kernel is built.

use super::build::KernelBuilder;
use super::ir::{Binary, Const, Inst, Ty, Val};

/// The quotient of an index by `d`, if it is a multiple of it.
fn divide_exactly(b: &mut KernelBuilder, x: Val, d: i64) -> Option<Val> {
    if let Some(c) = b.known_index(x) {
        return (c % d == 0).then(|| b.index(c / d));
    }
    match b.inst(x)? {
        Inst::Binary(Binary::Mul, y, c) => {
            let c = b.known_index(c)?;
            (c % d == 0).then(|| b.mul_const(y, c / d))
        }
        Inst::Binary(Binary::Add, p, q) => {
            let p = divide_exactly(b, p, d)?;
            let q = divide_exactly(b, q, d)?;
            Some(b.add(p, q))
        }
        _ => None,
    }
}

/// Splits an index into `d * quotient + rest`, if some of its terms are multiples of `d`.
fn split_multiple(b: &mut KernelBuilder, x: Val, d: i64) -> Option<(Val, Val)> {
    if let Some(Inst::Binary(Binary::Add, p, q)) = b.inst(x) {
        if let Some(quotient) = divide_exactly(b, p, d) {
            return Some((quotient, q));
        }
        if let Some(quotient) = divide_exactly(b, q, d) {
            return Some((quotient, p));
        }
        if let Some((quotient, rest)) = split_multiple(b, p, d) {
            let rest = b.add(rest, q);
            return Some((quotient, rest));
        }
        return None;
    }
    let quotient = divide_exactly(b, x, d)?;
    let zero = b.index(0);
    Some((quotient, zero))
}

pub(super) fn div_floor(b: &mut KernelBuilder, x: Val, d: i64) -> Val {
    if b.ty(x) != Ty::INDEX {
        return b.div_floor_raw(x, d);
    }
    if let Some((low, high)) = b.range(x)
        && low.div_euclid(d) == high.div_euclid(d)
    {
        return b.index(low.div_euclid(d));
    }
    if let Some((quotient, rest)) = split_multiple(b, x, d) {
        let rest = b.div_floor(rest, d);
        return b.add(quotient, rest);
    }
    if let Some(Inst::DivFloor(y, e)) = b.inst(x)
        && let Some(product) = e.checked_mul(d)
    {
        return b.div_floor(y, product);
    }
    b.div_floor_raw(x, d)
}

pub(super) fn modulo(b: &mut KernelBuilder, x: Val, d: i64) -> Val {
    if d == 1 {
        let ty = b.ty(x);
        return b.int(ty, 0);
    }
    if b.ty(x) != Ty::INDEX {
        return b.modulo_raw(x, d);
    }
    if let Some((low, high)) = b.range(x)
        && low.div_euclid(d) == high.div_euclid(d)
    {
        return b.add_const(x, -(low.div_euclid(d) * d));
    }
    if let Some((_, rest)) = split_multiple(b, x, d) {
        return b.modulo(rest, d);
    }
    b.modulo_raw(x, d)
}

pub(super) fn index_binary(b: &mut KernelBuilder, op: Binary, x: Val, y: Val) -> Val {
    let (cx, cy) = (b.known_index(x), b.known_index(y));
    match (op, cx, cy) {
        (Binary::Add, Some(p), Some(q)) => return b.index(p.wrapping_add(q)),
        (Binary::Sub, Some(p), Some(q)) => return b.index(p.wrapping_sub(q)),
        (Binary::Mul, Some(p), Some(q)) => return b.index(p.wrapping_mul(q)),
        (Binary::Min, Some(p), Some(q)) => return b.index(p.min(q)),
        (Binary::Max, Some(p), Some(q)) => return b.index(p.max(q)),
        (Binary::Add | Binary::Sub, _, Some(0)) | (Binary::Mul, _, Some(1)) => return x,
        (Binary::Add, Some(0), _) | (Binary::Mul, Some(1), _) => return y,
        (Binary::Mul, _, Some(0)) | (Binary::Mul, Some(0), _) => return b.index(0),
        // Constants are on the right.
        (Binary::Add | Binary::Mul, Some(_), None) => return index_binary(b, op, y, x),
        (Binary::Sub, None, Some(c)) => return b.add_const(x, c.wrapping_neg()),
        (Binary::Sub, _, _) if x == y => return b.index(0),
        _ => {}
    }
    if let (Binary::Min | Binary::Max, Some((x0, x1)), Some((y0, y1))) = (op, b.range(x), b.range(y)) {
        if x1 <= y0 {
            return if op == Binary::Min { x } else { y };
        }
        if y1 <= x0 {
            return if op == Binary::Min { y } else { x };
        }
    }
    // Constants are reassociated outwards, (x + c) + y = (x + y) + c, until a load takes them as its offset.
    match op {
        Binary::Add => {
            if let Some((inner, c)) = constant_term(b, x) {
                let sum = b.add(inner, y);
                return match cy {
                    Some(q) => {
                        let c = b.index(c.wrapping_add(q));
                        index_binary(b, Binary::Add, inner, c)
                    }
                    None => b.add_const(sum, c),
                };
            }
            if let Some((inner, c)) = constant_term(b, y) {
                let sum = b.add(x, inner);
                return b.add_const(sum, c);
            }
        }
        Binary::Mul => {
            if let (Some(q), Some(Inst::Binary(inner_op, p, c))) = (cy, b.inst(x))
                && let Some(c) = b.known_index(c)
            {
                match inner_op {
                    Binary::Add => {
                        let scaled = b.mul_const(p, q);
                        return b.add_const(scaled, c.wrapping_mul(q));
                    }
                    Binary::Mul => return b.mul_const(p, c.wrapping_mul(q)),
                    _ => {}
                }
            }
        }
        _ => {}
    }
    b.binary_raw(op, x, y)
}

fn constant_term(b: &KernelBuilder, x: Val) -> Option<(Val, i64)> {
    match b.inst(x)? {
        Inst::Binary(Binary::Add, inner, c) => match b.inst(c)? {
            Inst::Const(Const::I64(c)) => Some((inner, c)),
            _ => None,
        },
        _ => None,
    }
}
