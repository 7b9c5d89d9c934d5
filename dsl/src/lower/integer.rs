//! Quotients of integers, and the remainder that belongs to them, by one law for numbers known at compile time and for data:
//! `x == floor_div(x, y) * y + x % y`, whatever the signs.
//!
//! They differ in what no integer holds: when compiling, a quotient beyond 64 bits and a division by zero are errors; data wraps around,
//! and where its divisor is 0 quotient and remainder are 0, as the IR's `div` and `rem` define it.

use dlc_ir::{DType, Direction, Scalar, ScalarOp};

use super::value::Data;
use super::{Eval, Lower, Stop};
use crate::span::Span;

/// How a quotient between two integers is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    Down,
    Up,
}

/// The rounded quotient; none by zero and beyond 64 bits.
pub(crate) fn quotient(a: i64, b: i64, rounding: Rounding) -> Option<i64> {
    let truncated = a.checked_div(b)?;
    let rest = a.wrapping_rem(b);
    Some(match (rest.signum() * b.signum(), rounding) {
        (-1, Rounding::Down) => truncated - 1,
        (1, Rounding::Up) => truncated + 1,
        _ => truncated,
    })
}

/// The remainder of the quotient rounded down, with the sign of the divisor; `b` is not 0.
pub(crate) fn remainder(a: i64, b: i64) -> i64 {
    let rest = a.wrapping_rem(b);
    if rest.signum() == -b.signum() { rest + b } else { rest }
}

/// The same for floats.
pub(crate) fn float_remainder(a: f64, b: f64) -> f64 {
    let rest = libm::fmod(a, b);
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
}

impl<'p> Lower<'p> {
    /// The quotient of two operands, rounded, of integer data of equal dtype.
    pub(crate) fn rounded_quotient(&mut self, rounding: Rounding, operands: [Data; 2], span: Span) -> Eval<Data> {
        let truncated = self.map_aligned(ScalarOp::Div, &operands, span)?;
        if operands[0].dtype == DType::U8 && rounding == Rounding::Down {
            return Ok(truncated); // neither is negative
        }
        // The sign of what truncation leaves out: -1 where the exact quotient is below the truncated one, 1 where it is above.
        let rest = self.map_aligned(ScalarOp::Rem, &operands, span)?;
        let rest = self.map1(ScalarOp::Sign, &rest, span)?;
        let sign = self.map1(ScalarOp::Sign, &operands[1], span)?;
        let side = self.map_aligned(ScalarOp::Mul, &[rest, sign], span)?;
        let f = if rounding == Rounding::Down { ScalarOp::Min } else { ScalarOp::Max };
        let step = self.with_number(f, &side, Scalar::Int(0), span)?;
        self.map(ScalarOp::Add, &[&truncated, &step], span)
    }

    /// A remainder by `divisor`, which has the sign of what was divided, with that of the divisor.
    pub(crate) fn floored(&mut self, rest: Data, divisor: Data, span: Span) -> Eval<Data> {
        if rest.dtype == DType::U8 {
            return Ok(rest); // neither is negative
        }
        let sign = self.map1(ScalarOp::Sign, &rest, span)?;
        let other = self.map1(ScalarOp::Sign, &divisor, span)?;
        let other = self.map1(ScalarOp::Neg, &other, span)?;
        let differs = self.map_aligned(ScalarOp::Compare(Direction::Eq), &[sign, other], span)?;
        let moved = self.map_aligned(ScalarOp::Add, &[rest.clone(), divisor], span)?;
        self.map(ScalarOp::Select, &[&differs, &moved, &rest], span)
    }

    /// The error for `/` between integers that are data: nothing says how it should round.
    pub(crate) fn unrounded(&mut self, found: &Data, op_span: Span) -> Stop {
        let found = found.show(self.float);
        let message = format!("expected floating-point data for `/`, found {found}");
        let label = "an integer quotient has to be rounded, and `/` does not round";
        let error = self.problem("type-mismatch", message, op_span, label);
        self.fail(error.help(
            "for a fraction, write `float(x) / y`; to round down, `floor_div(x, y)`; to round up, `ceil_div(x, y)`",
        ))
    }

    /// The error for a divisor that is known to be 0.
    pub(crate) fn by_zero(&mut self, dividend: &str, span: Span) -> Stop {
        self.error("division-by-zero", format!("{dividend} is divided by zero"), span, "by zero")
    }
}
