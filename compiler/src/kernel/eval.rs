//! The semantics of instructions, lane by lane on bit patterns, which emitters must implement.
//!
//! Lanes are held in `u64`: floats as their bits, integers sign-extended to 64 bits (`i32` as `x as i64 as u64`), booleans as 0
//! or 1.

use super::ir::{Binary, Compare, Const, Elem, Unary};

fn f32_of(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn f64_of(bits: u64) -> f64 {
    f64::from_bits(bits)
}

fn f32_bits(x: f32) -> u64 {
    u64::from(x.to_bits())
}

fn i32_bits(x: i32) -> u64 {
    i64::from(x) as u64
}

/// The lane of a constant.
pub fn constant(c: Const) -> u64 {
    match c {
        Const::F32(bits) => u64::from(bits),
        Const::F64(bits) => bits,
        Const::I32(x) => i32_bits(x),
        Const::I64(x) => x as u64,
        Const::Bool(x) => u64::from(x),
    }
}

/// `2^n` for an integral n of the range of normal exponents: adding `1.5 * 2^bits` leaves the integer in the low bits.
fn power_f32(n: f32) -> f32 {
    f32::from_bits((n + 12_583_039.0).to_bits() << 23)
}

/// The same.
fn power_f64(n: f64) -> f64 {
    f64::from_bits((n + 6_755_399_441_056_767.0).to_bits() << 52)
}

macro_rules! unary_float {
    ($op:expr, $x:expr) => {
        match $op {
            Unary::Neg => -$x,
            Unary::Abs => $x.abs(),
            Unary::Sqrt => $x.sqrt(),
            Unary::Floor => $x.floor(),
            Unary::Ceil => $x.ceil(),
            Unary::Trunc => $x.trunc(),
            Unary::Nearest => $x.round_ties_even(),
            Unary::Not => unreachable!("the verifier admits `not` of integers only"),
        }
    };
}

/// One lane of [`Inst::Unary`](super::Inst::Unary).
pub fn unary(op: Unary, elem: Elem, x: u64) -> u64 {
    match elem {
        Elem::F32 => f32_bits(unary_float!(op, f32_of(x))),
        Elem::F64 => unary_float!(op, f64_of(x)).to_bits(),
        Elem::Bool => x ^ 1,
        Elem::I32 => i32_bits(match op {
            Unary::Neg => (x as i32).wrapping_neg(),
            Unary::Abs => (x as i32).wrapping_abs(),
            _ => !(x as i32),
        }),
        Elem::I64 => match op {
            Unary::Neg => x.wrapping_neg(),
            Unary::Abs => (x as i64).wrapping_abs() as u64,
            _ => !x,
        },
    }
}

macro_rules! binary_float {
    ($op:expr, $x:expr, $y:expr, $power:ident) => {
        match $op {
            Binary::Scale => {
                let first = ($y * 0.5).floor();
                $x * $power(first) * $power($y - first)
            }
            Binary::Add => $x + $y,
            Binary::Sub => $x - $y,
            Binary::Mul => $x * $y,
            Binary::Div => $x / $y,
            Binary::Min => {
                if $x < $y || $x.is_nan() {
                    $x
                } else {
                    $y
                }
            }
            Binary::Max => {
                if $x > $y || $x.is_nan() {
                    $x
                } else {
                    $y
                }
            }
            _ => unreachable!("the verifier admits bit operations on integers only"),
        }
    };
}

macro_rules! binary_int {
    ($op:expr, $x:expr, $y:expr, $unsigned:ty) => {
        match $op {
            Binary::Add => $x.wrapping_add($y),
            Binary::Sub => $x.wrapping_sub($y),
            Binary::Mul => $x.wrapping_mul($y),
            Binary::Div => {
                if $y == 0 {
                    0
                } else {
                    $x.wrapping_div($y)
                }
            }
            Binary::Rem => {
                if $y == 0 {
                    0
                } else {
                    $x.wrapping_rem($y)
                }
            }
            Binary::Min => $x.min($y),
            Binary::Max => $x.max($y),
            Binary::And => $x & $y,
            Binary::Or => $x | $y,
            Binary::Xor => $x ^ $y,
            Binary::Shl => $x.wrapping_shl($y as u32),
            Binary::Shr => $x.wrapping_shr($y as u32),
            Binary::ShrU => ($x as $unsigned).wrapping_shr($y as u32) as _,
            Binary::Scale => unreachable!("the verifier admits it of floats only"),
        }
    };
}

/// One lane of [`Inst::Binary`](super::Inst::Binary).
pub fn binary(op: Binary, elem: Elem, x: u64, y: u64) -> u64 {
    match elem {
        Elem::F32 => f32_bits(binary_float!(op, f32_of(x), f32_of(y), power_f32)),
        Elem::F64 => binary_float!(op, f64_of(x), f64_of(y), power_f64).to_bits(),
        Elem::I32 => {
            let (x, y) = (x as i32, y as i32);
            let result: i32 = binary_int!(op, x, y, u32);
            i32_bits(result)
        }
        Elem::I64 => {
            let (x, y) = (x as i64, y as i64);
            let result: i64 = binary_int!(op, x, y, u64);
            result as u64
        }
        Elem::Bool => match op {
            Binary::And | Binary::Min => x & y,
            Binary::Or | Binary::Max => x | y,
            _ => x ^ y,
        },
    }
}

/// One lane of [`Inst::Fma`](super::Inst::Fma).
pub fn fma(elem: Elem, a: u64, b: u64, c: u64) -> u64 {
    match elem {
        Elem::F32 => f32_bits(f32_of(a).mul_add(f32_of(b), f32_of(c))),
        _ => f64_of(a).mul_add(f64_of(b), f64_of(c)).to_bits(),
    }
}

/// One lane of [`Inst::DivFloor`](super::Inst::DivFloor) and [`Inst::Mod`](super::Inst::Mod).
pub fn div_mod(elem: Elem, x: u64, d: i64, modulo: bool) -> u64 {
    let x = x as i64;
    let result = if modulo { x.rem_euclid(d) } else { x.div_euclid(d) };
    if elem == Elem::I32 { i32_bits(result as i32) } else { result as u64 }
}

fn ordered<T: PartialOrd>(op: Compare, x: T, y: T) -> bool {
    match op {
        Compare::Eq => x == y,
        Compare::Ne => x != y,
        Compare::Lt => x < y,
        Compare::Le => x <= y,
        Compare::Gt => x > y,
        Compare::Ge => x >= y,
    }
}

/// One lane of [`Inst::Compare`](super::Inst::Compare).
pub fn compare(op: Compare, elem: Elem, x: u64, y: u64) -> u64 {
    u64::from(match elem {
        Elem::F32 => ordered(op, f32_of(x), f32_of(y)),
        Elem::F64 => ordered(op, f64_of(x), f64_of(y)),
        Elem::I32 | Elem::I64 => ordered(op, x as i64, y as i64),
        Elem::Bool => ordered(op, x, y),
    })
}

/// One lane of [`Inst::Convert`](super::Inst::Convert).
pub fn convert(from: Elem, to: Elem, x: u64) -> u64 {
    match (from, to) {
        (Elem::F32, Elem::F64) => f64::from(f32_of(x)).to_bits(),
        (Elem::F64, Elem::F32) => f32_bits(f64_of(x) as f32),
        (Elem::F32, Elem::I32) => i32_bits(f32_of(x) as i32),
        (Elem::F32, Elem::I64) => (f32_of(x) as i64) as u64,
        (Elem::F64, Elem::I32) => i32_bits(f64_of(x) as i32),
        (Elem::F64, Elem::I64) => (f64_of(x) as i64) as u64,
        (Elem::F32, Elem::Bool) => u64::from(f32_of(x) != 0.0),
        (Elem::F64, Elem::Bool) => u64::from(f64_of(x) != 0.0),
        (_, Elem::F32) => f32_bits(x as i64 as f32),
        (_, Elem::F64) => (x as i64 as f64).to_bits(),
        (Elem::I64, Elem::I32) => i32_bits(x as i32),
        (Elem::I32 | Elem::I64, Elem::Bool) => u64::from(x != 0),
        _ => x,
    }
}

/// One lane of [`Inst::Bitcast`](super::Inst::Bitcast).
pub fn bitcast(to: Elem, x: u64) -> u64 {
    match to {
        Elem::F32 => u64::from(x as u32),
        Elem::I32 => i32_bits(x as i32),
        _ => x,
    }
}
