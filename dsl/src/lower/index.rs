//! `x[…]`: parts of lists and tensors.

use dlc_ir::op::{Gather, Reverse, Slice};
use dlc_ir::{DType, ScalarOp};

use super::value::{Axis, Data, Value};
use super::{Eval, Lower, Stop};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, IndexItem};
use crate::span::Span;

/// What an entry of an index does to one axis.
enum Step {
    /// Takes this part; keeps the axis, and its name if the part is written as all of it.
    Range { start: usize, limit: usize, step: i64, all: bool },
    /// Takes one element and drops the axis.
    At(usize),
    /// Takes elements by a tensor of indices.
    By(Data),
    /// A new axis.
    New,
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
            Value::Data(d) => Ok(Value::Data(self.index_data(d, items, span)?)),
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
                let (start, limit) = self.range(start.as_deref(), end.as_deref(), list.len())?;
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
        let at = if i < 0 { i.saturating_add(len as i64) } else { i };
        usize::try_from(at).ok().filter(|&at| at < len).ok_or_else(|| {
            let message = format!("index {i} is out of range for {len} elements");
            self.error("number-out-of-range", message, e.span, "out of range")
        })
    }

    /// `start..limit` of `len`, each clipped as in Python.
    fn range(&mut self, start: Option<&'p Expr>, end: Option<&'p Expr>, len: usize) -> Eval<(usize, usize)> {
        let mut clip = |e: Option<&'p Expr>, default: usize| -> Eval<usize> {
            let Some(e) = e else { return Ok(default) };
            let i = self.whole(e)?;
            let at = if i < 0 { i.saturating_add(len as i64).max(0) } else { i };
            Ok((at as usize).min(len))
        };
        let start = clip(start, 0)?;
        let limit = clip(end, len)?;
        Ok((start, limit))
    }

    /// `a:b:c` of an axis.
    fn slice(
        &mut self,
        axis: &Axis,
        start: Option<&'p Expr>,
        end: Option<&'p Expr>,
        step: Option<&'p Expr>,
        span: Span,
    ) -> Eval<Step> {
        let all = start.is_none() && end.is_none();
        let (first, limit) = self.range(start, end, axis.size)?;
        let by = step.map_or(Ok(1), |e| self.whole(e))?;
        if by == 0 {
            let message = "the step of a slice cannot be 0";
            return Err(self.error("number-out-of-range", message, step.map_or(span, |e| e.span), "at least 1"));
        }
        if by < 0 && !all {
            let message = format!("a slice with bounds cannot have the negative step {by}");
            let error = Diagnostic::error("bad-slice", message);
            let error = error.primary(self.at(span), "from which end do the bounds count?");
            let help = "slice first, then reverse: `x[a:b][::-1]`, `x[:, a:b][:, ::-1]`";
            return Err(self.fail(error.help(help)));
        }
        if first >= limit && axis.size > 0 {
            let name = axis.label.as_ref().map_or(String::new(), |label| format!(" `{}`", label.name));
            let message = format!("the slice is empty, though its axis{name} has {} elements", axis.size);
            let error = Diagnostic::error("bad-slice", message);
            let error = error.primary(self.at(span), format!("from {first} up to, not including, {limit}"));
            return Err(
                self.fail(error.help("`a:b` has b - a elements, one at least; a negative bound counts from the end"))
            );
        }
        Ok(Step::Range { start: first, limit: limit.max(first), step: by, all: all && by.abs() == 1 })
    }

    fn index_data(&mut self, x: Data, items: &'p [IndexItem], span: Span) -> Eval<Data> {
        let taking = |item: &&IndexItem| matches!(item, IndexItem::At(_) | IndexItem::Slice { .. });
        let taken = items.iter().filter(taking).count();
        let rests = items.iter().filter(|item| matches!(item, IndexItem::Rest)).count();
        if taken > x.rank() || rests > 1 {
            let message = format!("{} has {} axes, but {taken} are indexed", x.show(self.float), x.rank());
            let code = "rank-mismatch";
            return Err(self.error(code, message, span, if rests > 1 { "`...` twice" } else { "too many" }));
        }
        let mut steps = vec![];
        let mut axis = 0;
        for item in items {
            match item {
                IndexItem::Stretch => steps.push(Step::New),
                IndexItem::Rest => {
                    for _ in 0..x.rank() - taken {
                        steps.push(Step::Range { start: 0, limit: x.axes[axis].size, step: 1, all: true });
                        axis += 1;
                    }
                }
                IndexItem::At(e) => {
                    let size = x.axes[axis].size;
                    steps.push(match self.eval(e)? {
                        Value::Data(index) => Step::By(index),
                        _ => Step::At(self.position(e, size)?),
                    });
                    axis += 1;
                }
                IndexItem::Slice { start, end, step, span } => {
                    let (start, end, step) = (start.as_deref(), end.as_deref(), step.as_deref());
                    steps.push(self.slice(&x.axes[axis], start, end, step, *span)?);
                    axis += 1;
                }
            }
        }
        for axis in &x.axes[axis..] {
            steps.push(Step::Range { start: 0, limit: axis.size, step: 1, all: true });
        }
        self.apply_steps(x, steps, span)
    }

    fn apply_steps(&mut self, x: Data, steps: Vec<Step>, span: Span) -> Eval<Data> {
        let mut part: Vec<(usize, usize, usize)> = vec![];
        let mut reversed = vec![];
        let mut axes: Vec<Axis> = vec![];
        let mut by: Vec<(usize, Data)> = vec![];
        let mut dropped = false;
        let mut source = x.axes.iter();
        for step in steps {
            match step {
                Step::New => {
                    axes.push(Axis::stretching());
                    dropped = true;
                }
                Step::At(at) => {
                    part.push((at, at + 1, 1));
                    source.next();
                    dropped = true;
                }
                Step::By(index) => {
                    let axis = source.next().expect("as many steps as axes");
                    part.push((0, axis.size, 1));
                    by.push((axes.len(), index));
                    axes.push(axis.clone());
                }
                Step::Range { start: s, limit: l, step, all } => {
                    let axis = source.next().expect("as many steps as axes");
                    if step < 0 {
                        // `x[::-2]` is every second element of the reversed axis.
                        reversed.push(part.len());
                    }
                    part.push((s, l, step.unsigned_abs() as usize));
                    let size = (l - s).div_ceil(step.unsigned_abs() as usize);
                    let label = axis.label.clone().filter(|_| all);
                    axes.push(Axis { size, label, stretch: axis.stretch });
                }
            }
        }
        let mut result = x.clone();
        if !reversed.is_empty() {
            result = self.emit(Reverse { axes: reversed.clone() }, &[&result], span)?;
            for &axis in &reversed {
                let size = x.axes[axis].size;
                let (start, limit, stride) = part[axis];
                part[axis] = (size - limit, size - start, stride);
            }
        }
        if part.iter().zip(x.axes.iter()).any(|(&part, axis)| part != (0, axis.size, 1)) {
            let op = Slice {
                start: part.iter().map(|p| p.0).collect(),
                limit: part.iter().map(|p| p.1).collect(),
                stride: part.iter().map(|p| p.2).collect(),
            };
            result = self.emit(op, &[&result], span)?;
        }
        if dropped {
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
        let mut result = self.emit(Gather { axis, batch }, &[x, &index], span)?;
        let mut axes = x.axes[..axis].to_vec();
        axes.extend_from_slice(&index.axes[batch..]);
        axes.extend_from_slice(&x.axes[axis + 1..]);
        result.axes = axes.into();
        Ok(result)
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
