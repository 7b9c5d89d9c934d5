//! `@gradient(my_vjp)` before a `fn`: a derivative that the user writes.

use dlc_ir as ir;
use ir::Symbol;

use super::value::{Data, Value};
use super::{BoundArg, Eval, Lower, Stop};
use crate::diagnostic::count;
use crate::hir::{Definition, ItemRef, TypeKind};
use crate::span::Span;

/// Tensors by the numbers of the parameters that take them.
type Tensors = Vec<(usize, Data)>;

impl<'p> Lower<'p> {
    /// Calls a `fn` with a custom derivative: both become functions, linked by `vjp`.
    pub(crate) fn call_custom(
        &mut self,
        definition: &'p Definition,
        (vjp, vjp_span): (ItemRef, Span),
        given: Vec<BoundArg<'p>>,
        ordinal: u32,
        span: Span,
    ) -> Eval<Value<'p>> {
        let (tensors, known) = self.tensors_and_known(definition, given)?;
        // The function itself; its arguments are the tensors in order.
        let own = self.enter(&definition.name.name, String::new());
        let mut inner = vec![];
        for (param, data) in &tensors {
            // Not by capture: one tensor may be passed as two arguments, each with its own cotangent.
            let name = &definition.params[*param].name.name;
            let value = self.context().builder.arg(name, data.ty(), ir::Role::Plain);
            inner.push((
                *param,
                Data { value, func: own, dense: None, transpose_of: None, weight: None, ..data.clone() },
            ));
        }
        let all = given_all(&inner, &known, span);
        let frame = self.callee_frame(definition, ordinal, span);
        let result = self.run(definition, all, frame, span);
        let returned = result.and_then(|result| {
            let outputs = self.tensors_of(&result, definition, span)?;
            Ok((result, self.locals(&outputs, span)?, outputs))
        });
        let context = self.contexts.pop().expect("was entered");
        let (result, returned, outputs) = returned?;
        if !context.captures.is_empty() {
            return Err(self.random_custom(definition, span));
        }
        let mut builder = context.builder;
        for value in returned {
            builder.output(None, value);
        }
        let mut function = builder.finish();
        function.vjp = Some(self.vjp_function(
            definition,
            (self.program.resolved(vjp), vjp_span),
            &tensors,
            &known,
            &outputs,
            span,
        )?);
        // Called in place, with the tensors as they are here.
        let operands: Vec<ir::Value> = tensors.iter().map(|(_, d)| self.local(d, span)).collect::<Eval<_>>()?;
        let function = self.functions.keep(function).clone();
        let loc = self.loc(span);
        let builder = &mut self.context().builder;
        builder.loc = loc;
        let values = builder.call(&function, &operands).expect("the arguments have the types of the tensors");
        let func = self.context().id;
        let place = |d: &Data, value| Data { value, func, dense: None, transpose_of: None, ..d.clone() };
        let mut placed = outputs.iter().zip(values).map(|(d, v)| Value::Data(place(d, v)));
        Ok(match result {
            Value::Tuple(_) => Value::Tuple(placed.collect()),
            _ => placed.next().expect("one result"),
        })
    }

    /// The key of random draws is an argument that no cotangent belongs to.
    fn random_custom(&mut self, definition: &Definition, span: Span) -> Stop {
        let message = format!(
            "`{}` draws random numbers, which a function with a custom derivative cannot",
            definition.name.name
        );
        self.error("not-supported-yet", message, span, "draw outside, and pass the numbers as an argument")
    }

    /// Arguments that are tensors, and those known at compile time.
    fn tensors_and_known(
        &mut self,
        definition: &'p Definition,
        given: Vec<BoundArg<'p>>,
    ) -> Eval<(Tensors, Vec<BoundArg<'p>>)> {
        let (mut tensors, mut known) = (vec![], vec![]);
        for g in given {
            match &definition.params[g.param].ty.kind {
                TypeKind::Data { dtype, .. } => {
                    let dtype = dtype.dtype(self.float);
                    let what = format!("`{}`", definition.params[g.param].name.name);
                    tensors.push((g.param, self.as_data(g.value, dtype, &what, g.span)?));
                }
                TypeKind::Value { .. } => known.push(g),
            }
        }
        tensors.sort_by_key(|(param, _)| *param);
        Ok((tensors, known))
    }

    fn tensors_of(&mut self, value: &Value<'p>, definition: &Definition, span: Span) -> Eval<Vec<Data>> {
        let values = match value {
            Value::Tuple(values) => values.to_vec(),
            value => vec![value.clone()],
        };
        let mut tensors = vec![];
        for value in values {
            match value {
                Value::Data(data) => tensors.push(data),
                other => {
                    let found = other.describe(self.float);
                    let message = format!("`{}` returns {found}, which has no gradient", definition.name.name);
                    return Err(self.error("wrong-result", message, span, "expected tensors"));
                }
            }
        }
        Ok(tensors)
    }

    /// The function from arguments and the results' cotangents to the arguments' cotangents.
    #[allow(clippy::too_many_arguments)] // all of it is one call's context
    fn vjp_function(
        &mut self,
        definition: &'p Definition,
        (vjp, name_span): (&'p Definition, Span),
        tensors: &[(usize, Data)],
        known: &[BoundArg<'p>],
        outputs: &[Data],
        span: Span,
    ) -> Eval<Symbol> {
        let name = &vjp.name.name;
        let expected = vjp.params.iter().filter(|p| p.ty.is_data()).count();
        if expected != tensors.len() + outputs.len() {
            let (takes, all) = (count(expected, "tensor"), tensors.len() + outputs.len());
            let message = format!("`{name}` takes {takes}, but the arguments and the results are {all}");
            return Err(self.error("wrong-count", message, name_span, "arguments, then cotangents of the results"));
        }
        let own = self.enter(name, String::new());
        let mut data = vec![];
        for d in tensors.iter().map(|(_, d)| d).chain(outputs) {
            let value = self.context().builder.arg("x", d.ty(), ir::Role::Plain);
            data.push(Data { value, func: own, dense: None, transpose_of: None, weight: None, ..d.clone() });
        }
        let places = (0..vjp.params.len()).filter(|i| vjp.params[*i].ty.is_data());
        let inner: Vec<(usize, Data)> = places.zip(data).collect();
        let names: Vec<&str> = vjp.params.iter().map(|p| p.name.name.as_str()).collect();
        let known = known.iter().filter_map(|g| {
            let param = names.iter().position(|name| *name == definition.params[g.param].name.name)?;
            Some(BoundArg { param, ..g.clone() })
        });
        let known: Vec<BoundArg<'p>> = known.collect();
        let all = given_all(&inner, &known, span);
        let frame = self.callee_frame(vjp, 0, span);
        let result = self.run(vjp, all, frame, span);
        let returned = result.and_then(|result| {
            let cotangents = self.tensors_of(&result, vjp, name_span)?;
            Ok((self.locals(&cotangents, span)?, cotangents))
        });
        let context = self.contexts.pop().expect("was entered");
        if !context.captures.is_empty() {
            return Err(self.random_custom(vjp, name_span));
        }
        let (returned, cotangents) = returned?;
        let floats: Vec<&Data> = tensors.iter().map(|(_, d)| d).filter(|d| d.dtype.is_float()).collect();
        let fits = cotangents.len() == floats.len() && cotangents.iter().zip(&floats).all(|(c, d)| c.ty() == d.ty());
        if !fits {
            let show = |list: Vec<&Data>| list.iter().map(|d| d.show(self.float)).collect::<Vec<_>>().join(", ");
            let (found, expected) = (show(cotangents.iter().collect()), show(floats));
            let message = format!("`{name}` returns {found}, expected the cotangents of the arguments, {expected}");
            return Err(self.error("wrong-result", message, name_span, "one for each floating-point argument"));
        }
        let mut builder = context.builder;
        for value in returned {
            builder.output(None, value);
        }
        Ok(self.functions.keep(builder.finish()).name.clone())
    }
}

fn given_all<'p>(tensors: &[(usize, Data)], known: &[BoundArg<'p>], span: Span) -> Vec<BoundArg<'p>> {
    let tensors =
        tensors.iter().map(|(param, data)| BoundArg { param: *param, value: Value::Data(data.clone()), span });
    tensors.chain(known.iter().cloned()).collect()
}
