//! `x[…]`: parts of lists and tensors.

use dlc_ir::op::{Gather, Reverse, Slice};
use dlc_ir::{DType, ScalarOp};

use super::value::{Axis, Data, Value};
use super::{Eval, Lower, Stop};
use crate::hir::{Expr, IndexItem};
use crate::span::Span;

/// A bound of a slice, or its step.
type Bound = Option<Box<Expr>>;

/// What an index takes of a tensor.
#[derive(Default)]
struct Parts {
    /// The part of each axis of the tensor: start, limit and stride.
    taken: Vec<(usize, usize, usize)>,
    /// Those that are reversed before.
    reversed: Vec<usize>,
    /// The axes of the result.
    axes: Vec<Axis>,
    /// Those along which elements are taken by a tensor of indices.
    by: Vec<(usize, Data)>,
    /// Whether an axis is added or dropped.
    reshaped: bool,
}

impl Parts {
    /// Keeps all of an axis.
    fn all_of(&mut self, axis: &Axis) {
        self.taken.push((0, axis.size, 1));
        self.axes.push(axis.clone());
    }
}

/// The position among `len` that a number denotes, a negative one from the end.
pub(crate) fn position(i: i64, len: usize) -> Option<usize> {
    let at = if i < 0 { i.saturating_add(len as i64) } else { i };
    usize::try_from(at).ok().filter(|&at| at < len)
}

impl<'p> Lower<'p> {
    pub(crate) fn index(
        &mut self,
        value: Value<'p>,
        items: &'p [IndexItem],
        base: Span,
        span: Span,
    ) -> Eval<Value<'p>> {
        match value {
            Value::Data(d) => Ok(Value::Data(self.index_data(&d, items, span)?)),
            Value::List(list) | Value::Tuple(list) => self.index_list(&list, items, span),
            Value::Table(reader) => self.index_table(&reader, items, span),
            Value::Poison => Err(Stop),
            other => {
                let message = format!("{} cannot be indexed", other.describe(self.float));
                Err(self.error("type-mismatch", message, base, "not a list or a tensor"))
            }
        }
    }

    fn index_list(&mut self, list: &[Value<'p>], items: &'p [IndexItem], span: Span) -> Eval<Value<'p>> {
        match items {
            [IndexItem::At(e)] => {
                let at = self.position(e, list.len())?;
                Ok(list[at].clone())
            }
            [IndexItem::Slice { start, end, step: None, .. }] => {
                let (start, limit) = self.range(start, end, list.len())?;
                Ok(Value::list(list[start..limit.max(start)].to_vec()))
            }
            _ => Err(self.error("type-mismatch", "expected one index for a list", span, "an integer, or `a:b`")),
        }
    }

    fn whole(&mut self, e: &'p Expr) -> Eval<i64> {
        match self.eval(e)? {
            Value::Int(i, _) => Ok(i),
            Value::Poison => Err(Stop),
            other => {
                let message = format!("expected an integer index, found {}", other.describe(self.float));
                Err(self.error("type-mismatch", message, e.span, "expected an integer"))
            }
        }
    }

    fn position(&mut self, e: &'p Expr, len: usize) -> Eval<usize> {
        let i = self.whole(e)?;
        position(i, len).ok_or_else(|| {
            let message = format!("index {i} is out of range for {len} elements");
            self.error("number-out-of-range", message, e.span, "out of range")
        })
    }

    /// `start..limit` of `len`, each clipped as in Python.
    fn range(&mut self, start: &'p Bound, end: &'p Bound, len: usize) -> Eval<(usize, usize)> {
        let mut clip = |e: &'p Bound, default: usize| -> Eval<usize> {
            let Some(e) = e else { return Ok(default) };
            let i = self.whole(e)?;
            let at = if i < 0 { i.saturating_add(len as i64).max(0) } else { i };
            Ok((at as usize).min(len))
        };
        Ok((clip(start, 0)?, clip(end, len)?))
    }

    /// `a:b:c` of an axis, which keeps its name if that is written as all of it.
    fn slice(
        &mut self,
        parts: &mut Parts,
        axis: &Axis,
        (start, end, step): (&'p Bound, &'p Bound, &'p Bound),
        span: Span,
    ) -> Eval<()> {
        let all = start.is_none() && end.is_none();
        let (first, limit) = self.range(start, end, axis.size)?;
        let by = step.as_ref().map_or(Ok(1), |e| self.whole(e))?;
        if by == 0 {
            let message = "the step of a slice cannot be 0";
            return Err(self.error(
                "number-out-of-range",
                message,
                step.as_ref().map_or(span, |e| e.span),
                "at least 1",
            ));
        }
        if by < 0 && !all {
            let message = format!("a slice with bounds cannot have the negative step {by}");
            let error = self.problem("bad-slice", message, span, "from which end do the bounds count?");
            let help = "slice first, then reverse: `x[a:b][::-1]`, `x[:, a:b][:, ::-1]`";
            return Err(self.fail(error.help(help)));
        }
        if first >= limit && axis.size > 0 {
            let name = axis.label.as_ref().map_or(String::new(), |label| format!(" `{}`", label.name));
            let message = format!("the slice is empty, though its axis{name} has {} elements", axis.size);
            let label = format!("from {first} up to, not including, {limit}");
            let error = self.problem("bad-slice", message, span, label);
            let help = "`a:b` has b - a elements, one at least; a negative bound counts from the end";
            return Err(self.fail(error.help(help)));
        }
        let (limit, stride) = (limit.max(first), by.unsigned_abs() as usize);
        let size = (limit - first).div_ceil(stride);
        let label = axis.label.clone().filter(|_| all && stride == 1);
        parts.axes.push(Axis { size, label, stretch: axis.stretch });
        if by < 0 {
            // `x[::-2]` is every second element of the reversed axis.
            parts.reversed.push(parts.taken.len());
        }
        parts.taken.push((first, limit, stride));
        Ok(())
    }

    fn index_data(&mut self, x: &Data, items: &'p [IndexItem], span: Span) -> Eval<Data> {
        let taking = |item: &&IndexItem| matches!(item, IndexItem::At(_) | IndexItem::Slice { .. });
        let taken = items.iter().filter(taking).count();
        let rests = items.iter().filter(|item| matches!(item, IndexItem::Rest)).count();
        if taken > x.rank() || rests > 1 {
            let message = format!("{} has {} axes, but {taken} are indexed", x.show(self.float), x.rank());
            let code = "rank-mismatch";
            return Err(self.error(code, message, span, if rests > 1 { "`...` twice" } else { "too many" }));
        }
        let mut parts = Parts::default();
        let mut source = x.axes.iter();
        for item in items {
            match item {
                IndexItem::Stretch => {
                    parts.axes.push(Axis::stretching());
                    parts.reshaped = true;
                }
                IndexItem::Rest => source.by_ref().take(x.rank() - taken).for_each(|axis| parts.all_of(axis)),
                IndexItem::At(e) => {
                    let axis = source.next().expect("no more are indexed than there are");
                    if let Value::Data(index) = self.eval(e)? {
                        parts.by.push((parts.axes.len(), index));
                        parts.all_of(axis);
                    } else {
                        let at = self.position(e, axis.size)?;
                        parts.taken.push((at, at + 1, 1));
                        parts.reshaped = true;
                    }
                }
                IndexItem::Slice { start, end, step, span } => {
                    let axis = source.next().expect("no more are indexed than there are");
                    self.slice(&mut parts, axis, (start, end, step), *span)?;
                }
            }
        }
        source.for_each(|axis| parts.all_of(axis));
        self.take_parts(x, parts, span)
    }

    fn take_parts(&mut self, x: &Data, parts: Parts, span: Span) -> Eval<Data> {
        let Parts { mut taken, reversed, axes, by, reshaped } = parts;
        let mut result = x.clone();
        if !reversed.is_empty() {
            result = self.emit(Reverse { axes: reversed.clone() }, &[&result], span)?;
        }
        for axis in reversed {
            let (size, (start, limit, stride)) = (x.axes[axis].size, taken[axis]);
            taken[axis] = (size - limit, size - start, stride);
        }
        if taken.iter().zip(x.axes.iter()).any(|(&part, axis)| part != (0, axis.size, 1)) {
            let op = Slice {
                start: taken.iter().map(|part| part.0).collect(),
                limit: taken.iter().map(|part| part.1).collect(),
                stride: taken.iter().map(|part| part.2).collect(),
            };
            result = self.emit(op, &[&result], span)?;
        }
        if reshaped {
            result = self.reshape(&result, axes.clone(), span)?;
        }
        result.axes = axes.into();
        for (axis, index) in by.into_iter().rev() {
            result = self.take(&result, &index, axis, 0, span)?;
        }
        result.origin = self.at(span);
        Ok(result)
    }

    /// Gathers elements of one axis; the first `batch` axes are batch axes of both.
    pub(crate) fn take(&mut self, x: &Data, index: &Data, axis: usize, batch: usize, span: Span) -> Eval<Data> {
        if !index.dtype.is_int() {
            let message = format!("expected an integer index, found {}", index.show(self.float));
            return Err(self.error("type-mismatch", message, span, "convert it: `i64(…)`"));
        }
        let index = self.convert(index, DType::I64, span)?;
        let axes = [&x.axes[..axis], &index.axes[batch..], &x.axes[axis + 1..]].concat();
        self.emit_as(Gather { axis, batch }, &[x, &index], axes, span)
    }

    /// The tensor in another dtype.
    pub(crate) fn convert(&mut self, x: &Data, dtype: DType, span: Span) -> Eval<Data> {
        if x.dtype == dtype {
            return Ok(x.clone());
        }
        let read = self.as_read(x);
        let x = read.as_ref().unwrap_or(x);
        if x.dtype == dtype { Ok(x.clone()) } else { self.map1(ScalarOp::Convert(dtype), x, span) }
    }
}
