//! Evaluates a [`Compute`] element by element: the reference for lowerings and for fusion. It rounds to the dtype after every
//! scalar function and after every step of a reduction, as compiled code does.

use super::{Combine, Compute, Expr, Guard, Index};
use crate::op::{EvalError, random_bits};
use crate::{DType, Scalar, ScalarOp, Tensor, Type};

impl Compute {
    /// The dtype of the result.
    pub fn dtype(&self) -> DType {
        match &self.reduce {
            Some(reduce) if matches!(reduce.combine, Combine::ArgMin | Combine::ArgMax) => DType::I64,
            _ => self.body.dtype(),
        }
    }

    /// The result.
    ///
    /// # Errors
    /// If an index that is read from data is out of range.
    ///
    /// # Panics
    /// If any other index is out of range: then the `Compute` itself is wrong.
    pub fn eval(&self, args: &[Tensor]) -> Result<Tensor, EvalError> {
        let ty = Type::new(self.dtype(), self.extents.clone());
        let elements: Result<Vec<Scalar>, EvalError> = ty.shape.indices().map(|i| self.element(&i, args)).collect();
        let elements = elements?;
        Ok(Tensor::from_fn(ty, |i| elements[i]))
    }

    fn element(&self, index: &[usize], args: &[Tensor]) -> Result<Scalar, EvalError> {
        let mut axes: Vec<i64> = index.iter().map(|&i| i as i64).collect();
        let Some(reduce) = &self.reduce else {
            return Point { axes: &axes, args }.expr(&self.body);
        };
        let dtype = self.body.dtype();
        let mut sum = identity(reduce.combine, dtype);
        let mut best: Option<(Scalar, i64)> = None;
        for k in crate::Shape::from(reduce.extents.as_slice()).indices() {
            axes.truncate(index.len());
            axes.extend(k.iter().map(|&k| k as i64));
            let point = Point { axes: &axes, args };
            if !point.hold(&reduce.guards)? {
                continue;
            }
            let x = point.expr(&self.body)?;
            match reduce.combine {
                Combine::Sum => sum = ScalarOp::Add.eval(dtype, &[sum, x]),
                Combine::Product => sum = ScalarOp::Mul.eval(dtype, &[sum, x]),
                Combine::Min => sum = if beats(ScalarOp::Min, x, sum) { x } else { sum },
                Combine::Max => sum = if beats(ScalarOp::Max, x, sum) { x } else { sum },
                Combine::ArgMin | Combine::ArgMax => {
                    let by = if reduce.combine == Combine::ArgMin { ScalarOp::Min } else { ScalarOp::Max };
                    if best.is_none_or(|(y, _)| beats(by, x, y)) {
                        let position = reduce.position.as_ref().expect("argmin and argmax have a position");
                        best = Some((x, point.index(position)?));
                    }
                }
            }
        }
        Ok(match reduce.combine {
            Combine::ArgMin | Combine::ArgMax => {
                Scalar::Int(best.expect("the type rules refuse the position of nothing").1)
            }
            _ => sum,
        })
    }
}

/// Whether `x` replaces `y` as the extreme: the first NaN does, and stays.
fn beats(by: ScalarOp, x: Scalar, y: Scalar) -> bool {
    let less = match (x, y) {
        (Scalar::Float(_), Scalar::Float(y)) if y.is_nan() => return false,
        (Scalar::Float(x), _) if x.is_nan() => return true,
        (Scalar::Float(x), Scalar::Float(y)) => x.partial_cmp(&y),
        (x, y) => Some(x.as_i64().cmp(&y.as_i64())),
    };
    less == Some(if by == ScalarOp::Min { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater })
}

fn identity(combine: Combine, dtype: DType) -> Scalar {
    match (combine, dtype) {
        (Combine::Product, _) => Scalar::one(dtype),
        (Combine::Min, _) => Scalar::Float(f64::INFINITY).convert(dtype),
        (Combine::Max, DType::Bool) => Scalar::Bool(false),
        (Combine::Max, _) => Scalar::Float(f64::NEG_INFINITY).convert(dtype),
        _ => Scalar::zero(dtype),
    }
}

/// A point of the iteration space, with the operands that can be read there.
struct Point<'a> {
    axes: &'a [i64],
    args: &'a [Tensor],
}

impl Point<'_> {
    fn index(&self, index: &Index) -> Result<i64, EvalError> {
        Ok(match index {
            Index::Axis(axis) => self.axes[*axis],
            Index::Const(value) => *value,
            Index::Add(a, b) => self.index(a)? + self.index(b)?,
            Index::Mul(a, factor) => self.index(a)? * factor,
            Index::Div(a, divisor) => self.index(a)?.div_euclid(*divisor),
            Index::Mod(a, divisor) => self.index(a)?.rem_euclid(*divisor),
            Index::Data { value, bound } => {
                let index = self.expr(value)?.as_i64();
                if index < 0 || index >= *bound as i64 {
                    return Err(EvalError::IndexOutOfRange { index, size: *bound });
                }
                index
            }
        })
    }

    fn hold(&self, guards: &[Guard]) -> Result<bool, EvalError> {
        for guard in guards {
            let holds = match guard {
                Guard::InRange { index, low, high } => (*low..*high).contains(&self.index(index)?),
                Guard::Divisible { index, divisor } => self.index(index)?.rem_euclid(*divisor) == 0,
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn expr(&self, expr: &Expr) -> Result<Scalar, EvalError> {
        Ok(match expr {
            Expr::Read { operand, dtype, index } => {
                let x = &self.args[*operand];
                assert_eq!(x.dtype(), *dtype, "operand {operand} has another dtype");
                assert_eq!(x.shape().rank(), index.len(), "operand {operand} has another rank");
                let mut at = vec![];
                for (index, &size) in index.iter().zip(x.shape().iter()) {
                    let position = self.index(index)?;
                    assert!((0..size as i64).contains(&position), "operand {operand} is read at {position} of {size}");
                    at.push(position as usize);
                }
                x.get(x.shape().offset(&at))
            }
            Expr::Const(c) => c.value,
            Expr::Position(index, dtype) => Scalar::Int(self.index(index)?).convert(*dtype),
            Expr::Apply(f, dtype, operands) => {
                let values: Result<Vec<Scalar>, EvalError> = operands.iter().map(|x| self.expr(x)).collect();
                f.eval(*dtype, &values?)
            }
            Expr::If { guards, then, other } => self.expr(if self.hold(guards)? { then } else { other })?,
            Expr::Random { key, counter, element, dtype } => {
                let (key, counter) = (self.expr(key)?.as_i64(), self.expr(counter)?.as_i64());
                Scalar::Int(random_bits(key, counter, self.index(element)? as u64, *dtype))
            }
        })
    }
}
