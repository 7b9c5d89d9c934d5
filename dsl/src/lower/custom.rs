//! `@gradient(my_vjp)` before a `fn`: a derivative that the user writes.

use dlc_ir as ir;
use ir::{Function, Symbol};

use super::context::Outlined;
use super::outline::finished;
use super::value::{Data, Value};
use super::{BoundArg, Eval, Lower};
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
        let argument =
            |(param, data): &(usize, Data)| (*param, definition.params[*param].name.name.as_str(), data.clone());
        let arguments = tensors.iter().map(argument).collect();
        let (mut function, result, outputs) = self.function_of(definition, arguments, &known, ordinal, (span, span))?;
        let vjp = (self.program.resolved(vjp), vjp_span);
        function.vjp = Some(self.vjp_function(definition, vjp, &tensors, &known, &outputs, span)?);
        // Called in place, with the tensors as they are here.
        let operands = self.locals(tensors.iter().map(|(_, d)| d), span)?;
        let function = Outlined::Shared(self.functions.keep(function));
        let values = self.call_outlined(&function, &operands, span);
        let func = self.context().id;
        let mut placed = outputs.iter().zip(values).map(|(d, value)| Value::Data(d.moved(value, func)));
        Ok(match result {
            Value::Tuple(_) => Value::Tuple(placed.collect()),
            _ => placed.next().expect("one result"),
        })
    }

    /// Runs a definition as a function of its own, called at `span`: that function, the value, and the tensors in it, which are its results. Its
    /// arguments are tensors like these, each for the parameter of that number and under that name. Errors about the value are reported at `result_span`.
    fn function_of(
        &mut self,
        definition: &'p Definition,
        arguments: Vec<(usize, &str, Data)>,
        known: &[BoundArg<'p>],
        ordinal: u32,
        (span, result_span): (Span, Span),
    ) -> Eval<(Function, Value<'p>, Vec<Data>)> {
        let own = self.enter(&definition.name.name, String::new());
        let mut given = vec![];
        for (param, name, data) in arguments {
            // Not by capture: one tensor may be passed as two arguments, each with its own cotangent.
            let value = self.context().builder.arg(name, data.ty(), ir::Role::Plain);
            given.push(BoundArg { param, value: Value::Data(data.moved(value, own)), span });
        }
        given.extend_from_slice(known);
        let frame = self.callee_frame(definition, ordinal, span);
        let result = self.run(definition, given, frame, span);
        let returned = result.and_then(|result| {
            let outputs = self.tensors_of(&result, definition, result_span)?;
            Ok((self.locals(&outputs, span)?, result, outputs))
        });
        let context = self.contexts.pop().expect("was entered");
        let (returned, result, outputs) = returned?;
        if context.captures.is_empty() {
            return Ok((finished(context.builder, &returned), result, outputs));
        }
        // The key of random draws is an argument that no cotangent belongs to.
        let message = format!(
            "`{}` draws random numbers, which a function with a custom derivative cannot",
            definition.name.name
        );
        Err(self.error("not-supported-yet", message, result_span, "draw outside, and pass the numbers as an argument"))
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
        let tensor = |value| match value {
            Value::Data(data) => Ok(data),
            other => {
                let found = other.describe(self.float);
                let message = format!("`{}` returns {found}, which has no gradient", definition.name.name);
                Err(self.error("wrong-result", message, span, "expected tensors"))
            }
        };
        values.into_iter().map(tensor).collect()
    }

    /// The function from arguments and the results' cotangents to the arguments' cotangents.
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
        let indices = (0..vjp.params.len()).filter(|i| vjp.params[*i].ty.is_data());
        let data = tensors.iter().map(|(_, d)| d).chain(outputs);
        let arguments = indices.zip(data).map(|(param, d)| (param, "x", d.clone())).collect();
        let known = known.iter().filter_map(|g| {
            let name = &definition.params[g.param].name.name;
            let param = vjp.params.iter().position(|param| param.name.name == *name)?;
            Some(BoundArg { param, ..g.clone() })
        });
        let known: Vec<BoundArg<'p>> = known.collect();
        let (function, _, cotangents) = self.function_of(vjp, arguments, &known, 0, (span, name_span))?;
        let floats: Vec<&Data> = tensors.iter().map(|(_, d)| d).filter(|d| d.dtype.is_float()).collect();
        let fits = cotangents.len() == floats.len() && cotangents.iter().zip(&floats).all(|(c, d)| c.ty() == d.ty());
        if !fits {
            let show = |list: Vec<&Data>| list.iter().map(|d| d.show(self.float)).collect::<Vec<_>>().join(", ");
            let (found, expected) = (show(cotangents.iter().collect()), show(floats));
            let message = format!("`{name}` returns {found}, expected the cotangents of the arguments, {expected}");
            return Err(self.error("wrong-result", message, name_span, "one for each floating-point argument"));
        }
        Ok(self.functions.keep(function))
    }
}
