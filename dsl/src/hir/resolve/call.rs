//! Calls: resolves the callee and binds the arguments to its parameters.

use super::Names;
use super::scope::Kind;
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::hir::bind::{self, Form};
use crate::hir::tree::{self, CallNumber, Callee};
use crate::hir::{ItemRef, Program};
use crate::library::LIBRARY;
use crate::span::Span;

impl<'a> Names<'a> {
    /// A call; the arguments at `left` are not written: a piped value, or the weight and gradient of an optimizer.
    pub(super) fn call(&mut self, call: &'a Call, form: Form, left: &[Span]) -> tree::Call {
        let waits = std::mem::take(&mut self.waits);
        let number = self.number(call, form);
        let callee = self.callee(call, form, left, waits);
        tree::Call { number, ..self.with_callee(call, callee, left.len()) }
    }

    /// The call of a `layer`, without its data.
    pub(super) fn call_of_layer(&mut self, call: &'a Call) -> tree::Call {
        let resolved = self.call(call, Form::WithoutData, &[]);
        if let Callee::Item { at, .. } = resolved.callee
            && self.program.definition(at).is_some_and(|definition| definition.kind == DefinitionKind::Fn)
        {
            self.errors.push(bind::no_block(&call.callee));
        }
        resolved
    }

    /// A call whose callee is known; the arguments at `left` are not written.
    pub(super) fn with_callee(&mut self, call: &'a Call, callee: Callee, left: usize) -> tree::Call {
        let args = match &callee {
            Callee::Item { at, params } => {
                let program: &'a Program = self.program;
                let of_item = bind::Callee::of(program.item(*at));
                self.args(&call.args, |arg| bind::delays(&of_item.params[params[left + arg]]))
            }
            // the callee decides which arguments are lazy
            Callee::Local(..) | Callee::Unknown => self.args(&call.args, |_| true),
        };
        let instance = call.name.as_ref().map(|name| tree::InstanceName {
            kind: match &name.kind {
                InstanceNameKind::Word(word) => InstanceNameKind::Word(word.clone()),
                InstanceNameKind::Text(text) => InstanceNameKind::Text(self.string(text)),
                InstanceNameKind::Inline => InstanceNameKind::Inline,
            },
            span: name.span,
        });
        if call.name.as_ref().is_some_and(|name| !matches!(name.kind, InstanceNameKind::Word(_))) {
            self.loops.iter_mut().for_each(|around| around.has_literal_names = true);
        }
        let number = CallNumber::NONE;
        tree::Call { name: call.callee.clone(), callee, args, instance, number, span: call.span }
    }

    /// Numbers a call, before the calls in its arguments. The declaration of a `layer` runs nothing and has no number.
    fn number(&mut self, call: &'a Call, form: Form) -> CallNumber {
        let Some((calls, unnamed)) = self.numbers.as_mut().filter(|_| form == Form::Call) else {
            return CallNumber::NONE;
        };
        *calls += 1;
        let count = unnamed.entry(&call.callee.name).or_default();
        *count += u32::from(call.name.is_none());
        CallNumber { unnamed: *count, ordinal: *calls }
    }

    /// Checks that the `as` of a call names weights or a metric. `bound` is the binding of the callee's name, if it is a local.
    pub(super) fn instance_name(&mut self, call: &'a Call, bound: Option<Kind>, item: Option<ItemRef>) {
        let Some(name) = call.name.as_ref().filter(|_| !self.metrics.contains(&call.span)) else { return };
        let callee = &call.callee.name;
        let error = |message: String, help: String| {
            let error = Diagnostic::error("misplaced", message).primary(name.span, "`as` names the weights of a call");
            error.help(help)
        };
        let no_weights = || {
            let help = match &name.kind {
                InstanceNameKind::Word(word) => format!("delete this `as`; to name a value, write `let {word} = …`"),
                _ => "delete this `as`".to_owned(),
            };
            error(format!("`{callee}` has no weights to name"), help)
        };
        match (bound, item) {
            (Some(Kind::Layer), _) => self.errors.push(error(
                format!("the weights of `{callee}` are named where `layer` declares it"),
                "delete this `as`: all calls of a layer share its weights".to_owned(),
            )),
            // the value of an argument is known at each call only
            (Some(_), _) => {}
            (None, Some(at)) if self.program.definition(at).is_some() => self.found.instances.push((at, no_weights())),
            // reported elsewhere
            (None, None) => {}
            _ => self.errors.push(no_weights()),
        }
    }

    /// Resolves arguments; calls for the parameters that `waits` selects are lazy.
    pub(super) fn args(&mut self, args: &'a [Arg], delays: impl Fn(usize) -> bool) -> Vec<tree::Arg> {
        let args = args.iter().enumerate().map(|(i, arg)| tree::Arg {
            name: arg.name.clone(),
            value: self.value(&arg.value, delays(i)),
            span: arg.span,
        });
        args.collect()
    }

    /// A value; with `waits`, a call is evaluated lazily, once the shape of a weight is known.
    pub(super) fn value(&mut self, e: &'a Expr, waits: bool) -> tree::Expr {
        self.waits = waits && matches!(e.kind, ExprKind::Call(_));
        self.expr(e)
    }

    fn callee(&mut self, call: &'a Call, form: Form, left: &[Span], waits: bool) -> Callee {
        let name = &call.callee.name;
        let bound = self.scopes.use_of(name);
        let item = self.program.lookup(self.module, name);
        self.instance_name(call, bound.map(|(kind, _)| kind), item);
        if let Some(at) = item {
            self.mention(at);
            if at.module != LIBRARY && form == Form::Call {
                self.loops.iter_mut().for_each(|around| around.calls.push(name.clone()));
            }
        }
        // a function passed as an argument may be a block
        self.owns |= matches!(bound, Some((Kind::Argument | Kind::Layer, _)));
        if let Some((kind, Some(local))) = bound
            && (!matches!(kind, Kind::Weight | Kind::State) || item.is_none())
        {
            self.note_use(local);
            return Callee::Local(local, item.filter(|at| self.program.definition(*at).is_some()));
        }
        let Some(at) = item else {
            self.unknown("function, block or layer", name, call.callee.span);
            return Callee::Unknown;
        };
        match self.program.definition(at) {
            Some(definition) if definition.is_later() => {
                self.later(name, call.callee.span);
                Callee::Unknown
            }
            Some(_) => self.bound(call, at, form, left, waits),
            None => {
                let message = format!("`{name}` is a dataset: a model cannot call it");
                let error = Diagnostic::error("type-mismatch", message).primary(call.callee.span, "a dataset");
                self.errors.push(error);
                Callee::Unknown
            }
        }
    }

    /// The callee at `at`, with the parameter of each argument. A lazy call may be passed more arguments later.
    pub(super) fn bound(&mut self, call: &'a Call, at: ItemRef, form: Form, left: &[Span], waits: bool) -> Callee {
        let program: &'a Program = self.program;
        self.mention(at);
        self.calls.extend(program.definition(at).map(|_| (at, call.callee.span)));
        let callee = bind::Callee::of(program.item(at));
        let args = call.args.iter().map(|arg| (arg.name.as_ref(), arg.span, arg.value.span));
        match callee.bind(form, left, args) {
            Ok(params) => {
                let is_number = |e: &Expr| matches!(e.kind, ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_));
                let has_data = left.iter().map(|_| true).chain(call.args.iter().map(|arg| !is_number(&arg.value)));
                let given: Vec<(usize, bool)> = params.iter().copied().zip(has_data).collect();
                let missing = callee.missing(form, &given, self.in_init, call.span);
                if let Some(mut error) = missing.filter(|_| !waits) {
                    if self.in_init {
                        error.message = format!("in an initial value: {}", error.message);
                    }
                    self.errors.push(error);
                }
                Callee::Item { at, params }
            }
            Err(errors) => {
                self.errors.extend(errors);
                Callee::Unknown
            }
        }
    }
}
