//! Arguments: which goes to which parameter, and whether it is of its type.

use std::rc::Rc;

use dlc_ir::{DType, Scalar};

use rustc_hash::FxHashSet;

use super::value::{Callee, Data, Delayed, Value};
use super::{Eval, Lower};
use crate::ast::{Arg, Definition, DefinitionKind, Expr, ExprKind, Param, Type, TypeKind};
use crate::diagnostic::{Diagnostic, did_you_mean, of_two, quoted};
use crate::span::Span;

/// A value for a parameter.
#[derive(Clone, Debug)]
pub(crate) struct Given<'p> {
    /// The parameter's number.
    pub param: usize,
    pub value: Value<'p>,
    /// Where the value is written.
    pub span: Span,
}

/// A parameter's name and whether it goes by name only.
pub(crate) struct Formal<'a> {
    pub name: &'a str,
    pub named_only: bool,
    /// Whether a call is wanted that waits for its shape.
    pub delays: bool,
    pub data: bool,
}

pub(crate) fn formals<'a>(callee: &Callee<'a>) -> Vec<Formal<'a>> {
    callee.definition.params.iter().map(formal).collect()
}

fn formal(p: &Param) -> Formal<'_> {
    Formal { name: &p.name.name, named_only: p.default.is_some(), delays: is_fn(&p.ty), data: is_data(&p.ty) }
}

pub(crate) fn is_data(ty: &Type) -> bool {
    matches!(ty.kind, TypeKind::Data { .. })
}

fn is_fn(ty: &Type) -> bool {
    matches!(&ty.kind, TypeKind::Value { name, .. } if name.name == "fn")
}

impl<'p> Lower<'p> {
    /// Puts arguments to parameters and evaluates them in the current frame. `piped` comes first. For a `layer` the
    /// data is left out.
    pub(crate) fn place(
        &mut self,
        callee: &Callee<'p>,
        args: &'p [Arg],
        piped: Vec<(Value<'p>, Span)>,
        without_data: bool,
    ) -> Eval<Vec<Given<'p>>> {
        let formals = formals(callee);
        let mut by_place: Vec<usize> = (0..formals.len()).filter(|&i| !formals[i].named_only).collect();
        if without_data {
            by_place.retain(|&i| !formals[i].data);
        }
        let mut next = by_place.into_iter();
        let mut given: Vec<Given<'p>> = vec![];
        let mut first: Vec<Option<Span>> = vec![None; formals.len()];
        let mut failed = false;
        for (value, span) in piped {
            match next.next() {
                Some(param) => {
                    first[param] = Some(span);
                    given.push(Given { param, value, span });
                }
                None => {
                    let message = format!("`{}` takes nothing from a pipe", callee.name());
                    self.fault("too-many-arguments", message, span, "nowhere to go");
                    failed = true;
                }
            }
        }
        for arg in args {
            let param = match &arg.name {
                None => match next.next() {
                    Some(param) => param,
                    None => {
                        self.too_many(callee, &formals, arg);
                        failed = true;
                        continue;
                    }
                },
                Some(name) => match formals.iter().position(|f| f.name == name.name) {
                    Some(param) => param,
                    None => {
                        let names: Vec<&str> = formals.iter().map(|f| f.name).collect();
                        let error = unknown_argument(callee.name(), name, &names, self.at(name.span));
                        self.fail(error);
                        failed = true;
                        continue;
                    }
                },
            };
            if let Some(first) = first[param] {
                let message = format!("`{}` is given twice", formals[param].name);
                let (new, old) = (self.at(arg.span), self.at(first));
                let error = Diagnostic::error("duplicate-argument", message).primary(new, "given again");
                self.fail(error.secondary(old, "first given here"));
                failed = true;
                continue;
            }
            match self.argument(&arg.value, formals[param].delays) {
                Ok(value) => {
                    first[param] = Some(arg.value.span);
                    given.push(Given { param, value, span: arg.value.span });
                }
                Err(_) => failed = true,
            }
        }
        if failed { Err(super::Stop) } else { Ok(given) }
    }

    fn too_many(&mut self, callee: &Callee<'p>, formals: &[Formal<'_>], arg: &Arg) {
        let places = formals.iter().filter(|f| !f.named_only).count();
        let plural = if places == 1 { "argument" } else { "arguments" };
        let message = format!("`{}` takes {places} {plural} by place", callee.name());
        let named: Vec<String> = formals.iter().filter(|f| f.named_only).map(|f| format!("`{}:`", f.name)).collect();
        let at = self.at(arg.span);
        let mut error = Diagnostic::error("too-many-arguments", message).primary(at, "one too many");
        if let Some(function) = of_two(callee.name()) {
            error = error.help(format!("of two values: `{function}(a, b)`"));
        }
        if !named.is_empty() {
            error = error.help(format!("the others go by name: {}", named.join(", ")));
        }
        self.fail(error);
    }

    /// Evaluates an argument. A call for a parameter of type `fn` waits for its weight's shape.
    fn argument(&mut self, value: &'p Expr, delays: bool) -> Eval<Value<'p>> {
        if let (true, ExprKind::Call(call)) = (delays, &value.kind)
            && let Value::Fn(callee) = self.callee(&call.callee)?
        {
            let args = self.place(&callee, &call.args, vec![], false)?;
            return Ok(Value::Delayed(Rc::new(Delayed { call, callee, args })));
        }
        self.eval(value)
    }

    /// The value as one of the type of a parameter known when compiling.
    pub(crate) fn coerce(&mut self, value: Value<'p>, ty: &Type, what: &str, span: Span) -> Eval<Value<'p>> {
        let TypeKind::Value { name, of, optional } = &ty.kind else { return Ok(value) };
        if matches!(value, Value::Poison) {
            return Err(super::Stop);
        }
        let fits = match (name.name.as_str(), value) {
            (_, Value::None) if *optional => Ok(Value::None),
            ("int" | "axis", Value::Int(i, label)) => Ok(Value::Int(i, label)),
            ("float", Value::Int(i, _)) => Ok(Value::Float(i as f64)),
            ("float", Value::Float(x)) => Ok(Value::Float(x)),
            ("bool", Value::Bool(b)) => Ok(Value::Bool(b)),
            ("string", Value::Str(s)) => Ok(Value::Str(s)),
            ("dtype", Value::DType(d)) => Ok(Value::DType(d)),
            ("fn", v @ (Value::Fn(_) | Value::Delayed(_) | Value::Layer(_) | Value::Int(..) | Value::Float(_))) => {
                Ok(v)
            }
            ("list", Value::List(items)) => {
                let mut all = vec![];
                for item in items.iter() {
                    all.push(match of {
                        Some(of) => self.coerce(item.clone(), of, &format!("an entry of {what}"), span)?,
                        None => item.clone(),
                    });
                }
                Ok(Value::list(all))
            }
            (_, other) => Err(other),
        };
        fits.map_err(|found| {
            let wanted = show_value_type(ty);
            if found.has_data() {
                let message = format!("{what} must be known when compiling");
                let found = found.describe(self.float);
                return self.fault("not-constant", message, span, format!("{found} is data; {wanted} is wanted"));
            }
            let message = format!("{what} wants {wanted}, not {}", found.describe(self.float));
            self.fault("type-mismatch", message, span, format!("not {wanted}"))
        })
    }

    /// A value as data of a parameter's dtype: numbers become constants.
    pub(crate) fn as_data(&mut self, value: Value<'p>, dtype: DType, what: &str, span: Span) -> Eval<Data> {
        match value {
            Value::Data(d) => Ok(d),
            Value::Int(..) | Value::Float(_) | Value::Bool(_) => {
                let scalar = self.number(&value, dtype, span)?;
                self.scalar(dtype, scalar, span)
            }
            Value::List(items) if !items.is_empty() => self.list_data(&items, dtype, span),
            Value::Poison => Err(super::Stop),
            other => {
                let message = format!("{what} wants data, not {}", other.describe(self.float));
                Err(self.fault("type-mismatch", message, span, "not data"))
            }
        }
    }

    /// A number as an element of a dtype, if it fits.
    pub(crate) fn number(&mut self, value: &Value<'p>, dtype: DType, span: Span) -> Eval<Scalar> {
        let scalar = match (value, dtype) {
            (Value::Int(i, _), DType::F32 | DType::F64) => Scalar::Float(*i as f64),
            (Value::Float(x), DType::F32 | DType::F64) => Scalar::Float(*x),
            (Value::Bool(b), DType::Bool) => Scalar::Bool(*b),
            (Value::Int(i, _), DType::I32 | DType::I64 | DType::U8) => {
                let scalar = Scalar::Int(*i);
                if scalar.round(dtype) != scalar {
                    let message = format!("{i} does not fit {dtype}");
                    return Err(self.fault("number-out-of-range", message, span, format!("meets {dtype} data here")));
                }
                scalar
            }
            (Value::Poison, _) => return Err(super::Stop),
            (other, _) => {
                let message = format!("{} cannot meet {dtype} data", other.describe(self.float));
                let label = match other {
                    // As an integer, the number would lose its fraction.
                    Value::Float(_) => "convert the data: `float(…)`".to_owned(),
                    _ if dtype.is_float() => "convert one of them: `float(…)`".to_owned(),
                    _ => format!("convert one of them: `{dtype}(…)`"),
                };
                return Err(self.fault("type-mismatch", message, span, label));
            }
        };
        if let (Scalar::Float(x), DType::F32) = (scalar, dtype)
            && x.is_finite()
            && !(x as f32).is_finite()
        {
            return Err(self.fault("number-out-of-range", format!("{x:?} does not fit f32"), span, "too large"));
        }
        Ok(scalar)
    }

    /// The error for parameters that got no value.
    pub(crate) fn missing(&mut self, callee: &str, names: &[&str], span: Span) -> super::Stop {
        let error = self.missing_arguments(callee, names, span);
        self.fail(error)
    }

    /// The same for a definition.
    pub(crate) fn missing_of(
        &mut self,
        definition: &Definition,
        given: &[Given<'p>],
        names: &[&str],
        span: Span,
    ) -> super::Stop {
        let callee = &definition.name.name;
        let mut error = self.missing_arguments(callee, names, span);
        let has_data = given.iter().any(|g| is_data(&definition.params[g.param].ty) && g.value.has_data());
        let takes_data = definition.params.iter().any(|param| is_data(&param.ty));
        // In an initial value there are no layers.
        let in_layers = self.initial_shapes.is_empty();
        if definition.kind == DefinitionKind::Block && takes_data && !has_data && in_layers {
            error = error.help(format!("for a layer that is called later, write `layer f = {callee}(…)`"));
        }
        self.fail(error)
    }

    fn missing_arguments(&self, callee: &str, names: &[&str], span: Span) -> Diagnostic {
        let list = quoted(names);
        let verb = if names.len() == 1 { "is" } else { "are" };
        let error = Diagnostic::error("missing-argument", format!("`{callee}` is not given {list}"));
        error.primary(self.at(span), format!("{list} {verb} missing"))
    }
}

pub(crate) fn unknown_argument(callee: &str, name: &crate::ast::Ident, names: &[&str], at: Span) -> Diagnostic {
    let message = format!("`{callee}` has no argument `{}`", name.name);
    let error = Diagnostic::error("unknown-argument", message);
    match did_you_mean(&name.name, names.iter().copied()) {
        Some(meant) => error.primary(at, format!("do you mean `{meant}`?")).fix(at, meant),
        None => error.primary(at, "unknown").help(format!("its arguments are {}", names.join(", "))),
    }
}

/// `an int`, `a list(int) or none`.
pub(crate) fn show_value_type(ty: &Type) -> String {
    fn plain(ty: &Type) -> String {
        match &ty.kind {
            TypeKind::Value { name, of, optional } => {
                let of = of.as_ref().map_or(String::new(), |of| format!("({})", plain(of)));
                format!("{}{of}{}", name.name, if *optional { "?" } else { "" })
            }
            TypeKind::Data { .. } => "data".into(),
        }
    }
    let text = plain(ty);
    let article = if text.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {text}")
}

/// The required parameters that got no value.
pub(crate) fn missing_params<'p>(definition: &'p Definition, given: &[Given<'p>]) -> Vec<&'p str> {
    let given: FxHashSet<usize> = given.iter().map(|g| g.param).collect();
    let required = definition.params.iter().enumerate().filter(|(_, p)| definition.requires(p));
    required.filter(|(i, _)| !given.contains(i)).map(|(_, p)| p.name.name.as_str()).collect()
}
