//! The inputs of a model: their concrete types, from the data or from given sizes.

use dlc_ir as ir;
use ir::{DType, Role, Type};

use super::bind::is_data;
use super::entry::Chosen;
use super::settings::setting_value;
use super::value::{Axis, Data, Value};
use super::{Eval, Given, Lower, Stop};
use crate::ast::{self, Dim, ExprKind, TypeKind};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::resolve::{Target, visit};
use crate::span::Span;

/// A dimension to which a field gives a size.
pub(crate) struct FieldDim {
    size: usize,
    /// The field.
    field: String,
    /// The dimension in the type of the input that the field feeds.
    place: Span,
}

impl<'p> Lower<'p> {
    /// Adds the model's inputs to its arguments, each an argument of the outermost function.
    pub(crate) fn inputs(&mut self, chosen: &Chosen<'p>, mut given: Vec<Given<'p>>) -> Eval<Vec<Given<'p>>> {
        let definition = chosen.definition;
        // A frame with the arguments that are known, in which sizes like `[B, classes]` can be computed.
        let frame = self.new_frame(chosen.at.module);
        self.frames.push(frame);
        for (i, param) in definition.params.iter().enumerate().filter(|(_, p)| !is_data(&p.ty)) {
            let value = match (given.iter().find(|g| g.param == i), &param.default) {
                (Some(g), _) => g.value.clone(),
                (None, Some(e)) if !visit::mentions_dimension(e) && !matches!(e.kind, ExprKind::Call(_)) => {
                    self.eval(e)?
                }
                (None, Some(_)) => continue,
                (None, None) => {
                    let error = self.missing(&definition.name.name, &[&param.name.name], definition.name.span);
                    return Err(error);
                }
            };
            self.declare(&param.name, value)?;
        }
        for (i, param) in definition.params.iter().enumerate().filter(|(_, p)| is_data(&p.ty)) {
            if param.default.is_some() {
                continue;
            }
            let (dtype, axes) = self.input_type(chosen, param)?;
            let shape: ir::Shape = axes.iter().map(|axis| axis.size).collect();
            let ty = Type::new(dtype, shape);
            if ty.checked_bytes().is_none() {
                let message = format!("the input `{}` of type {ty} is too large for any memory", param.name.name);
                return Err(self.fault("too-large", message, param.span, "too large"));
            }
            let value = self.contexts[0].builder.arg(&param.name.name, ty, Role::Input);
            let func = self.contexts[0].id;
            let origin = param.ty.span;
            let data = Data { value, func, dtype, axes, origin, dense: None, transpose_of: None, weight: None };
            self.input_data.insert(param.name.name.clone(), data.clone());
            given.push(Given { param: i, value: Value::Data(data), span: param.ty.span });
        }
        self.frames.pop();
        Ok(given)
    }

    /// The concrete type of an input: that of its field in the data, or else the declared one with the given sizes.
    fn input_type(&mut self, chosen: &Chosen<'p>, param: &'p ast::Param) -> Eval<(DType, Vec<Axis>)> {
        let definition = chosen.definition;
        let TypeKind::Data { dtype, dims } = &param.ty.kind else { return Err(Stop) };
        let declared = self.dtype_of(dtype.as_ref())?;
        if let Some(field) = self.request.fields.get(&param.name.name) {
            let axes: Vec<Axis> = field.shape.iter().map(|&size| Axis::new(size)).collect();
            let any_int = dtype.as_ref().is_some_and(|d| d.name == "int");
            let fits = if any_int { field.dtype.is_int() } else { field.dtype == declared };
            if !fits {
                let message = format!("the field `{}` is {field}, but the input wants {declared}", param.name.name);
                let at = self.at(param.span);
                let error = Diagnostic::error("field-mismatch", message).primary(at, "this input");
                let error = self.beside_field(chosen, param, error);
                let to = if declared == self.float { "float" } else { declared.name() };
                return Err(self.fail(error.help(format!("in the dataset, convert it: `{to}(…)`"))));
            }
            self.check_field(chosen, param, dims, field)?;
            return Ok((field.dtype, axes));
        }
        if !self.request.fields.is_empty() {
            return Err(self.no_field(param));
        }
        let mut axes = vec![];
        for dim in dims {
            let size = match dim {
                Dim::Size(e) => match &e.kind {
                    ExprKind::Name(name) if name.starts_with(|c: char| c.is_ascii_uppercase()) => {
                        match self.dim_size(name) {
                            Some(size) => size,
                            None => {
                                let message =
                                    format!("the dimension `{name}` of `{}` has no size", definition.name.name);
                                let at = self.at(e.span);
                                let error = Diagnostic::error("unbound-dimension", message)
                                    .primary(at, "nothing says how large")
                                    .help(format!(
                                        "give it a size: `--size {name}=…`, or data for `{}`",
                                        param.name.name
                                    ));
                                return Err(self.fail(error));
                            }
                        }
                    }
                    _ => self.size(e)?,
                },
                Dim::Stretch(_) => 1,
                Dim::Rest(span) => {
                    let message = format!("the input `{}` may have any axes", param.name.name);
                    return Err(self.fault("unbound-dimension", message, *span, "only its data says which"));
                }
            };
            axes.push(Axis::new(size));
        }
        Ok((declared, axes))
    }

    /// The error for an input that the data leaves without values.
    fn no_field(&mut self, param: &'p ast::Param) -> Stop {
        let name = &param.name.name;
        let fields: Vec<&str> = self.request.fields.keys().map(String::as_str).collect();
        let label = match did_you_mean(name, fields.iter().copied()) {
            Some(meant) => format!("is it the field `{meant}`? a field feeds the input of its name"),
            None => format!("the fields are {}", fields.join(", ")),
        };
        self.fault("field-mismatch", format!("the data has no field for the input `{name}`"), param.span, label)
    }

    /// The size of a dimension: given, or that of an input whose field is known.
    fn dim_size(&mut self, name: &str) -> Option<usize> {
        self.request.dims.get(name).copied().or_else(|| Some(self.field_dims.get(name)?.size))
    }

    /// Checks a field's shape against an input's and notes the dimensions that it gives a size.
    fn check_field(&mut self, chosen: &Chosen<'p>, param: &'p ast::Param, dims: &'p [Dim], field: &Type) -> Eval<()> {
        let name = &param.name.name;
        let rest = dims.iter().any(|d| matches!(d, Dim::Rest(_)));
        let fixed = dims.len() - usize::from(rest);
        if field.rank() < fixed || !rest && field.rank() != fixed {
            let message = format!("the field `{name}` is {field}, with another number of axes than the input");
            let error = Diagnostic::error("field-mismatch", message).primary(self.at(param.ty.span), "this input");
            let error = self.beside_field(chosen, param, error);
            return Err(self.fail(error));
        }
        let sizes = &field.shape[field.rank() - fixed..];
        let wanted = dims.iter().filter(|d| !matches!(d, Dim::Rest(_)));
        for (dim, &size) in wanted.zip(sizes) {
            let Dim::Size(e) = dim else { continue };
            if let ExprKind::Name(capital) = &e.kind
                && capital.starts_with(|c: char| c.is_ascii_uppercase())
            {
                match self.field_dims.get(capital) {
                    Some(known) if known.size != size => {
                        let message = format!("`{capital}` is both {} and {size}", known.size);
                        let error = Diagnostic::error("dimension-conflict", message);
                        let (new, old) = (format!("makes it {size}"), format!("makes it {}", known.size));
                        let wanted = "two lengths want two names";
                        let fields = (self.field_value(chosen, name), self.field_value(chosen, &known.field));
                        let error = match fields {
                            (Some(this), Some(other)) => error
                                .primary(this.span, format!("{new}; {wanted}"))
                                .secondary(other.span, old)
                                .secondary(known.place, "")
                                .secondary(e.span, "one name, one size"),
                            _ => error
                                .primary(e.span, format!("the field `{name}` {new}; {wanted}"))
                                .secondary(known.place, format!("the field `{}` {old}", known.field)),
                        };
                        return Err(self.fail(error));
                    }
                    Some(_) => {}
                    None => {
                        let known = FieldDim { size, field: name.clone(), place: e.span };
                        self.field_dims.insert(capital.clone(), known);
                    }
                }
                continue;
            }
            let wanted = self.size(e)?;
            if wanted != size {
                let message = format!("the field `{name}` is {field}, but the input has {wanted} where it has {size}");
                let error = Diagnostic::error("field-mismatch", message).primary(self.at(e.span), "this size");
                let error = self.beside_field(chosen, param, error);
                return Err(self.fail(error));
            }
        }
        Ok(())
    }

    /// What the dataset that trains the model says of a field.
    fn field_value(&self, chosen: &Chosen<'p>, name: &str) -> Option<&'p ast::Expr> {
        let ExprKind::Call(data) = &setting_value(chosen.train?, "data")?.kind else { return None };
        let Some(Target::Item(dataset)) = self.program.lookup(0, &data.callee.name) else { return None };
        self.program.field_of(dataset, name).map(|(_, value, _)| value)
    }

    /// The error with the place of the field that feeds an input.
    fn beside_field(&self, chosen: &Chosen<'p>, param: &ast::Param, error: Diagnostic) -> Diagnostic {
        match self.field_value(chosen, &param.name.name) {
            Some(value) => error.secondary(value.span, "the field"),
            None => error,
        }
    }
}
