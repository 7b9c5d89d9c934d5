//! Calls: what is called, and which argument goes to which parameter.

use rustc_hash::FxHashMap;

use super::Names;
use super::scope::Kind;
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::hir::bind::{self, Form};
use crate::hir::tree::{self, CallNumber, Callee};
use crate::hir::visit::{self, Part};
use crate::hir::{ItemRef, Program};
use crate::span::Span;

/// The numbers of the calls in a body, by the places of their callees.
pub(super) fn numbers(body: &Body) -> FxHashMap<Span, CallNumber> {
    let mut calls: Vec<(&Ident, bool)> = vec![];
    visit::body(body, &mut |part| {
        if let Part::Call(call) = part {
            calls.push((&call.callee, call.name.is_none()));
        }
    });
    calls.sort_by_key(|(callee, _)| callee.span.start);
    let mut counts: FxHashMap<&str, u32> = FxHashMap::default();
    let mut numbers = FxHashMap::default();
    for ((callee, unnamed), ordinal) in calls.into_iter().zip(1..) {
        let count = counts.entry(&callee.name).or_default();
        *count += u32::from(unnamed);
        numbers.insert(callee.span, CallNumber { unnamed: *count, ordinal });
    }
    numbers
}

/// How a call is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use<'s> {
    pub form: Form,
    /// The places of what a pipe, or an update of its optimizer, gives it.
    pub left: &'s [Span],
}

impl<'a> Names<'a> {
    pub(super) fn call(&mut self, call: &'a Call, usage: Use<'_>) -> tree::Call {
        let waits = std::mem::take(&mut self.waits);
        let callee = self.callee(call, usage, waits);
        self.with_callee(call, callee, usage.left.len())
    }

    /// The call of a `layer`, without its data.
    pub(super) fn call_of_layer(&mut self, call: &'a Call) -> tree::Call {
        let resolved = self.call(call, Use { form: Form::WithoutData, left: &[] });
        if let Callee::Item { at, .. } = resolved.callee
            && self.program.definition(at).is_some_and(|definition| definition.kind == DefinitionKind::Fn)
        {
            self.faults.push(bind::no_block(&call.callee));
        }
        resolved
    }

    /// A call with a callee that is known, `left` of whose arguments are not written.
    pub(super) fn with_callee(&mut self, call: &'a Call, callee: Callee, left: usize) -> tree::Call {
        let args = match &callee {
            Callee::Item { at, params } => {
                let program: &'a Program = self.program;
                let of_item = bind::Callee::of(program.item(*at));
                self.args(&call.args, |arg| of_item.delays(params[left + arg]))
            }
            // what is called may let them wait
            Callee::Local(..) | Callee::Setting => self.args(&call.args, |_| true),
        };
        let instance = call.name.as_ref().map(|name| tree::InstanceName {
            kind: match &name.kind {
                InstanceNameKind::Word(word) => tree::InstanceNameKind::Word(word.clone()),
                InstanceNameKind::Text(text) => tree::InstanceNameKind::Text(self.string(text)),
                InstanceNameKind::Inline => tree::InstanceNameKind::Inline,
            },
            span: name.span,
        });
        if call.name.as_ref().is_some_and(|name| !matches!(name.kind, InstanceNameKind::Word(_))) {
            self.loops.iter_mut().for_each(|around| around.has_literal_names = true);
        }
        let number = self.numbers.get(&call.callee.span).copied().unwrap_or(CallNumber::NONE);
        tree::Call { name: call.callee.clone(), callee, args, instance, number, span: call.span }
    }

    /// Arguments, of which some may be calls that wait for the shape of a weight.
    pub(super) fn args(&mut self, args: &'a [Arg], delays: impl Fn(usize) -> bool) -> Vec<tree::Arg> {
        let args = args.iter().enumerate().map(|(i, arg)| tree::Arg {
            name: arg.name.clone(),
            value: self.value(&arg.value, delays(i)),
            span: arg.span,
        });
        args.collect()
    }

    /// A value, which waits for the shape of a weight if it is a call.
    pub(super) fn value(&mut self, e: &'a Expr, waits: bool) -> tree::Expr {
        self.waits = waits && matches!(e.kind, ExprKind::Call(_));
        self.expr(e)
    }

    fn callee(&mut self, call: &'a Call, usage: Use<'_>, waits: bool) -> Callee {
        let name = &call.callee.name;
        let bound = self.scopes.use_of(name);
        self.instance_name(call, bound.map(|(kind, _)| kind));
        let item = self.program.lookup(self.module, name);
        if let Some((kind, Some(local))) = bound
            && (!matches!(kind, Kind::Weight | Kind::State) || item.is_none())
        {
            self.note_use(local);
            return Callee::Local(local, item.filter(|at| self.program.definition(*at).is_some()));
        }
        let Some(at) = item else {
            self.unknown("function, block or layer", name, call.callee.span);
            return Callee::Setting;
        };
        match self.program.definition(at) {
            Some(definition) if definition.is_later() => {
                self.later(name, call.callee.span);
                Callee::Setting
            }
            Some(_) => self.bound(call, at, usage, waits),
            None => {
                let message = format!("`{name}` is a dataset, which a model cannot call");
                let error = Diagnostic::error("type-mismatch", message).primary(call.callee.span, "a dataset");
                self.faults.push(error);
                Callee::Setting
            }
        }
    }

    /// The callee at `at` with its parameters for the arguments. What waits may get more of them.
    pub(super) fn bound(&mut self, call: &'a Call, at: ItemRef, usage: Use<'_>, waits: bool) -> Callee {
        let program: &'a Program = self.program;
        let callee = bind::Callee::of(program.item(at));
        let Use { form, left } = usage;
        let args = call.args.iter().map(|arg| (arg.name.as_ref(), arg.span, arg.value.span));
        match callee.bind(form, left, args) {
            Ok(params) => {
                let missing = callee.missing(form, |param| params.contains(&param), self.in_init, call.span);
                if let Some(mut error) = missing.filter(|_| !waits) {
                    if self.in_init {
                        error.message = format!("as a first value, {}", error.message);
                    }
                    self.faults.push(error);
                }
                Callee::Item { at, params }
            }
            Err(errors) => {
                self.faults.extend(errors);
                Callee::Setting
            }
        }
    }
}
