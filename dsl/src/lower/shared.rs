//! `layer f = linear(64)`: one instance that is called as often as one likes.

use std::rc::Rc;

use super::call::Piped;
use super::value::{Shared, Value};
use super::{Eval, Given, Lower};
use crate::ast::DefinitionKind;
use crate::diagnostic::{Diagnostic, count};
use crate::hir::bind::{Form, no_block};
use crate::hir::{Binding, Call, Callee};

impl<'p> Lower<'p> {
    /// `layer f = linear(64)`.
    pub(crate) fn declare_layer(&mut self, binding: &'p Binding, call: &'p Call) -> Eval<()> {
        let name = &binding.name;
        let (definition, args) = match &call.callee {
            Callee::Item { at, params } => {
                let definition = self.program.resolved(*at);
                (definition, self.given(definition, params, &call.args, vec![])?)
            }
            Callee::Local(local, otherwise) => match self.held(call, *local, *otherwise)? {
                Value::Fn(definition) if definition.kind != DefinitionKind::Fn => {
                    (definition, self.place(definition, &call.args, vec![], Form::WithoutData)?)
                }
                _ => return Err(self.fail(no_block(&call.name))),
            },
            Callee::Setting => return super::stop(),
        };
        let local = self.with_iterations(&name.name);
        let path = self.frame().full_name(&local);
        if let Some(first) = self.frame_mut().instances.insert(local, name.span) {
            let (new, old) = (self.at(name.span), self.at(first));
            let error = Diagnostic::error("duplicate-name", format!("two layers are named `{path}`"))
                .primary(new, "named so again")
                .secondary(old, "first named so here");
            return Err(self.fail(error));
        }
        let shared = Shared {
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

    pub(crate) fn call_layer(&mut self, layer: &Rc<Shared<'p>>, call: &'p Call, piped: Piped<'p>) -> Eval<Value<'p>> {
        let definition = layer.definition;
        let mut piped = piped;
        for arg in &call.args {
            if let Some(name) = &arg.name {
                let message = format!("`{}` takes its data only; the rest was said at `layer`", layer.name);
                return Err(self.fault("unknown-argument", message, name.span, "not here"));
            }
            let value = self.eval(&arg.value)?;
            piped.push((value, arg.value.span));
        }
        let wanted: Vec<usize> = (0..definition.params.len())
            .filter(|i| definition.params[*i].ty.is_data() && definition.params[*i].default.is_none())
            .collect();
        if wanted.len() != piped.len() {
            let message = format!("`{}` takes {}, not {}", layer.name, count(wanted.len(), "tensor"), piped.len());
            let code = if piped.len() < wanted.len() { "missing-argument" } else { "too-many-arguments" };
            return Err(self.fault(code, message, call.span, "wrong number"));
        }
        let mut given: Vec<Given<'p>> = layer.args.clone();
        let arriving = piped.first().map_or(call.span, |(_, span)| *span);
        given.extend(wanted.into_iter().zip(piped).map(|(param, (value, span))| Given { param, value, span }));
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
            // The fault is commonly that the weights have the shape of the first use.
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
                        text: format!("its weights have their shapes since its first use, {called}"),
                    });
                }
            }
        }
        result
    }
}
