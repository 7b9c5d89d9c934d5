//! `layer f = linear(64)`: one instance that can be called any number of times.

use std::rc::Rc;

use super::call::Piped;
use super::value::{SharedLayer, Value};
use super::{BoundArg, Eval, Lower};
use crate::ast::DefinitionKind;
use crate::diagnostic::{Diagnostic, Label, count};
use crate::hir::bind::{Form, no_block};
use crate::hir::{Binding, Call};

impl<'p> Lower<'p> {
    /// `layer f = linear(64)`.
    pub(crate) fn declare_layer(&mut self, binding: &'p Binding, call: &'p Call) -> Eval<()> {
        let name = &binding.name;
        let definition = match self.callee(call)? {
            Value::Fn(definition) if definition.kind != DefinitionKind::Fn => definition,
            _ => return Err(self.fail(no_block(&call.name))),
        };
        let args = self.bind_args(definition, call, vec![], Form::WithoutData)?;
        let local = self.with_iterations(&name.name);
        let path = self.frame().full_name(&local);
        if let Some(first) = self.frame_mut().instances.insert(local, name.span) {
            let (new, old) = (self.at(name.span), self.at(first));
            let error = Diagnostic::error("duplicate-name", format!("two layers are named `{path}`"))
                .primary(new, "named again")
                .secondary(old, "first named here");
            return Err(self.fail(error));
        }
        let shared = SharedLayer {
            name: name.name.clone(),
            path,
            definition,
            args,
            span: self.at(name.span),
            first: std::cell::OnceCell::new(),
        };
        self.declare(binding, Value::Layer(Rc::new(shared)));
        Ok(())
    }

    pub(crate) fn call_layer(
        &mut self,
        layer: &Rc<SharedLayer<'p>>,
        call: &'p Call,
        mut piped: Piped<'p>,
    ) -> Eval<Value<'p>> {
        let definition = layer.definition;
        for arg in &call.args {
            if let Some(name) = &arg.name {
                let message = format!("`{}` takes its data only; its other arguments are given at `layer`", layer.name);
                return Err(self.error("unknown-argument", message, name.span, "not here"));
            }
            piped.push((self.eval(&arg.value)?, arg.value.span));
        }
        let expected: Vec<usize> = (0..definition.params.len())
            .filter(|i| definition.params[*i].ty.is_data() && definition.params[*i].default.is_none())
            .collect();
        if expected.len() != piped.len() {
            let message = format!("`{}` takes {}, not {}", layer.name, count(expected.len(), "tensor"), piped.len());
            let code = if piped.len() < expected.len() { "missing-argument" } else { "too-many-arguments" };
            return Err(self.error(code, message, call.span, "wrong number"));
        }
        let mut given: Vec<BoundArg<'p>> = layer.args.clone();
        let arriving = piped.first().map_or(call.span, |(_, span)| *span);
        given.extend(expected.into_iter().zip(piped).map(|(param, (value, span))| BoundArg { param, value, span }));
        let mut frame = self.callee_frame(definition, call.number.ordinal, call.span);
        frame.path = layer.path.clone();
        frame.layer = true;
        let again = layer.first.get().is_some();
        frame.shared |= again;
        let first = layer.first.get_or_init(|| self.program.sources.slice(self.at(call.span)).to_owned());
        let before = self.diagnostics.len();
        let result = self.run_block(definition, given, frame, call.span);
        if result.is_err() && again {
            // The usual cause: the weights have the shape of the first use.
            let arriving = self.at(arriving);
            for error in self.diagnostics[before..].iter_mut().filter(|error| error.code == "shape-mismatch") {
                error.labels.iter_mut().filter(|label| label.primary).for_each(|label| label.span = arriving);
                let text = format!("the shapes of its weights were fixed by its first use, {first}");
                error.labels.push(Label { span: layer.span, primary: false, text });
            }
        }
        result
    }
}
