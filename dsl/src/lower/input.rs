//! The inputs of a model: their concrete types, from the data or from given sizes.

use dlc_ir as ir;
use ir::{DType, Role, Type};

use super::entry::Chosen;
use super::frame::Dimension;
use super::shape::capital;
use super::value::{Axis, Data, Label, Value};
use super::{BoundArg, Eval, Lower, Mode, Stop};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::hir::{Callee, Dim, Expr, ExprKind, Param, TypeKind};
use crate::span::Span;

impl<'p> Lower<'p> {
    /// Adds the model's inputs to its arguments, each an argument of the outermost function.
    pub(crate) fn inputs(&mut self, chosen: &Chosen<'p>, mut given: Vec<BoundArg<'p>>) -> Eval<Vec<BoundArg<'p>>> {
        let definition = chosen.definition;
        // A frame with the arguments that are known, in which sizes like `[B, classes]` can be computed.
        let frame = self.new_frame(chosen.definition.at.module, &chosen.definition.locals);
        self.frames.push(frame);
        self.declare_arguments(chosen, &given)?;
        for (i, param) in definition.params.iter().enumerate().filter(|(_, p)| p.ty.is_data()) {
            if param.default.is_some() {
                continue;
            }
            let (dtype, axes) = self.input_type(chosen, param)?;
            let shape: ir::Shape = axes.iter().map(|axis| axis.size).collect();
            let ty = Type::new(dtype, shape);
            if ty.checked_bytes().is_none() {
                let message = format!("the input `{}` of type {ty} is too large for any memory", param.name.name);
                return Err(self.error("too-large", message, param.span, "too large"));
            }
            let value = self.contexts[0].builder.arg(&param.name.name, ty, Role::Input);
            let func = self.contexts[0].id;
            let origin = param.ty.span;
            let axes = axes.into();
            let data = Data { value, func, dtype, axes, origin, dense: None, transpose_of: None, weight: None };
            self.input_data.insert(param.name.name.clone(), data.clone());
            given.push(BoundArg { param: i, value: Value::Data(data), span: param.ty.span });
        }
        self.frames.pop();
        Ok(given)
    }

    /// Declares the arguments of a model that are known without its data, in the innermost frame.
    pub(crate) fn declare_arguments(&mut self, chosen: &Chosen<'p>, given: &[BoundArg<'p>]) -> Eval<()> {
        let definition = chosen.definition;
        for (i, param) in definition.params.iter().enumerate().filter(|(_, p)| !p.ty.is_data()) {
            let value = match (given.iter().find(|g| g.param == i), &param.default) {
                (Some(g), _) => g.value.clone(),
                (None, Some(e)) if !param.late && !matches!(e.kind, ExprKind::Call(_)) => self.eval(e)?,
                (None, Some(_)) => continue,
                (None, None) => {
                    let error = self.missing(&definition.name.name, &[&param.name.name], definition.name.span);
                    return Err(error);
                }
            };
            self.frame_mut().set_param(i, param, value);
        }
        Ok(())
    }

    /// The concrete type of an input: that of its field in the data, or else the declared one with the given sizes.
    fn input_type(&mut self, chosen: &Chosen<'p>, param: &'p Param) -> Eval<(DType, Vec<Axis>)> {
        let TypeKind::Data { dtype, dims } = &param.ty.kind else { return Err(Stop) };
        let declared = dtype.dtype(self.float);
        let field = self.request.fields.get(&param.name.name);
        let has_rest = dims.iter().any(|dim| matches!(dim, Dim::Rest(_)));
        let fixed = dims.len() - usize::from(has_rest);
        match field {
            None if !self.request.fields.is_empty() => return Err(self.no_field(param)),
            Some(field) if !dtype.fits(field.dtype, self.float) => {
                let message = format!("expected {declared} for {}, found {field}", self.given_for(&param.name.name));
                let error = self.misfit(chosen, param, message, param.span, "this input");
                let to = if declared == self.float { "float" } else { declared.name() };
                let help = format!("in the dataset, convert it: `{to}(…)`");
                return Err(self.fail(if self.fed_by_data() { error.help(help) } else { error }));
            }
            Some(field) if field.rank() < fixed || !has_rest && field.rank() != fixed => {
                let given = self.given_for(&param.name.name);
                let message = format!("{given} is {field}, with a different number of axes than declared");
                let error = self.misfit(chosen, param, message, param.ty.span, "this input");
                return Err(self.fail(error));
            }
            _ => {}
        }
        let mut axes: Vec<Axis> = vec![];
        for dim in dims {
            match (dim, field) {
                (Dim::Rest(span), None) => {
                    let message = format!("the axes of the input `{}` are unknown", param.name.name);
                    return Err(self.error("unbound-dimension", message, *span, "they are known from its data only"));
                }
                (Dim::Rest(_), Some(field)) => {
                    let sizes = field.shape[axes.len()..].iter().take(field.rank() - fixed);
                    axes.extend(sizes.map(|&size| Axis::new(size)));
                }
                (Dim::Stretch, _) => axes.push(Axis::new(field.map_or(1, |field| field.shape[axes.len()]))),
                (Dim::Size(e), _) => {
                    let size = self.input_size(chosen, param, e, field.map(|field| (field, axes.len())))?;
                    axes.push(Axis { label: written(e), ..Axis::new(size) });
                }
            }
        }
        Ok((field.map_or(declared, |field| field.dtype), axes))
    }

    /// The size of an axis of an input: that of the axis of its field, or else the given one. It binds a dimension, which sizes of later
    /// inputs may mention.
    fn input_size(
        &mut self,
        chosen: &Chosen<'p>,
        param: &'p Param,
        declared: &'p Expr,
        field: Option<(&Type, usize)>,
    ) -> Eval<usize> {
        let (name, span) = (&param.name.name, declared.span);
        let given = field.map(|(field, axis)| field.shape[axis]);
        let Some(dimension) = capital(declared) else {
            let expected = self.size(declared)?;
            let Some((field, axis)) = field.filter(|_| given != Some(expected)) else { return Ok(expected) };
            let (what, found) = (self.given_for(name), field.shape[axis]);
            let message = format!("expected {expected} for an axis of {what}, {field}, found {found}");
            let error = self.misfit(chosen, param, message, span, "this size");
            return Err(self.fail(error));
        };
        let Some(size) = given.or_else(|| self.request.dims.get(dimension).copied()) else {
            let message = format!("the dimension `{dimension}` of `{}` has no size", chosen.definition.name.name);
            let error = Diagnostic::error("unbound-dimension", message).primary(self.at(span), "unknown size");
            return Err(self.fail(error.help(format!("set it with `--size {dimension}=…`, or pass data for `{name}`"))));
        };
        let new = Dimension { size, outer: None, origin: span, what: format!("`{dimension}`") };
        let known = self.frame_mut().dims.entry(dimension.to_owned()).or_insert(new);
        if known.size != size {
            let known = (known.size, known.origin);
            let error = self.two_sizes(chosen, name, (dimension, size, span), known);
            return Err(self.fail(error));
        }
        Ok(size)
    }

    /// Whether the inputs are fields of a dataset; otherwise the caller provides them.
    fn fed_by_data(&self) -> bool {
        self.request.mode != Mode::Infer
    }

    fn given_for(&self, input: &str) -> String {
        format!("{} `{input}`", if self.fed_by_data() { "the field" } else { "the input" })
    }

    /// The error for an input that the data leaves without values.
    fn no_field(&mut self, param: &'p Param) -> Stop {
        let name = &param.name.name;
        if !self.fed_by_data() {
            return self.error("missing-argument", format!("missing input `{name}`"), param.span, "this input");
        }
        let fields: Vec<&str> = self.request.fields.keys().map(String::as_str).collect();
        let label = match did_you_mean(name, fields.iter().copied()) {
            Some(meant) => format!("is it the field `{meant}`? a field feeds the input of its name"),
            None => format!("the fields are {}", fields.join(", ")),
        };
        self.error("field-mismatch", format!("the data has no field for the input `{name}`"), param.span, label)
    }

    /// The error for a dimension to which two fields give different sizes, the second of which feeds the input `name`.
    fn two_sizes(
        &self,
        chosen: &Chosen<'p>,
        name: &str,
        (dimension, size, place): (&str, usize, Span),
        (known, origin): (usize, Span),
    ) -> Diagnostic {
        let error =
            Diagnostic::error("dimension-conflict", format!("conflicting sizes for `{dimension}`: {known} and {size}"));
        let expected = "different sizes need different names";
        let first = chosen.definition.params.iter().find(|param| param.span.contains(origin));
        let first = first.map_or("", |param| param.name.name.as_str());
        match (self.field_value(chosen, name), self.field_value(chosen, first)) {
            (Some(this), Some(other)) => error
                .primary(this.span, format!("makes it {size}; {expected}"))
                .secondary(other.span, format!("makes it {known}"))
                .secondary(origin, "")
                .secondary(place, "declared here"),
            _ => error
                .primary(place, format!("{} makes it {size}; {expected}", self.given_for(name)))
                .secondary(origin, format!("{} makes it {known}", self.given_for(first))),
        }
    }

    /// The value of a field in the dataset that trains the model.
    fn field_value(&self, chosen: &Chosen<'p>, name: &str) -> Option<&'p Expr> {
        let ExprKind::Call(data) = &chosen.train?.section.get("data")?.kind else { return None };
        let Callee::Item { at, .. } = data.callee else { return None };
        self.program.field_of(at, name).map(|(_, value, _)| value)
    }

    /// The error for data that does not fit the input that it feeds.
    fn misfit(&self, chosen: &Chosen<'p>, param: &Param, message: String, span: Span, label: &str) -> Diagnostic {
        let error = Diagnostic::error("field-mismatch", message).primary(self.at(span), label);
        match self.field_value(chosen, &param.name.name) {
            Some(value) => error.secondary(value.span, "the field"),
            None => error,
        }
    }
}

/// What an axis of the model is called whose size is written so.
fn written(size: &Expr) -> Option<Label> {
    capital(size).map(Label::of_model).or_else(|| Label::one(size))
}
