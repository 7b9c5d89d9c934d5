//! The inputs of a model: their concrete types, from the data or from given sizes.

use dlc_ir as ir;
use ir::{DType, Role, Type};

use super::entry::Chosen;
use super::frame::Dimension;
use super::shape::capital;
use super::value::{Axis, Data, Label, Value};
use super::{BoundArg, Eval, Lower, Mode, Stop};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::hir::{Callee, Definition, Dim, Expr, ExprKind, Param, TypeKind};
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
        let definition = chosen.definition;
        let TypeKind::Data { dtype, dims } = &param.ty.kind else { return Err(Stop) };
        let declared = dtype.dtype(self.float);
        if let Some(field) = self.request.fields.get(&param.name.name) {
            if !dtype.fits(field.dtype, self.float) {
                let message = format!("expected {declared} for {}, found {field}", self.given_for(&param.name.name));
                let error = self.misfit(chosen, param, message, param.span, "this input");
                let to = if declared == self.float { "float" } else { declared.name() };
                let help = format!("in the dataset, convert it: `{to}(…)`");
                return Err(self.fail(if self.fed_by_data() { error.help(help) } else { error }));
            }
            return Ok((field.dtype, self.field_axes(chosen, param, dims, field)?));
        }
        if !self.request.fields.is_empty() {
            return Err(self.no_field(param));
        }
        let mut axes = vec![];
        for dim in dims {
            axes.push(match dim {
                Dim::Size(e) => {
                    let size = match capital(e) {
                        Some(name) => self.given_size(definition, param, name, e.span)?,
                        None => self.size(e)?,
                    };
                    Axis { label: written(e), ..Axis::new(size) }
                }
                Dim::Stretch => Axis::new(1),
                Dim::Rest(span) => {
                    let message = format!("the axes of the input `{}` are unknown", param.name.name);
                    return Err(self.error("unbound-dimension", message, *span, "they are known from its data only"));
                }
            });
        }
        Ok((declared, axes))
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

    /// The size that is given to a dimension, which sizes of later inputs may mention.
    fn given_size(&mut self, definition: &Definition, param: &Param, name: &str, span: Span) -> Eval<usize> {
        if let Some(&size) = self.request.dims.get(name) {
            self.bind_dimension(name, size, span);
            return Ok(size);
        }
        let message = format!("the dimension `{name}` of `{}` has no size", definition.name.name);
        let error = Diagnostic::error("unbound-dimension", message).primary(self.at(span), "unknown size");
        Err(self.fail(error.help(format!("set it with `--size {name}=…`, or pass data for `{}`", param.name.name))))
    }

    fn bind_dimension(&mut self, name: &str, size: usize, origin: Span) {
        let dimension = Dimension { size, outer: None, origin, what: format!("`{name}`") };
        self.frame_mut().dims.entry(name.to_owned()).or_insert(dimension);
    }

    /// Checks a field's shape against an input's, and gives its sizes to the dimensions.
    fn field_axes(&mut self, chosen: &Chosen<'p>, param: &'p Param, dims: &'p [Dim], field: &Type) -> Eval<Vec<Axis>> {
        let name = &param.name.name;
        let given = self.given_for(name);
        let rest = dims.iter().position(|d| matches!(d, Dim::Rest(_)));
        let fixed = dims.len() - usize::from(rest.is_some());
        if field.rank() < fixed || rest.is_none() && field.rank() != fixed {
            let message = format!("{given} is {field}, with a different number of axes than declared");
            let error = self.misfit(chosen, param, message, param.ty.span, "this input");
            return Err(self.fail(error));
        }
        let mut axes: Vec<Axis> = field.shape.iter().map(|&size| Axis::new(size)).collect();
        for (i, dim) in dims.iter().enumerate() {
            let Dim::Size(e) = dim else { continue };
            let behind_rest = rest.is_some_and(|rest| rest < i);
            let axis = &mut axes[if behind_rest { i + field.rank() - dims.len() } else { i }];
            axis.label = written(e);
            let size = axis.size;
            let Some(capital) = capital(e) else {
                let expected = self.size(e)?;
                if expected != size {
                    let message = format!("expected {expected} for an axis of {given}, {field}, found {size}");
                    let error = self.misfit(chosen, param, message, e.span, "this size");
                    return Err(self.fail(error));
                }
                continue;
            };
            match self.frame().dims.get(capital) {
                Some(known) if known.size != size => {
                    let (known, origin) = (known.size, known.origin);
                    let error = self.two_sizes(chosen, name, (capital, size, e.span), (known, origin));
                    return Err(self.fail(error));
                }
                Some(_) => {}
                None => self.bind_dimension(capital, size, e.span),
            }
        }
        Ok(axes)
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
