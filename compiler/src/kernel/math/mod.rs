//! Vector math: transcendental functions as branch-free polynomials.
//!
//! Every function takes a value of type `f32` or `f64` with any number of lanes and returns one of the same type. They are
//! written in kernel instructions, so that every emitter computes the same bits, and need no libm. The errors stated were
//! measured against crate `libm` (in f64 for f32) and are kept by `tests/math.rs`; special values are those of C99's Annex F.
//! NaN gives NaN.
//!
//! | function | f32 ulp | f64 ulp | method |
//! | --- | --- | --- | --- |
//! | [`exp`] | 1.5 | 1.5 | `2^n · e^r`, `abs(r) <= ln 2 / 2` |
//! | [`expm1`] | 2 | 2.5 | the same without the 1 |
//! | [`log`] | 1.5 | 1.5 | `n ln 2 + log m`, m in `√½..√2`, odd series in `(m - 1) / (m + 1)` |
//! | [`log1p`] | 2 | 2 | `log(1 + x)` with the rounding of the sum put back |
//! | [`tanh`] | 3 | 3.5 | `e / (e + 2)` with `e = expm1(2x)` |
//! | [`sigmoid`] | 3 | 3.5 | `2^n / (2^n + e^-r)` |
//! | [`erf`] | 3 | 3 | series near 0, `1 - exp(-x²) · p` elsewhere |
//! | [`sin`], [`cos`] | 2 | 2 | reduction modulo π/2, exact for every argument |
//! | [`pow`] | 1 | 2 | `exp(y log x)` with a logarithm in two parts |

mod erf;
mod exp;
mod log;
mod pow;
mod trig;

pub use erf::erf;
pub use exp::{exp, expm1, sigmoid, tanh};
pub use log::{log, log1p};
pub use pow::pow;
pub use trig::{cos, sin};

use super::build::KernelBuilder;
use super::ir::{Binary, Elem, Ty, Val};

/// The type of a float value.
fn float_type(b: &KernelBuilder, x: Val) -> Ty {
    let ty = b.ty(x);
    assert!(ty.elem.is_float(), "vector math is for floats");
    ty
}

/// `c[0] + c[1] x + c[2] x² + …` by Horner's rule.
fn polynomial(b: &mut KernelBuilder, x: Val, coefficients: &[f64]) -> Val {
    let ty = b.ty(x);
    let (last, rest) = coefficients.split_last().expect("a polynomial has coefficients");
    let mut sum = b.float(ty, *last);
    for &c in rest.iter().rev() {
        let c = b.float(ty, c);
        sum = b.fma(sum, x, c);
    }
    sum
}

/// The integer type with the width of a float type.
fn int_elem(elem: Elem) -> Elem {
    if elem == Elem::F32 { Elem::I32 } else { Elem::I64 }
}

/// Bits of the fraction of a float type.
fn fraction_bits(elem: Elem) -> i64 {
    if elem == Elem::F32 { 23 } else { 52 }
}

/// `x`, which is not negative, with the sign of `sign`.
fn copy_sign(b: &mut KernelBuilder, x: Val, sign: Val) -> Val {
    let ty = b.ty(x);
    let int = int_elem(ty.elem);
    let int_ty = ty.with_elem(int);
    let top = b.int(int_ty, if int == Elem::I32 { i64::from(i32::MIN) } else { i64::MIN });
    let raw = b.bitcast(sign, int);
    let raw = b.binary(Binary::And, raw, top);
    let x = b.bitcast(x, int);
    let x = b.binary(Binary::Or, x, raw);
    b.bitcast(x, ty.elem)
}
