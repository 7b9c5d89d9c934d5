//! Calls: of definitions, of builtins, of shared layers.

use std::rc::Rc;

use dlc_ir as ir;
use indexmap::IndexMap;

use super::context::FinishedFunction;
use super::frame::{Draws, Frame};
use super::optimizer::OWN;
use super::shape::Passed;
use super::summary::Tally;
use super::template::Key;
use super::value::{Axis, Data, Thunk, Value};
use super::{BoundArg, Eval, Lower, Stop};
use crate::ast::DefinitionKind;
use crate::diagnostic::Diagnostic;
use crate::hir::bind::Form;
use crate::hir::{Body, Call, CallNumber, Callee, Definition, Expr, InstanceNameKind, Str, TypeKind};
use crate::library::LIBRARY;
use crate::span::Span;

/// The left side of a pipe.
pub(crate) type Piped<'p> = Vec<(Value<'p>, Span)>;

impl<'p> Lower<'p> {
    /// Runs a call as written in the current frame.
    pub(crate) fn call(&mut self, call: &'p Call, piped: Piped<'p>) -> Eval<Value<'p>> {
        self.deeper(call.span, |lower| match lower.callee(call)? {
            Value::Fn(definition) => {
                let given = lower.bind_args(definition, call, piped, Form::Call)?;
                lower.invoke(definition, given, call, call.number)
            }
            Value::Layer(shared) => lower.call_layer(&shared, call, piped),
            Value::Thunk(thunk) if piped.is_empty() && call.args.is_empty() => lower.resume(&thunk),
            other => {
                let message = format!("{} cannot be called", other.describe(lower.float));
                Err(lower.error("type-mismatch", message, call.name.span, "not a function"))
            }
        })
    }

    /// What is called. If the value of a local is not callable, the definition of the same name.
    pub(crate) fn callee(&mut self, call: &Call) -> Eval<Value<'p>> {
        let (local, otherwise) = match call.callee {
            Callee::Item { at, .. } => return Ok(Value::Fn(self.program.resolved(at))),
            Callee::Local(local, otherwise) => (local, otherwise),
            Callee::Unknown => return Err(Stop),
        };
        match (self.frame().get(local).map(|var| &var.value), otherwise) {
            (Some(Value::Poison), _) => Err(Stop),
            (Some(value @ (Value::Fn(_) | Value::Layer(_) | Value::Thunk(_))), _) => Ok(value.clone()),
            (_, Some(at)) => Ok(Value::Fn(self.program.resolved(at))),
            (Some(value), None) => {
                let message = format!("`{}` cannot be called: it is {}", call.name.name, value.describe(self.float));
                Err(self.error("type-mismatch", message, call.name.span, "not a function"))
            }
            (None, None) => Err(self.unknown("function, block or layer", &call.name.name, call.name.span)),
        }
    }

    /// Evaluates a call that was deferred until the shape of its weight is known.
    pub(crate) fn resume(&mut self, thunk: &Rc<Thunk<'p>>) -> Eval<Value<'p>> {
        self.invoke(thunk.definition, thunk.args.clone(), thunk.call, CallNumber::NONE)
    }

    fn invoke(
        &mut self,
        definition: &'p Definition,
        given: Vec<BoundArg<'p>>,
        call: &'p Call,
        number: CallNumber,
    ) -> Eval<Value<'p>> {
        if definition.is_builtin() {
            return self.call_builtin(definition, given, call.span);
        }
        if definition.kind == DefinitionKind::Fn {
            if let Some(vjp) = definition.gradient {
                return self.call_custom(definition, vjp, given, number.ordinal, call.span);
            }
            let frame = self.callee_frame(definition, number.ordinal, call.span);
            return self.run(definition, given, frame, call.span);
        }
        let name = self.instance_name(call, number)?;
        let full = self.frame().full_name(&name);
        self.claim(&name, &full, call)?;
        let mut frame = self.callee_frame(definition, number.ordinal, call.span);
        frame.path = full;
        self.run_block(definition, given, frame, call.span)
    }

    /// Calls a function value with positional data, such as an initialiser or an activation.
    pub(crate) fn apply(&mut self, definition: &'p Definition, args: Piped<'p>, span: Span) -> Eval<Value<'p>> {
        let params = self.params_of(definition, &[], &args, Form::Call)?;
        let given = self.bound_args(definition, &params, &[], args)?;
        if definition.is_builtin() {
            return self.call_builtin(definition, given, span);
        }
        let frame = self.callee_frame(definition, CallNumber::NONE.ordinal, span);
        self.run(definition, given, frame, span)
    }

    /// A frame for the call of that number, at `span`; it has the path of the caller.
    pub(crate) fn callee_frame(&mut self, definition: &'p Definition, ordinal: u32, span: Span) -> Frame<'p> {
        let module = definition.at.module;
        let site = (module == LIBRARY).then(|| self.at(span));
        let mut frame = self.new_frame(module, &definition.locals);
        frame.kind = Some(definition.kind);
        if let Some(caller) = self.frames.last_mut() {
            frame.path = caller.path.clone();
            frame.shared = caller.shared;
            frame.draws = Draws::at(caller.draws.call(ordinal));
        }
        frame.site = site;
        frame
    }

    /// The name that a call has within its frame.
    fn instance_name(&mut self, call: &'p Call, number: CallNumber) -> Eval<String> {
        let base = match call.instance.as_ref().map(|name| &name.kind) {
            Some(InstanceNameKind::Inline) => return Ok(String::new()),
            Some(InstanceNameKind::Text(text)) => return self.literal_name(text, call),
            Some(InstanceNameKind::Word(word)) => word.clone(),
            None => format!("{}_{}", call.name.name, number.unnamed),
        };
        Ok(self.with_iterations(&base))
    }

    /// A name that is used verbatim, which may have several levels.
    fn literal_name(&mut self, text: &'p Str, call: &'p Call) -> Eval<String> {
        let name = self.text(text, call.span)?;
        let span = call.instance.as_ref().map_or(call.span, |name| name.span);
        if name.starts_with(OWN) {
            let message = format!("\"{name}\" is not a valid weight name");
            let label = format!("names that begin with `{OWN}` are reserved for the trainer's states");
            return Err(self.error("bad-name", message, span, label));
        }
        if name.split('.').all(|level| !level.is_empty()) {
            return Ok(name);
        }
        let message = format!("\"{name}\" is not a valid weight name");
        if !name.is_empty() {
            return Err(self.error("bad-name", message, span, "a level between dots is empty"));
        }
        let error = Diagnostic::error("bad-name", message).primary(self.at(span), "empty");
        Err(self.fail(error.help("to add no level to the names, write `as _`")))
    }

    /// A name with the numbers of the enclosing iterations: `h.0`.
    pub(crate) fn with_iterations(&self, base: &str) -> String {
        self.frame().iterations.iter().fold(base.to_owned(), |name, number| format!("{name}.{number}"))
    }

    /// Reserves a name for an instance; names are unique.
    fn claim(&mut self, name: &str, full: &str, call: &Call) -> Eval<()> {
        // Outside of definitions, as in a loss, there are no weights that would need the name.
        if name.is_empty() || self.frame().kind.is_none() {
            return Ok(());
        }
        let span = call.instance.as_ref().map_or(call.name.span, |name| name.span);
        if let Some(first) = self.frame_mut().instances.insert(name.to_owned(), span) {
            let (new, old) = (self.at(span), self.at(first));
            let message = format!("two layers are named `{full}`");
            let mut error = Diagnostic::error("duplicate-name", message).primary(new, "named again");
            if new != old {
                error = error.secondary(old, "first named here");
            }
            let help = match new == old && !self.frame().iterations.is_empty() {
                true => "name the iteration: `repeat i in … { … as \"….{i}\" }`",
                false => "to share one layer's weights, declare it: `layer f = …`, and call `f` any number of times",
            };
            return Err(self.fail(error.help(help)));
        }
        Ok(())
    }

    /// Calls a block; one of the user's is outlined into a function.
    pub(crate) fn run_block(
        &mut self,
        definition: &'p Definition,
        given: Vec<BoundArg<'p>>,
        mut frame: Frame<'p>,
        span: Span,
    ) -> Eval<Value<'p>> {
        if definition.at.module == LIBRARY {
            return self.run(definition, given, frame, span);
        }
        let salt = std::mem::take(&mut frame.draws).path;
        let key = (!frame.shared).then(|| Key::of_call(definition, &given, frame.path.clone()));
        self.outlined(&definition.name.name, salt, key, span, |lower| {
            lower.context().path = frame.path.clone();
            lower.run(definition, given, frame, span)
        })
    }

    /// Runs `f` in a new function, which `span` calls; the tensors of its value are the results of that function.
    /// With a key, the function can be instantiated from a template.
    pub(crate) fn outlined(
        &mut self,
        name: &str,
        salt: String,
        key: Option<Key<'p>>,
        span: Span,
        f: impl FnOnce(&mut Self) -> Eval<Value<'p>>,
    ) -> Eval<Value<'p>> {
        if let Some(key) = &key
            && let Some(value) = self.instantiate(key, &salt, span)?
        {
            return Ok(value);
        }
        let mark = self.mark();
        let id = self.enter(name, salt);
        match f(self) {
            Ok(mut value) => {
                let made = self.close(id, &mut value, span);
                if let Some(key) = key {
                    self.keep_template(key, &mark, made, &value);
                }
                Ok(value)
            }
            Err(stop) => {
                self.contexts.pop();
                Err(stop)
            }
        }
    }

    /// Finishes the function `id`, which `span` calls: tensors in `value` and rebound states become its results.
    fn close(&mut self, id: u32, value: &mut Value<'p>, span: Span) -> FinishedFunction {
        let mut results: IndexMap<ir::Value, usize> = IndexMap::new();
        let mut note = |d: &Data| {
            if d.func == id {
                let next = results.len();
                results.entry(d.value).or_insert(next);
            }
        };
        value.visit_data(&mut note);
        let writes = self.context().writes.clone();
        writes.values().for_each(note);
        let inner: Vec<ir::Value> = results.keys().copied().collect();
        let closed = self.leave(&inner, span);
        let func = self.context().id;
        let mut rename = |d: &mut Data| {
            if d.func == id {
                d.value = closed.outputs[results[&d.value]];
                d.func = func;
                (d.dense, d.transpose_of) = (None, None);
            }
        };
        value.each_data(&mut rename);
        for (state, mut data) in writes {
            rename(&mut data);
            self.context().writes.insert(state, data);
        }
        closed
    }

    /// Runs a definition in a frame made for it. `span` is the call.
    pub(crate) fn run(
        &mut self,
        definition: &'p Definition,
        given: Vec<BoundArg<'p>>,
        mut frame: Frame<'p>,
        span: Span,
    ) -> Eval<Value<'p>> {
        let name = &definition.name.name;
        if let Some((_, first)) = self.running.iter().find(|(d, _)| std::ptr::eq(*d, definition)) {
            let (at, first) = (self.at(span), *first);
            let message = format!("`{name}` calls itself");
            let error = Diagnostic::error("recursion", message).primary(at, "recursive call");
            let error = if first == at { error } else { error.secondary(first, "first called here") };
            return Err(self.fail(error));
        }
        self.spend(span)?;
        self.check_bound(definition, &given, span)?;
        let mut data: Vec<(usize, Value<'p>, Span)> = vec![];
        for BoundArg { param: i, value, span } in given {
            let (param, at) = (&definition.params[i], self.at(span));
            if frame.in_library() {
                frame.given.insert(&param.name.name, at);
            }
            if param.ty.is_data() {
                data.push((i, value, at));
            } else {
                let what = format!("`{}` of `{name}`", param.name.name);
                let value = self.coerce(value, &param.ty, &what, span)?;
                frame.set_param(i, param, value);
            }
        }
        data.sort_by_key(|(param, ..)| *param);
        let at = self.at(span);
        self.running.push((definition, at));
        self.frames.push(frame);
        let before = self.tally();
        let result = self.deeper(span, |lower| lower.run_body(definition, data, at));
        let frame = self.frames.pop().expect("was pushed");
        self.running.pop();
        result.map(|value| self.leave_frame(&frame, definition, value, before))
    }

    fn run_body(
        &mut self,
        definition: &'p Definition,
        mut data: Vec<(usize, Value<'p>, Span)>,
        call: Span,
    ) -> Eval<Value<'p>> {
        let mut is_given: Vec<bool> = self.frame().slots.iter().map(Option::is_some).collect();
        data.iter().for_each(|(param, ..)| is_given[*param] = true);
        // Defaults that need no dimension come first, since dimensions may be checked against them.
        for late in [false, true] {
            for (i, param) in definition.params.iter().enumerate() {
                if let (false, Some(default)) = (is_given[i], &param.default)
                    && param.late == late
                {
                    self.default(definition, i, default, call)?;
                }
            }
            if !late {
                // Numbers come last: they are broadcast to the shape of `...` and do not bind it.
                data.sort_by_key(|(_, value, _)| value.number().is_some());
                for (i, value, span) in &data {
                    self.bind_data(definition, *i, value.clone(), *span)?;
                }
            }
        }
        let (value, returned) = match &definition.body {
            // Only a body can be outlined: an optimizer, a custom derivative.
            Body::Builtin => {
                let message = format!("`{}` is a builtin", definition.name.name);
                return Err(self.error("type-mismatch", message, call, "a definition with a body is needed here"));
            }
            Body::Expr(e) => (self.eval(e)?, e),
            Body::Block(block) => match self.block(block)? {
                Some(returned) => returned,
                None => {
                    let message = format!("`{}` returns nothing", definition.name.name);
                    return Err(self.error("missing-return", message, definition.name.span, "ends without `return`"));
                }
            },
        };
        self.check_results(definition, value, returned)
    }

    fn default(&mut self, definition: &'p Definition, i: usize, default: &'p Expr, call: Span) -> Eval<()> {
        let param = &definition.params[i];
        let value = self.argument(default, param.ty.is_fn())?;
        if param.ty.is_data() {
            return self.bind_data(definition, i, value, call);
        }
        let what = format!("`{}` of `{}`", param.name.name, definition.name.name);
        let value = self.coerce(value, &param.ty, &what, default.span)?;
        self.frame_mut().set_param(i, param, value);
        Ok(())
    }

    fn bind_data(&mut self, definition: &'p Definition, i: usize, value: Value<'p>, span: Span) -> Eval<()> {
        let param = &definition.params[i];
        let callee = &definition.name.name;
        let TypeKind::Data { dtype, .. } = &param.ty.kind else { return Ok(()) };
        let dtype = dtype.dtype(self.float);
        let is_number = value.number().is_some();
        let data = match value {
            Value::Data(d) => d,
            other => {
                // The span of the argument, so that an error in the library is not reported for the whole call.
                let site = self.frame().site;
                self.frame_mut().site = site.map(|_| span);
                let data = self.as_data(other, dtype, &format!("`{}` of `{callee}`", param.name.name), span);
                self.frame_mut().site = site;
                data?
            }
        };
        let data = if is_number { self.take_rest(data, &param.ty, span)? } else { data };
        let data = self.match_type(Passed { callee, param, data: &data, span })?;
        self.frame_mut().set_param(i, param, Value::Data(data));
        Ok(())
    }

    /// Renames the axes of a result to the caller's names, and records the layer.
    fn leave_frame(
        &mut self,
        frame: &Frame<'p>,
        definition: &'p Definition,
        mut value: Value<'p>,
        start: Tally,
    ) -> Value<'p> {
        let Frame { id, dims, site, .. } = frame;
        value.each_data(&mut |d| {
            let is_own = |axis: &Axis| axis.label.as_ref().is_some_and(|label| label.frame == *id);
            if !d.axes.iter().any(is_own) {
                return;
            }
            for axis in Rc::make_mut(&mut d.axes) {
                if let Some(label) = &axis.label
                    && label.frame == *id
                {
                    axis.label = dims.get(&*label.name).and_then(|known| known.outer.clone());
                }
            }
            if let Some(site) = site {
                d.origin = *site;
            }
        });
        if definition.kind == DefinitionKind::Model {
            // The outermost model leaves last.
            let params = definition.params.iter().zip(&frame.slots);
            let known = params.filter_map(|(param, var)| Some((param.name.name.clone(), var.clone()?)));
            let values = known.filter(|(_, var)| !var.value.has_data()).collect();
            let sizes = dims.iter().map(|(name, known)| (name.clone(), known.size)).collect();
            (self.model_values, self.model_dims) = (values, sizes);
        }
        self.note_layer(frame, &definition.name.name, &value, start);
        value
    }
}
