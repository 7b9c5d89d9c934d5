//! Operators: on compile-time numbers, and on data with its broadcasting rules.

use std::rc::Rc;

use dlc_ir::op::{Broadcast, Dot, Reshape, Transpose};
use dlc_ir::{DType, Direction, Op, Scalar, ScalarOp, Shape};

use super::integer::{float_remainder, remainder};
use super::value::{Axis, Data, Value};
use super::{Eval, Lower, MAX_LIST, Stop};
use crate::ast::{BinaryOp, UnaryOp};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, Operation};
use crate::span::Span;

impl<'p> Lower<'p> {
    /// `-x`, `not x`.
    pub(crate) fn unary(&mut self, op: UnaryOp, value: Value<'p>, span: Span) -> Eval<Value<'p>> {
        match (op, value) {
            (UnaryOp::Neg, Value::Int(i, _)) => i.checked_neg().map(Value::int).ok_or_else(|| self.overflow(span)),
            (UnaryOp::Neg, Value::Float(x)) => Ok(Value::Float(-x)),
            (UnaryOp::Neg, Value::Data(d)) => self.map1(ScalarOp::Neg, &d, span).map(Value::Data),
            (UnaryOp::Not, Value::Bool(b)) => Ok(Value::Bool(!b)),
            (UnaryOp::Not, Value::Data(d)) if d.dtype == DType::Bool => {
                self.map1(ScalarOp::Not, &d, span).map(Value::Data)
            }
            (_, Value::Poison) => Err(Stop),
            (op, other) => {
                let message = format!("`{}` is not defined for {}", op.symbol(), other.describe(self.float));
                Err(self.error("type-mismatch", message, span, "no such operation"))
            }
        }
    }

    pub(crate) fn overflow(&mut self, span: Span) -> Stop {
        self.error("number-out-of-range", "the number is too large", span, "beyond 64 bits")
    }

    /// `left op right`.
    pub(crate) fn binary(&mut self, first: &'p Expr, rest: &'p [Operation]) -> Eval<Value<'p>> {
        let (mut left, mut left_span) = (self.eval(first)?, first.span);
        for Operation { op, op_span, right, span } in rest {
            // Known conditions stop early, so that `n > 0 and 10 % n == 0` can be written.
            let decided =
                matches!((op, &left), (BinaryOp::And, Value::Bool(false)) | (BinaryOp::Or, Value::Bool(true)));
            if !decided {
                let right = (self.eval(right)?, right.span);
                left = self.binary_values(*op, *op_span, (left, left_span), right, *span)?;
            }
            left_span = *span;
        }
        Ok(left)
    }

    pub(crate) fn binary_values(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        (a, a_span): (Value<'p>, Span),
        (b, b_span): (Value<'p>, Span),
        span: Span,
    ) -> Eval<Value<'p>> {
        use Value::{Bool, Float, Int, List, Str};
        match (a, b) {
            (Value::Poison, _) | (_, Value::Poison) => Err(Stop),
            (a, b) if matches!((&a, &b), (Value::Data(_), _) | (_, Value::Data(_))) => {
                self.binary_data(op, op_span, (a, a_span), (b, b_span), span)
            }
            // the result is no dimension, not even `T * 1`
            (Int(a, _), Int(b, _)) => self.binary_ints(op, a, b, span),
            (Int(a, _), Float(b)) => self.binary_floats(op, a as f64, b, span),
            (Float(a), Int(b, _)) => self.binary_floats(op, a, b as f64, span),
            (Float(a), Float(b)) => self.binary_floats(op, a, b, span),
            (Bool(a), Bool(b)) if op == BinaryOp::And => Ok(Bool(a && b)),
            (Bool(a), Bool(b)) if op == BinaryOp::Or => Ok(Bool(a || b)),
            (Str(a), Str(b)) if op == BinaryOp::Add && a.len() + b.len() <= MAX_LIST => {
                Ok(Value::text(&format!("{a}{b}")))
            }
            (List(a), List(b)) if op == BinaryOp::Add && a.len() + b.len() <= MAX_LIST => {
                Ok(Value::list(a.iter().chain(b.iter()).cloned().collect()))
            }
            (Str(_), Str(_)) | (List(_), List(_)) if op == BinaryOp::Add => {
                let message = format!("a list cannot have more than {MAX_LIST} entries");
                Err(self.error("too-large", message, span, "too long"))
            }
            (a, b) => {
                let same = if matches!(op, BinaryOp::Eq | BinaryOp::Ne) { a.same(&b) } else { None };
                match same {
                    Some(same) => Ok(Bool(same == (op == BinaryOp::Eq))),
                    None => {
                        let (x, y) = (a.describe(self.float), b.describe(self.float));
                        let message = format!("`{}` is not defined for {x} and {y}", op.symbol());
                        Err(self.error("type-mismatch", message, op_span, "no such operation"))
                    }
                }
            }
        }
    }

    fn binary_ints(&mut self, op: BinaryOp, a: i64, b: i64, span: Span) -> Eval<Value<'p>> {
        use BinaryOp::*;
        if b == 0 && matches!(op, Div | Rem) {
            return Err(self.by_zero(&a.to_string(), span));
        }
        let number = match op {
            Add => a.checked_add(b),
            Sub => a.checked_sub(b),
            Mul => a.checked_mul(b),
            Div if a.checked_rem(b).is_some_and(|rest| rest != 0) => {
                let message = format!("{a} is not divisible by {b}");
                let error = self.problem("not-divisible", message, span, format!("remainder {}", remainder(a, b)));
                let help = format!(
                    "for a fraction, write `float({a}) / {b}`; to round down, `floor_div({a}, {b})`; to round up, `ceil_div({a}, {b})`"
                );
                return Err(self.fail(error.help(help)));
            }
            Div => a.checked_div(b),
            Rem => Some(remainder(a, b)),
            Pow if b < 0 => return Ok(Value::Float(libm::pow(a as f64, b as f64))),
            Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
            _ => return self.binary_numbers(op, DType::I64, [Scalar::Int(a), Scalar::Int(b)], span),
        };
        number.map(Value::int).ok_or_else(|| self.overflow(span))
    }

    fn binary_floats(&mut self, op: BinaryOp, a: f64, b: f64, span: Span) -> Eval<Value<'p>> {
        match op {
            BinaryOp::Div | BinaryOp::Rem if b == 0.0 => Err(self.by_zero(&format!("{a:?}"), span)),
            BinaryOp::Rem => Ok(Value::Float(float_remainder(a, b))),
            _ => self.binary_numbers(op, DType::F64, [Scalar::Float(a), Scalar::Float(b)], span),
        }
    }

    /// An operator on numbers that is the same function as on data.
    fn binary_numbers(&mut self, op: BinaryOp, dtype: DType, args: [Scalar; 2], span: Span) -> Eval<Value<'p>> {
        match function(op) {
            None | Some(ScalarOp::And | ScalarOp::Or) => {
                let message = format!("`{}` is not defined for numbers", op.symbol());
                Err(self.error("type-mismatch", message, span, "no such operation"))
            }
            Some(f) => Ok(f.eval(dtype, &args).into()),
        }
    }

    fn binary_data(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        (a, a_span): (Value<'p>, Span),
        (b, b_span): (Value<'p>, Span),
        span: Span,
    ) -> Eval<Value<'p>> {
        use BinaryOp::*;
        let dtype = match (&a, &b) {
            (Value::Data(d), _) | (_, Value::Data(d)) => d.dtype,
            _ => self.float,
        };
        if op == Pow
            && let (Value::Data(x), Value::Int(n, _)) = (&a, &b)
            && (0..=4).contains(n)
        {
            return Ok(Value::Data(self.small_power(x, *n, span)?));
        }
        if op == Rem && dtype.is_int() && matches!(b, Value::Int(0, _)) {
            return Err(self.by_zero(&a.describe(self.float), span));
        }
        let what = format!("`{}`", op.symbol());
        let x = self.as_data(a, dtype, &what, a_span)?;
        let y = self.as_data(b, dtype, &what, b_span)?;
        let Some(f) = function(op) else { return Ok(Value::Data(self.matmul(x, y, span)?)) };
        let allowed = match op {
            And | Or => dtype == DType::Bool,
            Add | Sub | Mul | Div | Rem => dtype != DType::Bool,
            Pow => dtype.is_float(),
            _ => true,
        };
        if op == Div && dtype.is_int() {
            return Err(self.unrounded(&x, op_span));
        }
        if !allowed {
            let found = x.show(self.float);
            let message = format!("`{}` is not defined for {found}", op.symbol());
            return Err(self.error("type-mismatch", message, op_span, "no such operation on this dtype"));
        }
        let result = self.map_aligned(f, &[x, y.clone()], span)?;
        Ok(Value::Data(if op == Rem { self.floored(result, y, span)? } else { result }))
    }

    fn small_power(&mut self, x: &Data, n: i64, span: Span) -> Eval<Data> {
        match n {
            0 => {
                let one = self.as_data(Value::int(1), x.dtype, "a power", span)?;
                self.stretch_to(&one, &x.axes, span)
            }
            1 => Ok(x.clone()),
            2 => self.map(ScalarOp::Mul, &[x, x], span),
            _ => {
                let square = self.map(ScalarOp::Mul, &[x, x], span)?;
                self.map(ScalarOp::Mul, &[&square, if n == 3 { x } else { &square }], span)
            }
        }
    }

    /// A scalar function of one tensor.
    pub(crate) fn map1(&mut self, f: ScalarOp, x: &Data, span: Span) -> Eval<Data> {
        self.map(f, &[x], span)
    }

    /// A scalar function of tensors of equal shape; the first names the axes.
    pub(crate) fn map(&mut self, f: ScalarOp, operands: &[&Data], span: Span) -> Eval<Data> {
        self.emit_as(f, operands, operands[0].axes.clone(), span)
    }

    /// Adds an operator whose result has these axes.
    pub(crate) fn emit_as(
        &mut self,
        op: impl Into<Op>,
        operands: &[&Data],
        axes: impl Into<Rc<[Axis]>>,
        span: Span,
    ) -> Eval<Data> {
        Ok(Data { axes: axes.into(), ..self.emit(op, operands, span)? })
    }

    /// A scalar function of a tensor and a number of its dtype.
    pub(crate) fn with_number(&mut self, f: ScalarOp, x: &Data, number: Scalar, span: Span) -> Eval<Data> {
        let number = self.scalar(x.dtype, number, span)?;
        let number = self.stretch_to(&number, &x.axes, span)?;
        self.map(f, &[x, &number], span)
    }

    /// A scalar function of tensors whose shapes are aligned first.
    pub(crate) fn map_aligned(&mut self, f: ScalarOp, operands: &[Data], span: Span) -> Eval<Data> {
        let data = if f == ScalarOp::Select { &operands[1..] } else { operands };
        if let Some(other) = data.iter().find(|d| d.dtype != data[0].dtype) {
            let (first, second) = (data[0].show(self.float), other.show(self.float));
            let message = format!("{first} and {second} have different dtypes");
            let error = self.problem("type-mismatch", message, span, "incompatible");
            let error = self.with_origins(error, &[&data[0], other]);
            let (a, b) = (data[0].dtype, other.dtype);
            return Err(self.fail(error.help(format!("found {a} and {b}; convert one of them: `{a}(…)`, `{b}(…)`"))));
        }
        let axes = self.align(operands, span)?;
        let stretched: Vec<Data> = operands.iter().map(|d| self.stretch_to(d, &axes, span)).collect::<Eval<_>>()?;
        self.emit_as(f, &stretched.iter().collect::<Vec<_>>(), axes, span)
    }

    /// The common axes of tensors; missing leading axes and `_` are broadcast.
    fn align(&mut self, operands: &[Data], span: Span) -> Eval<Vec<Axis>> {
        let rank = operands.iter().map(Data::rank).max().unwrap_or(0);
        let mut axes: Vec<Axis> = vec![];
        for i in 0..rank {
            let mut found: Option<Axis> = None;
            for operand in operands {
                let Some(at) = (i + operand.rank()).checked_sub(rank) else { continue };
                let axis = &operand.axes[at];
                found = Some(match found {
                    None | Some(Axis { stretch: true, .. }) => axis.clone(),
                    Some(other) if axis.stretch => other,
                    Some(other) if self.agree(&other, axis) => {
                        Axis { label: other.label.or(axis.label.clone()), ..other }
                    }
                    Some(other) => return Err(self.misaligned(operands, span, (&other, axis))),
                });
            }
            axes.push(found.expect("some operand has the rank"));
        }
        Ok(axes)
    }

    fn misaligned(&mut self, operands: &[Data], span: Span, (a, b): (&Axis, &Axis)) -> Stop {
        let shown: Vec<String> = operands.iter().map(|d| d.show(self.float)).collect();
        let message = format!("{} have different shapes", shown.join(" and "));
        let label = match a.size == b.size {
            true => format!("`{a}` and `{b}` are different dimensions, though both are {} now", a.size),
            false => "incompatible".to_owned(),
        };
        let error = self.problem("shape-mismatch", message, span, label);
        let mut error = self.with_origins(error, &operands.iter().collect::<Vec<_>>());
        let ones = operands.iter().any(|d| d.axes.iter().any(|axis| axis.size == 1 && !axis.stretch));
        if ones || operands.iter().any(|d| d.rank() != operands[0].rank()) {
            error = error.help(
                "only missing leading axes and axes written `_` are broadcast: `x[:, _]` adds one; an axis of size 1 is not broadcast",
            );
        }
        self.fail(error)
    }

    /// The tensor broadcast to these axes.
    pub(crate) fn stretch_to(&mut self, x: &Data, axes: &[Axis], span: Span) -> Eval<Data> {
        let missing = axes.len() - x.rank();
        // Where programs for several numbers of examples are compared, one example is treated as many are.
        let any_number = self.request.measure != super::measure::Measure::Values;
        let fits = |a: &Axis, b: &Axis| a.size == b.size && !(any_number && a.stretch && !b.stretch);
        let same = missing == 0 && x.axes.iter().zip(axes).all(|(a, b)| fits(a, b));
        if same {
            return Ok(Data { axes: axes.into(), dense: None, ..x.clone() });
        }
        // Broadcast axes are dropped first: the IR's broadcast only adds axes.
        let kept: Vec<usize> = (0..x.rank()).filter(|&i| fits(&x.axes[i], &axes[i + missing])).collect();
        let mut dense = x.clone();
        let stretching = x.axes.iter().filter(|axis| axis.stretch).count();
        if let (Some(value), true) = (x.dense, kept.len() + stretching == x.rank()) {
            dense = Data { value, dense: None, ..dense };
        } else if kept.len() < x.rank() {
            let shape: Shape = kept.iter().map(|&i| x.axes[i].size).collect();
            dense = self.emit(Reshape { shape }, &[x], span)?;
        }
        let shape: Shape = axes.iter().map(|axis| axis.size).collect();
        let op = Broadcast { shape, axes: kept.iter().map(|i| i + missing).collect() };
        Ok(Data { origin: x.origin, ..self.emit_as(op, &[&dense], axes, span)? })
    }

    /// The same elements with other axes; `dense` is kept if only broadcast axes are added.
    pub(crate) fn reshape(&mut self, x: &Data, axes: Vec<Axis>, span: Span) -> Eval<Data> {
        let shape: Shape = axes.iter().map(|axis| axis.size).collect();
        if shape == x.shape() {
            return Ok(Data { axes: axes.into(), dense: None, ..x.clone() });
        }
        let fixed = axes.iter().filter(|axis| !axis.stretch).map(|axis| axis.size);
        let only_adds = fixed.eq(x.axes.iter().map(|axis| axis.size)) && x.axes.iter().all(|axis| !axis.stretch);
        let dense = if only_adds { Some(self.local(x, span)?) } else { None };
        Ok(Data { dense, ..self.emit_as(Reshape { shape }, &[x], axes, span)? })
    }

    /// The last two axes exchanged.
    pub(crate) fn transposed(&mut self, x: Data, span: Span) -> Eval<Data> {
        let rank = x.rank();
        if rank < 2 {
            let message = format!("`.T` exchanges the last two axes, but {} has {rank}", x.show(self.float));
            return Err(self.error("rank-mismatch", message, span, "too few axes"));
        }
        let mut perm: Vec<usize> = (0..rank).collect();
        perm.swap(rank - 2, rank - 1);
        let transpose_of = Some(self.local(&x, span)?);
        Ok(Data { transpose_of, ..self.permuted(&x, perm, span)? })
    }

    /// The axes in another order.
    pub(crate) fn permuted(&mut self, x: &Data, perm: Vec<usize>, span: Span) -> Eval<Data> {
        let axes: Vec<Axis> = perm.iter().map(|&i| x.axes[i].clone()).collect();
        self.emit_as(Transpose { perm }, &[x], axes, span)
    }

    /// `x @ y`: contracts the last axis of `x` with the second-to-last of `y`; the axes before these are batch axes.
    pub(crate) fn matmul(&mut self, x: Data, y: Data, span: Span) -> Eval<Data> {
        let (p, q) = (x.rank(), y.rank());
        let fits = p > 0 && q > 0 && x.dtype == y.dtype && {
            let inner = if q == 1 { 0 } else { q - 2 };
            self.agree(&x.axes[p - 1], &y.axes[inner])
        };
        let batch = q.saturating_sub(2);
        let batched = batch == 0 || p > batch && (0..batch).all(|i| self.agree(&x.axes[i], &y.axes[i])) && p == q;
        if !fits || !batched {
            let (a, b) = (x.show(self.float), y.show(self.float));
            let message = format!("{a} and {b} cannot be multiplied");
            let label = if p == 0 || q == 0 {
                "a scalar has no axis to contract".to_owned()
            } else {
                format!("the last axis of {a} is contracted with the second-to-last of {b}")
            };
            let error = self.problem("shape-mismatch", message, span, label);
            return Err(self.fail(self.with_origins(error, &[&x, &y])));
        }
        // A transposed operand is read without a copy.
        let func = self.context().id;
        let (right, last) = match y.transpose_of {
            Some(value) if y.func == func => (Data { value, ..y.clone() }, q - 1),
            _ => (y.clone(), q.saturating_sub(2)),
        };
        let batches: Vec<usize> = (0..batch).collect();
        let op = Dot { lhs: vec![p - 1], rhs: vec![last], lhs_batch: batches.clone(), rhs_batch: batches };
        let kept = x.axes[..p - 1].iter().chain(y.axes.last().filter(|_| q > 1));
        let axes: Vec<Axis> = kept.map(|axis| Axis { stretch: false, ..axis.clone() }).collect();
        let result = self.emit_as(op, &[&x, &right], axes, span)?;
        let elements = result.axes.iter().fold(1u64, |n, axis| n.saturating_mul(axis.size as u64));
        self.flops = self.flops.saturating_add(elements.saturating_mul(2 * x.axes[p - 1].size as u64));
        Ok(result)
    }

    /// Adds the origins of tensors to an error at its primary span, unless they are that.
    pub(crate) fn with_origins(&self, mut error: Diagnostic, tensors: &[&Data]) -> Diagnostic {
        let at = error.span();
        for (i, data) in tensors.iter().enumerate() {
            let again = tensors[..i].iter().any(|other| other.origin == data.origin);
            if at != Some(data.origin) && !again {
                error = error.secondary(data.origin, format!("this is {}", data.show(self.float)));
            }
        }
        error
    }
}

/// The function of elements that an operator is; none of the matrix product.
fn function(op: BinaryOp) -> Option<ScalarOp> {
    Some(match op {
        BinaryOp::Or => ScalarOp::Or,
        BinaryOp::And => ScalarOp::And,
        BinaryOp::Eq => ScalarOp::Compare(Direction::Eq),
        BinaryOp::Ne => ScalarOp::Compare(Direction::Ne),
        BinaryOp::Lt => ScalarOp::Compare(Direction::Lt),
        BinaryOp::Le => ScalarOp::Compare(Direction::Le),
        BinaryOp::Gt => ScalarOp::Compare(Direction::Gt),
        BinaryOp::Ge => ScalarOp::Compare(Direction::Ge),
        BinaryOp::Add => ScalarOp::Add,
        BinaryOp::Sub => ScalarOp::Sub,
        BinaryOp::Mul => ScalarOp::Mul,
        BinaryOp::Div => ScalarOp::Div,
        BinaryOp::Rem => ScalarOp::Rem,
        BinaryOp::Pow => ScalarOp::Pow,
        BinaryOp::MatMul => return None,
    })
}
