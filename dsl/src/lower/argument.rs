//! Arguments: evaluation, and type checks against their parameters.

use std::rc::Rc;

use dlc_ir::{DType, Scalar};

use super::call::Piped;
use super::value::{Data, Thunk, Value};
use super::{Eval, Lower};
use crate::hir::bind::{Callee, Form, missing_arguments};
use crate::hir::{self, Arg, Call, Definition, Expr, ExprKind, Type, TypeKind};
use crate::span::Span;

/// A value for a parameter.
#[derive(Clone, Debug)]
pub(crate) struct BoundArg<'p> {
    /// The parameter's number.
    pub param: usize,
    pub value: Value<'p>,
    /// Where the value is written.
    pub span: Span,
}

impl<'p> Lower<'p> {
    /// Evaluates the arguments of a call of this definition. `piped` comes first. For a `layer` the data is left out.
    pub(crate) fn bind_args(
        &mut self,
        definition: &'p Definition,
        call: &'p Call,
        piped: Piped<'p>,
        form: Form,
    ) -> Eval<Vec<BoundArg<'p>>> {
        let params = match &call.callee {
            hir::Callee::Item { params, .. } => params.clone(),
            _ => self.params_of(definition, &call.args, &piped, form)?,
        };
        self.bound_args(definition, &params, &call.args, piped)
    }

    /// The parameters of the arguments of a callee that is known only while lowering.
    pub(crate) fn params_of(
        &mut self,
        definition: &'p Definition,
        args: &'p [Arg],
        piped: &Piped<'p>,
        form: Form,
    ) -> Eval<Vec<usize>> {
        let left: Vec<Span> = piped.iter().map(|(_, span)| *span).collect();
        let written = args.iter().map(|arg| (arg.name.as_ref(), arg.span, arg.value.span));
        Callee::of(self.program.item(definition.at)).bind(form, &left, written).map_err(|errors| {
            for mut error in errors {
                error.labels.iter_mut().for_each(|label| label.span = self.at(label.span));
                self.diagnostics.push(error);
            }
            super::Stop
        })
    }

    /// Evaluates arguments whose parameters are known in the current frame. `piped` comes first.
    pub(crate) fn bound_args(
        &mut self,
        definition: &'p Definition,
        params: &[usize],
        args: &'p [Arg],
        piped: Piped<'p>,
    ) -> Eval<Vec<BoundArg<'p>>> {
        let (left, written) = params.split_at(piped.len());
        let piped = left.iter().zip(piped).map(|(&param, (value, span))| BoundArg { param, value, span });
        let mut given: Vec<BoundArg<'p>> = piped.collect();
        let mut failed = false;
        for (&param, arg) in written.iter().zip(args) {
            match self.argument(&arg.value, definition.params[param].ty.is_fn()) {
                Ok(value) => given.push(BoundArg { param, value, span: arg.value.span }),
                Err(_) => failed = true,
            }
        }
        if failed { Err(super::Stop) } else { Ok(given) }
    }

    /// Evaluates an argument. A call for a parameter of type `fn` is deferred until its weight's shape is known.
    pub(crate) fn argument(&mut self, value: &'p Expr, delays: bool) -> Eval<Value<'p>> {
        let (ExprKind::Call(call), true) = (&value.kind, delays) else { return self.eval(value) };
        let Value::Fn(definition) = self.callee(call)? else { return self.eval(value) };
        let args = self.bind_args(definition, call, vec![], Form::Call)?;
        Ok(Value::Thunk(Rc::new(Thunk { call, definition, args })))
    }

    /// The value as one of the type of a parameter known at compile time.
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
            ("fn", v @ (Value::Fn(_) | Value::Thunk(_) | Value::Layer(_) | Value::Int(..) | Value::Float(_))) => Ok(v),
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
        fits.map_err(|found| self.unexpected(&found, &show_value_type(ty), what, span))
    }

    /// The error for a value that is not what is expected, and known when compiling.
    pub(crate) fn unexpected(&mut self, found: &Value<'p>, expected: &str, what: &str, span: Span) -> super::Stop {
        let shown = found.describe(self.float);
        if found.has_data() {
            let message = format!("{what} must be known when compiling");
            return self.error("not-constant", message, span, format!("{shown} is data; expected {expected}"));
        }
        let message = format!("expected {expected} for {what}, found {shown}");
        self.error("type-mismatch", message, span, format!("expected {expected}"))
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
                let message = format!("expected data for {what}, found {}", other.describe(self.float));
                Err(self.error("type-mismatch", message, span, "expected data"))
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
                    return Err(self.error(
                        "number-out-of-range",
                        message,
                        span,
                        format!("combined with {dtype} data here"),
                    ));
                }
                scalar
            }
            (Value::Poison, _) => return Err(super::Stop),
            (other, _) => {
                let message = format!("cannot combine {} with {dtype} data", other.describe(self.float));
                let label = match other {
                    // As an integer, the number would lose its fraction.
                    Value::Float(_) => "convert the data: `float(…)`".to_owned(),
                    _ if dtype.is_float() => "convert one of them: `float(…)`".to_owned(),
                    _ => format!("convert one of them: `{dtype}(…)`"),
                };
                return Err(self.error("type-mismatch", message, span, label));
            }
        };
        if let (Scalar::Float(x), DType::F32) = (scalar, dtype)
            && x.is_finite()
            && !(x as f32).is_finite()
        {
            return Err(self.error("number-out-of-range", format!("{x:?} does not fit f32"), span, "too large"));
        }
        Ok(scalar)
    }

    /// The error for missing arguments.
    pub(crate) fn missing(&mut self, callee: &str, names: &[&str], span: Span) -> super::Stop {
        let error = missing_arguments(callee, names, self.at(span));
        self.fail(error)
    }

    /// Checks that no required argument is missing.
    pub(crate) fn check_bound(&mut self, definition: &'p Definition, given: &[BoundArg<'p>], span: Span) -> Eval<()> {
        // An initial value cannot declare layers.
        let (at, in_init) = (self.at(span), !self.initial_shapes.is_empty());
        let callee = Callee::of(self.program.item(definition.at));
        let given: Vec<(usize, bool)> = given.iter().map(|g| (g.param, g.value.has_data())).collect();
        callee.missing(Form::Call, &given, in_init, at).map_or(Ok(()), |error| Err(self.fail(error)))
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
