//! `layer f = linear(64)`: one instance that can be called any number of times.

use std::rc::Rc;

use super::call::Piped;
use super::value::{SharedLayer, Value};
use super::{BoundArg, Eval, Lower};
use crate::ast::DefinitionKind;
use crate::diagnostic::{Diagnostic, count};
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
            first: std::cell::RefCell::new(None),
        };
        self.declare(binding, Value::Layer(Rc::new(shared)));
        Ok(())
    }

    pub(crate) fn call_layer(
        &mut self,
        layer: &Rc<SharedLayer<'p>>,
        call: &'p Call,
        piped: Piped<'p>,
    ) -> Eval<Value<'p>> {
        let definition = layer.definition;
        let mut piped = piped;
        for arg in &call.args {
            if let Some(name) = &arg.name {
                let message = format!("`{}` takes its data only; its other arguments are given at `layer`", layer.name);
                return Err(self.error("unknown-argument", message, name.span, "not here"));
            }
            let value = self.eval(&arg.value)?;
            piped.push((value, arg.value.span));
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
        let again = layer.first.borrow().is_some();
        frame.shared |= again;
        if !again {
            let called = self.program.sources.slice(self.at(call.span)).to_owned();
            *layer.first.borrow_mut() = Some((self.at(call.span), called));
        }
        let before = self.diagnostics.len();
        let result = self.run_block(definition, given, frame, call.span);
        if result.is_err() && again {
            // The usual cause: the weights have the shape of the first use.
            let (first, layer_span) = (layer.first.borrow().clone(), layer.span);
            let arriving = self.at(arriving);
            for error in &mut self.diagnostics[before..] {
                if error.code == "shape-mismatch"
                    && let Some((_, called)) = &first
                {
                    for label in &mut error.labels {
                        if label.primary {
                            label.span = arriving;
                        }
                    }
                    error.labels.push(crate::diagnostic::Label {
                        span: layer_span,
                        primary: false,
                        text: format!("the shapes of its weights were fixed by its first use, {called}"),
                    });
                }
            }
        }
        result
    }
}
