//! `pad`: puts a value around and between elements; negative amounts cut.

use super::{EvalError, Operator, TypeError, Types};
use super::eval::{element_at, result_type, tensor_of};
use crate::{Tensor, Type};

/// Puts `value` before (`low`), after (`high`) and between (`interior`) the elements of each axis.
/// Negative `low` and `high` cut elements, of those put between them as well.
///
/// ```text
/// %1 = pad %x, %zero {low=[1], high=[-1], interior=[0]} : f32[4]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pad {
    /// How many before each axis.
    pub low: Vec<i64>,
    /// How many after each axis.
    pub high: Vec<i64>,
    /// How many between two neighbours.
    pub interior: Vec<usize>,
}

impl Operator for Pad {
    const MNEMONIC: &'static str = "pad";
    const OPERANDS: &'static [&'static str] = &["x", "value"];
    attrs!(low, high, interior);

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        let (x, value) = (&args[0], &args[1]);
        let rank = x.rank();
        let fits = self.low.len() == rank && self.high.len() == rank && self.interior.len() == rank;
        ensure!(fits, "wants a low, a high and an interior for each axis of {x}");
        ensure!(*value == Type::scalar(x.dtype), "the value must be {}[], not {value}", x.dtype);
        let mut shape = vec![];
        for axis in 0..rank {
            let size = x.shape[axis] as i128;
            let spread = size + (size - 1).max(0) * self.interior[axis] as i128;
            let padded = spread + i128::from(self.low[axis]) + i128::from(self.high[axis]);
            ensure!((0..1 << 47).contains(&padded), "axis {axis} of {x} would get size {padded}");
            shape.push(padded as usize);
        }
        Ok(smallvec::smallvec![x.with_shape(shape)])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let (x, value) = (&args[0], args[1].get(0));
        let source = |i: &[usize], a: usize| {
            let (place, step) = (i[a] as i64 - self.low[a], self.interior[a] as i64 + 1);
            let inside = place >= 0 && place % step == 0 && place / step < x.shape()[a] as i64;
            inside.then(|| (place / step) as usize)
        };
        let element = |i: &[usize]| {
            let source: Option<Vec<usize>> = (0..i.len()).map(|a| source(i, a)).collect();
            source.map_or(value, |source| element_at(x, source))
        };
        Ok(vec![tensor_of(&result_type(self, args)?, element)])
    }
}
