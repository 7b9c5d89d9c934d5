//! Types with brackets: matching data against one, and the shape that one denotes.

use std::rc::Rc;

use super::frame::{Dimension, Rest};
use super::value::{Axis, Data, Label, Value, show_type};
use super::{Eval, Lower, Stop};
use crate::diagnostic::Diagnostic;
use crate::hir::{Dim, Element, Expr, ExprKind, Param, Type, TypeKind};
use crate::span::Span;

/// Data for a parameter, whose type it has to match.
#[derive(Clone, Copy)]
pub(crate) struct Passed<'a, 'p> {
    /// The callee: `conv2d`.
    pub callee: &'p str,
    pub param: &'p Param,
    pub data: &'a Data,
    /// The span of the data, in the caller's source.
    pub span: Span,
}

impl<'p> Passed<'_, 'p> {
    fn name(&self) -> &'p str {
        &self.param.name.name
    }
}

/// The name of a size that is a single capital name.
pub(crate) fn capital(e: &Expr) -> Option<&str> {
    match &e.kind {
        ExprKind::Dimension(name) => Some(name),
        _ => None,
    }
}

impl<'p> Lower<'p> {
    /// Checks data against a type and binds the type's free dimensions in the current frame. The result has the
    /// current frame's names on its axes.
    pub(crate) fn match_type(&mut self, passed: Passed<'_, 'p>) -> Eval<Data> {
        let data = passed.data;
        let TypeKind::Data { dtype, dims } = &passed.param.ty.kind else { return Ok(data.clone()) };
        self.match_dtype(passed, *dtype)?;
        let rest = dims.iter().position(|d| matches!(d, Dim::Rest(_)));
        let fixed = dims.len() - usize::from(rest.is_some());
        if data.rank() < fixed || rest.is_none() && data.rank() > fixed {
            return Err(self.mismatch("rank-mismatch", passed, None));
        }
        let skipped = data.rank() - fixed;
        let mut axes: Vec<Axis> = vec![];
        let mut from = data.axes.iter().cloned();
        for dim in dims {
            if let Dim::Rest(_) = dim {
                let leading: Vec<Axis> = from.by_ref().take(skipped).collect();
                self.match_rest(&leading, passed)?;
                axes.extend(leading);
                continue;
            }
            let axis = from.next().expect("the rank was checked");
            axes.push(match dim {
                Dim::Size(size) => self.match_size(size, axis, passed)?,
                _ => Axis { stretch: axis.size == 1, ..axis },
            });
        }
        Ok(if *axes == *data.axes { data.clone() } else { Data { axes: axes.into(), ..data.clone() } })
    }

    fn match_dtype(&mut self, passed: Passed<'_, 'p>, expected: Element) -> Eval<()> {
        let found = passed.data.dtype;
        if expected.fits(found, self.float) {
            return Ok(());
        }
        let help = match expected {
            Element::Default | Element::Float => {
                let float = self.float;
                format!("expected {float}, the model's float type, found {found}; convert it: `float(…)`")
            }
            Element::Int => "convert it to an integer type: `i64(…)`".to_owned(),
            Element::Of(dtype) => format!("convert it: `{dtype}(…)`"),
        };
        Err(self.mismatch("type-mismatch", passed, Some(help)))
    }

    /// Checks the axes that `...` denotes in one argument against those of the others; the first binds it.
    fn match_rest(&mut self, axes: &[Axis], passed: Passed<'_, 'p>) -> Eval<()> {
        let Some(known) = self.frame().rest.clone() else {
            self.bind_rest(axes, passed.data, passed.name());
            return Ok(());
        };
        if self.same_shape(&known.axes, axes) {
            return Ok(());
        }
        let (first, second) = (self.show_axes(&known.axes), self.show_axes(axes));
        let message = format!("conflicting shapes for `...` of `{}`: {first} and {second}", passed.callee);
        let mut error = Diagnostic::error("dimension-conflict", message)
            .primary(passed.span, format!("`{}` makes it {second}", passed.name()));
        if known.origin != passed.span {
            error = error.secondary(known.origin, format!("`{}` makes it {first}", known.name));
        }
        if !self.frame().in_library() && !passed.param.span.is_empty() {
            error = error.secondary(passed.param.span, "one `...` denotes one shape");
        }
        let help = if known.axes.iter().chain(axes).any(|axis| axis.stretch) {
            "`...` denotes one shape in one signature, without broadcasting; use `broadcast(x, shape(y))`"
        } else {
            "`...` denotes one shape in one signature; of shapes that may differ, name the axes"
        };
        Err(self.fail(error.help(help)))
    }

    /// A number where `[...]` is expected, as data of the shape of `...`, if other arguments have bound it.
    pub(crate) fn take_rest(&mut self, number: Data, ty: &Type, span: Span) -> Eval<Data> {
        let is_rest = matches!(&ty.kind, TypeKind::Data { dims, .. } if matches!(dims[..], [Dim::Rest(_)]));
        match self.frame().rest.clone() {
            Some(rest) if is_rest => self.stretch_to(&number, &rest.axes, span),
            _ => Ok(number),
        }
    }

    pub(crate) fn bind_rest(&mut self, axes: &[Axis], data: &Data, name: &str) {
        let rest = Rest { axes: axes.to_vec(), origin: data.origin, name: name.into() };
        self.frame_mut().rest = Some(rest);
    }

    pub(crate) fn same_shape(&self, a: &[Axis], b: &[Axis]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.agree(a, b))
    }

    /// Checks one axis; a free capital is bound by it.
    fn match_size(&mut self, size: &'p Expr, axis: Axis, passed: Passed<'_, 'p>) -> Eval<Axis> {
        let Some(name) = capital(size) else {
            return match self.size(size)? == axis.size {
                true => Ok(Axis { stretch: false, ..axis }),
                false => Err(self.mismatch("shape-mismatch", passed, None)),
            };
        };
        match self.frame().dims.get(name).cloned() {
            Some(known) if !self.agree(&known.axis(), &axis) => return Err(self.conflict(name, &known, &axis, passed)),
            Some(_) => {}
            None => {
                let (outer, what) = (axis.label.clone(), format!("`{}`", passed.name()));
                let dimension = Dimension { size: axis.size, outer, origin: passed.data.origin, what };
                self.frame_mut().dims.insert(name.to_owned(), dimension);
            }
        }
        let frame = self.frame();
        let label = if frame.in_library() { axis.label } else { Some(Label { frame: frame.id, name: name.into() }) };
        Ok(Axis { label, stretch: false, ..axis })
    }

    fn conflict(&mut self, name: &str, known: &Dimension, axis: &Axis, passed: Passed<'_, 'p>) -> Stop {
        // Dimensions of equal size are shown by name.
        let (first, second) = match known.axis() {
            of if of.size == axis.size => (format!("`{of}`"), format!("`{axis}`")),
            of => (of.size.to_string(), axis.size.to_string()),
        };
        let (what, callee) = (&known.what, passed.callee);
        if self.frame().in_library() {
            let name = passed.name();
            let message = format!("`{callee}` expects equal sizes for {what} and `{name}`, found {first} and {second}");
            let arrives = format!("{} arrives here", passed.data.show(self.float));
            let mut error = Diagnostic::error("shape-mismatch", message).primary(passed.span, arrives);
            if known.origin != passed.span {
                error = error.secondary(known.origin, format!("{what} has {first} here"));
            }
            return self.fail(error);
        }
        let message = format!("conflicting sizes for `{name}`: {first} and {second}");
        let error = Diagnostic::error("dimension-conflict", message)
            .primary(passed.span, format!("makes it {second}; different sizes need different names"))
            .secondary(known.origin, format!("{what} makes it {first}"))
            .secondary(passed.param.ty.span, "declared here");
        self.fail(error)
    }

    /// The error for data that does not match the type of its parameter.
    fn mismatch(&mut self, code: &'static str, passed: Passed<'_, 'p>, help: Option<String>) -> Stop {
        let Passed { callee, param, data, span } = passed;
        let (name, expected, found) = (passed.name(), self.show_declared(&param.ty), data.show(self.float));
        let label = match self.fitting(&param.ty) {
            Some(meant) => format!("expected {expected}; do you mean `{meant}`?"),
            None => format!("found {found}"),
        };
        let message = format!("expected {expected} for `{name}` of `{callee}`, found {found}");
        let mut error = Diagnostic::error(code, message).primary(span, label);
        if data.origin != span && !span.contains(data.origin) {
            error = error.secondary(data.origin, format!("this is {found}"));
        }
        if !self.frame().in_library() && !param.span.is_empty() {
            error = error.secondary(param.span, format!("`{name}` is declared {expected}"));
        }
        error.help.extend(help);
        self.fail(error)
    }

    /// The only tensor in the caller's scope that matches `ty` by dtype and rank, for a hint.
    fn fitting(&self, ty: &Type) -> Option<String> {
        let TypeKind::Data { dtype: dtype @ (Element::Int | Element::Of(_)), dims } = &ty.kind else { return None };
        let rest = match dims.iter().any(|d| matches!(d, Dim::Rest(_))) {
            true => Some(self.frame().rest.as_ref()?.axes.len()),
            false => None,
        };
        let rank = rest.map_or(dims.len(), |rest| dims.len() - 1 + rest);
        let caller = self.frames.iter().rev().skip(1).find(|frame| !frame.in_library())?;
        let fits = |d: &Data| dtype.fits(d.dtype, self.float) && d.rank() == rank;
        let mut found = caller.tensors().filter(|(_, d)| fits(d));
        match (found.next(), found.next()) {
            (Some((name, _)), None) => Some(name.to_owned()),
            _ => None,
        }
    }

    /// A type as written, with the sizes that are known already: `[B, 784]`.
    pub(crate) fn show_declared(&mut self, ty: &'p Type) -> String {
        let TypeKind::Data { dtype, dims } = &ty.kind else { return String::new() };
        let mut shown = vec![];
        for dim in dims {
            shown.push(match dim {
                // what the caller's own arguments make it
                Dim::Rest(_) => match &self.frame().rest {
                    Some(rest) if self.frame().in_library() && !rest.axes.is_empty() => {
                        rest.axes.iter().map(Axis::to_string).collect::<Vec<_>>().join(", ")
                    }
                    _ => "...".to_owned(),
                },
                Dim::Stretch => "_".to_owned(),
                Dim::Size(e) => match capital(e) {
                    Some(name) => match self.frame().dims.get(name) {
                        Some(known) if self.frame().in_library() => {
                            known.outer.as_ref().map_or(known.size.to_string(), |label| label.name.to_string())
                        }
                        _ => name.to_owned(),
                    },
                    None => {
                        let before = self.diagnostics.len();
                        let size = self.size(e).map_or("?".to_owned(), |n| n.to_string());
                        self.diagnostics.truncate(before);
                        size
                    }
                },
            });
        }
        format!("{}[{}]", dtype.text(), shown.join(", "))
    }

    /// A size as a number.
    pub(crate) fn size(&mut self, e: &'p Expr) -> Eval<usize> {
        Ok(self.sized(e)?.size)
    }

    /// An axis of a size, with the name of the dimension that it is.
    fn sized(&mut self, e: &'p Expr) -> Eval<Axis> {
        let value = self.eval(e)?;
        value.axis().ok_or_else(|| match value {
            Value::Poison => Stop,
            Value::Int(i, _) => {
                self.error("number-out-of-range", format!("{i} is not a valid axis size"), e.span, "a size")
            }
            other if other.has_data() => {
                let message = "the size of an axis must be known when compiling";
                self.error("not-constant", message, e.span, "is data")
            }
            other => {
                let message = format!("expected an integer size, found {}", other.describe(self.float));
                self.error("type-mismatch", message, e.span, "expected an integer")
            }
        })
    }

    /// The shape that a type denotes in the current frame; every dimension must be bound.
    pub(crate) fn shape_of(&mut self, dims: &'p [Dim]) -> Eval<Vec<Axis>> {
        let mut axes = vec![];
        for dim in dims {
            match dim {
                Dim::Rest(_) => {
                    let Some(rest) = self.frame().rest.clone() else { return super::stop() };
                    axes.extend(rest.axes.into_iter().map(|axis| Axis { stretch: false, ..axis }));
                }
                Dim::Stretch => axes.push(Axis::stretching()),
                Dim::Size(e) => {
                    if let Some(name) = capital(e)
                        && !self.frame().dims.contains_key(name)
                    {
                        let message = format!("cannot infer the size of the dimension `{name}`");
                        let label = "no argument has an axis of this name";
                        return Err(self.error("unbound-dimension", message, e.span, label));
                    }
                    let axis = self.sized(e)?;
                    axes.push(Axis { label: axis.label.or_else(|| Label::one(e)), ..axis });
                }
            }
        }
        Ok(axes)
    }

    /// Whether two axes are compatible: they have equal sizes, and not by chance, as different dimensions of the model may, or a dimension
    /// and what is written `1`. Axes of which less is known go by size.
    pub(crate) fn agree(&self, a: &Axis, b: &Axis) -> bool {
        let root = |axis: &Axis| self.root(axis.label.as_ref()?);
        a.size == b.size && !matches!((root(a), root(b)), (Some(a), Some(b)) if a != b)
    }

    /// The name of the model's input axis that a label denotes, if any. Two names in a block may denote one axis.
    fn root(&self, label: &Label) -> Option<Rc<str>> {
        if label.is_of_model() {
            return Some(label.name.clone());
        }
        let frame = self.frames.iter().rev().find(|frame| frame.id == label.frame)?;
        self.root(frame.dims.get(&*label.name)?.outer.as_ref()?)
    }

    /// Axes as users read them.
    pub(crate) fn show_axes(&self, axes: &[Axis]) -> String {
        show_type(self.float, axes, self.float)
    }
}
