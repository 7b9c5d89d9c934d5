//! Names in `dataset` and `train` sections.

use indexmap::IndexMap;

use rustc_hash::FxHashMap;

use super::scope::Kind;
use super::{Names, duplicates};
use crate::ast::*;
use crate::diagnostic::{Diagnostic, did_you_mean, meant_or};
use crate::hir::bind::{self, Form};
use crate::hir::tree::{self, Callee, LocalId};
use crate::hir::{ItemRef, Program};
use crate::library::{LIBRARY, SETTINGS, SETTINGS_OF_UPDATE, library};
use crate::span::Span;

/// What an outer name denotes in a `train` section.
type Meaning = (Kind, &'static str);

const DIMENSION: Meaning = (Kind::Dimension, "a dimension of the model");
const INPUT: Meaning = (Kind::Argument, "an input of the model");
const ARGUMENT: Meaning = (Kind::Argument, "an argument of the model");
const RESULT: Meaning = (Kind::Result, "a result of the model");
const FIELD: Meaning = (Kind::Field, "a field of the data");

impl<'a> Names<'a> {
    pub(super) fn dataset(&mut self, d: &'a Dataset) -> tree::Dataset {
        duplicates(fields(d), |name| format!("`{}` has two fields named `{name}`", d.name.name), &mut self.errors);
        self.attributes(&d.attributes, &[], d.span);
        // a scope of its own, whose end reports unused `let`s
        self.scopes.push();
        d.params.iter().for_each(|param| drop(self.bind(&param.name, Kind::Argument)));
        let params = self.params(&d.params);
        let mut entries = vec![];
        for entry in &d.entries {
            self.attributes(&entry.attributes, &[], entry.span);
            let kind = match &entry.kind {
                // the value comes first: it does not see the name
                EntryKind::Let { pattern, value } => {
                    tree::EntryKind::Let { value: self.expr(value), pattern: self.pattern(pattern, Kind::Let) }
                }
                EntryKind::Fit { name, value } => {
                    tree::EntryKind::Fit { value: self.expr(value), binding: self.bind(name, Kind::Fit) }
                }
                EntryKind::Field { name, value } => {
                    tree::EntryKind::Field { value: self.expr(value), binding: self.bind(name, Kind::Field) }
                }
                EntryKind::Update { .. } => {
                    let error = Diagnostic::error("misplaced", "`update` is only allowed in `train`");
                    self.errors.push(error.primary(entry.span, "not in a dataset"));
                    continue;
                }
            };
            entries.push(tree::Entry { kind, span: entry.span });
        }
        if fields(d).next().is_none() {
            let error = Diagnostic::error("missing-setting", format!("the dataset `{}` has no field", d.name.name));
            self.errors.push(error.primary(d.name.span, "write `name = …`"));
        }
        self.found.arguments.extend(self.unused(d.params.iter().map(|param| &param.name)));
        self.found.fields.extend(self.unused(fields(d)));
        self.scopes.pop();
        tree::Dataset { name: d.name.clone(), params, entries, locals: std::mem::take(&mut self.locals) }
    }

    /// The values of a section depend on results of the model and on fields, which may be unknown until the data is read; its callees are always known.
    pub(super) fn train(&mut self, train: &'a Train) -> tree::Train {
        self.attributes(&train.attributes, &[], train.span);
        let (mut args, mut params, mut outer) = (vec![], vec![], vec![]);
        match self.program.model(self.module, &train.model.name, train.model.span) {
            Ok((at, model)) => {
                self.mention(at);
                (args, params) = self.args_of_model(train, at);
                outer = self.names_of_section(train, model);
            }
            Err(error) => self.errors.push(*error),
        }
        self.outer = Some(FxHashMap::default());
        let (section, updates) = self.scoped(|names| names.train_section(train));
        let used = self.scopes.iter().filter(|(_, binding)| binding.used.get());
        let used = used.map(|(name, _)| name.to_owned()).collect();
        self.found.sections.insert(self.at, used);
        outer.extend(self.outer.take().into_iter().flat_map(FxHashMap::into_values));
        outer.sort_unstable();
        tree::Train {
            at: self.at,
            name: train.name.clone(),
            model: train.model.clone(),
            args,
            params,
            section,
            updates,
            locals: std::mem::take(&mut self.locals),
            outer,
            allowed: self.allowed.clone(),
            span: train.span,
        }
    }

    fn args_of_model(&mut self, train: &'a Train, model: ItemRef) -> (Vec<tree::Arg>, Vec<usize>) {
        let program: &'a Program = self.program;
        let callee = bind::Callee::of(program.item(model));
        let args = train.args.iter().map(|arg| (arg.name.as_ref(), arg.span, arg.value.span));
        match callee.bind(Form::WithoutData, &[], args) {
            Ok(params) => (self.args(&train.args, |arg| bind::delays(&callee.params[params[arg]])), params),
            Err(errors) => {
                self.errors.extend(errors);
                (vec![], vec![])
            }
        }
    }

    /// What is in the braces of `train`.
    fn train_section(&mut self, train: &'a Train) -> (tree::Section, Vec<tree::Update>) {
        let mut updates = vec![];
        let section = self.section(&train.entries, SETTINGS, &mut updates);
        if let Some(update) = updates.first() {
            let both = section.settings.iter().filter(|(name, _)| matches!(&*name.name, "loss" | "optimizer"));
            for (Ident { name, span }, _) in both {
                let message = format!("`{name}` is set both for the whole section and by `update`");
                let error = Diagnostic::error("duplicate-name", message)
                    .primary(*span, "short for the one of `update \"**\"`")
                    .secondary(update.span, "but this section has updates");
                self.errors.push(error.help(format!("move `{name}` into an `update`, or delete the updates")));
            }
        }
        if let (Some(_), Some((name, _))) =
            (section.get("epochs"), section.settings.iter().find(|(name, _)| name.name == "steps"))
        {
            let message = "the length of the training is set twice: `epochs` and `steps`";
            self.errors.push(Diagnostic::error("duplicate-name", message).primary(name.span, "keep one of them"));
        }
        (section, updates)
    }

    fn section(&mut self, entries: &'a [Entry], known: &[&str], updates: &mut Vec<tree::Update>) -> tree::Section {
        let mut section = tree::Section::default();
        for entry in entries {
            self.attributes(&entry.attributes, &[], entry.span);
            match &entry.kind {
                EntryKind::Let { pattern, value } => {
                    let value = self.expr(value);
                    section.lets.push((self.pattern(pattern, Kind::Let), value));
                }
                EntryKind::Fit { .. } => {} // the parser rejects it
                EntryKind::Field { name, value } => {
                    let value = self.setting(name, value);
                    if let Some((first, _)) = section.settings.iter().find(|(old, _)| old.name == name.name) {
                        let message = format!("`{}` is set twice", name.name);
                        let error = Diagnostic::error("duplicate-name", message).primary(name.span, "set again");
                        self.errors.push(error.secondary(first.span, "first set here"));
                    } else if known.contains(&name.name.as_str()) {
                        section.settings.push((name.clone(), value));
                    } else {
                        self.errors.push(unknown_setting(name, known));
                    }
                }
                EntryKind::Update { target, entries } => {
                    let span = Span { end: target.span.end, ..entry.span };
                    let target = self.expr(target);
                    let section = self.scoped(|names| names.section(entries, SETTINGS_OF_UPDATE, &mut vec![]));
                    for name in ["loss", "optimizer"].into_iter().filter(|name| section.get(name).is_none()) {
                        let error = Diagnostic::error("missing-setting", format!("this `update` has no `{name}`"));
                        self.errors.push(error.primary(span, format!("add `{name} = …`")));
                    }
                    updates.push(tree::Update { target, section, span });
                }
            }
        }
        section
    }

    /// The value of a setting; some have keywords and functions of their own.
    fn setting(&mut self, name: &Ident, value: &'a Expr) -> tree::Expr {
        let kind = match (name.name.as_str(), &value.kind) {
            ("data" | "test", ExprKind::Call(call)) => self.call_of_dataset(call),
            ("data" | "test", _) => {
                let message = "expected a dataset with its arguments, as in `digits(\"train\")`";
                let error = Diagnostic::error("type-mismatch", message);
                self.errors.push(error.primary(value.span, "not a call of a dataset"));
                self.expr(value).kind
            }
            ("validation", ExprKind::Call(call)) if self.dataset_named(&call.callee).is_some() => {
                self.call_of_dataset(call)
            }
            ("validation", _) => {
                let datasets = self.program.main().datasets().map(|dataset| dataset.name.name.as_str());
                let expected = "`validation` expects `last(…)` or `random(…)` of the data, or a dataset";
                self.of_setting(value, expected, &["last", "random"], &datasets.collect::<Vec<_>>())
            }
            ("clip", _) => self.of_setting(value, "`clip` expects `norm(…)` or `value(…)`", &["norm", "value"], &[]),
            ("keep", ExprKind::Name(word)) if word == "last" => tree::ExprKind::None,
            ("keep", _) => {
                let expected =
                    "`keep` expects `last`, or `best(…)` with the name of a score such as \"validation.loss\"";
                self.of_setting(value, expected, &["best"], &["last"])
            }
            ("optimizer", ExprKind::Call(call)) => tree::ExprKind::Call(self.call_of_optimizer(call)),
            _ => {
                if let ("metrics", ExprKind::List(items)) = (name.name.as_str(), &value.kind) {
                    self.metrics.extend(items.iter().filter_map(metric_call).map(|call| call.span));
                }
                self.expr(value).kind
            }
        };
        tree::Expr::new(kind, value.span)
    }

    /// A call of one of the `functions` of this setting; `others` are the names of other values that it may have.
    fn of_setting(&mut self, value: &'a Expr, expected: &str, functions: &[&str], others: &[&str]) -> tree::ExprKind {
        let error = match &value.kind {
            ExprKind::Call(call) if functions.contains(&call.callee.name.as_str()) => {
                let item = library().settings[&*call.callee.name];
                return self.known_call(call, ItemRef { module: LIBRARY, item });
            }
            ExprKind::Call(Call { callee, .. }) => {
                let label = meant_or(&callee.name, others.iter().chain(functions).copied(), "none of these");
                Diagnostic::error("unknown-name", expected).primary(callee.span, label)
            }
            _ => {
                let calls: Vec<String> = functions.iter().map(|name| format!("`{name}(…)`")).collect();
                let label = format!("not a call of {}", calls.join(" or "));
                Diagnostic::error("type-mismatch", expected).primary(value.span, label)
            }
        };
        self.errors.push(error);
        tree::ExprKind::None
    }

    fn dataset_named(&self, name: &Ident) -> Option<ItemRef> {
        self.program.lookup_dataset(self.module, &name.name).map(|(at, _)| at)
    }

    fn call_of_dataset(&mut self, call: &'a Call) -> tree::ExprKind {
        if let Some(at) = self.dataset_named(&call.callee) {
            return self.known_call(call, at);
        }
        let item = self.program.lookup(self.module, &call.callee.name);
        self.instance_name(call, None, item);
        self.errors.push(no_dataset(self.program, &call.callee, item.is_some()));
        tree::ExprKind::Call(self.with_callee(call, Callee::Unknown, 0))
    }

    /// A call of a dataset or of a function of a setting.
    fn known_call(&mut self, call: &'a Call, at: ItemRef) -> tree::ExprKind {
        self.instance_name(call, None, Some(at));
        let callee = self.bound(call, at, Form::Call, &[], false);
        tree::ExprKind::Call(self.with_callee(call, callee, 0))
    }

    /// A call of an optimizer, whose first two arguments are a weight and its gradient.
    fn call_of_optimizer(&mut self, call: &'a Call) -> tree::Call {
        if let Some(name) = &call.name {
            let message = "an optimizer cannot be named: its states are named after their weights";
            self.errors.push(Diagnostic::error("misplaced", message).primary(name.span, "delete this `as`"));
        }
        let found = self.program.lookup(self.module, &call.callee.name);
        if self.scopes.find(&call.callee.name).is_none()
            && let Some(error) = found.and_then(|at| bind::no_optimizer(self.program.definition(at), &call.callee))
        {
            self.errors.push(error);
            return self.with_callee(call, Callee::Unknown, 0);
        }
        self.found.passed_as_values.extend(found);
        self.call(call, Form::Call, &[call.callee.span; 2])
    }

    /// Binds the outer names of a section. Two of one name are ambiguous, except a field that feeds the input of its name.
    fn names_of_section(&mut self, train: &'a Train, model: &'a Definition) -> Vec<LocalId> {
        let mut known: IndexMap<&str, (Meaning, Span)> = IndexMap::new();
        for (name, span, meaning) in self.meanings(train, model) {
            let (first, old) = *known.entry(name).or_insert((meaning, span));
            if first == meaning || (first, meaning) == (INPUT, FIELD) {
                continue;
            }
            let ((_, first), (_, second)) = (first, meaning);
            let error = Diagnostic::error("duplicate-name", format!("`{name}` is both {first} and {second}"))
                .primary(span, format!("{second}, for `train {}`", train.model.name))
                .secondary(old, first);
            self.errors.push(error.help(match meaning {
                FIELD => "rename one of them: only a field that feeds the model's input of its name shares a name",
                _ => "rename one of them: in a `train` section, the name is ambiguous",
            }));
        }
        let mut outer = vec![];
        for (name, ((kind, _), span)) in known {
            match kind {
                Kind::Dimension => drop(self.scopes.bind(name, span, kind, None)),
                _ => outer.push(self.bind_at(name, span, kind).local),
            }
        }
        outer
    }

    /// The outer names of a section, with their spans.
    fn meanings(&self, train: &'a Train, model: &'a Definition) -> Vec<(&'a str, Span, Meaning)> {
        let mut all = vec![];
        let dims = model.params.iter().flat_map(|param| dimensions(&param.ty));
        all.extend(dims.map(|(name, span)| (name, span, DIMENSION)));
        all.extend(model.params.iter().map(|param| {
            let is_data = matches!(param.ty.kind, TypeKind::Data { .. });
            (&*param.name.name, param.name.span, if is_data { INPUT } else { ARGUMENT })
        }));
        let results = model.results.iter().filter_map(|result| result.name.as_ref());
        all.extend(results.map(|name| (&*name.name, name.span, RESULT)));
        let datasets = DATA.iter().filter_map(|setting| dataset_of(self.program, self.module, train, setting));
        all.extend(datasets.flat_map(|(_, dataset)| fields(dataset)).map(|name| (&*name.name, name.span, FIELD)));
        all
    }
}

fn unknown_setting(name: &Ident, known: &[&str]) -> Diagnostic {
    let of_update = known == SETTINGS_OF_UPDATE;
    let whose = if of_update { "update" } else { "train" };
    let error = Diagnostic::error("unknown-setting", format!("`{whose}` has no setting `{}`", name.name));
    if of_update && SETTINGS.contains(&name.name.as_str()) {
        return error.primary(name.span, "move it out of the braces: it is a setting of the whole training");
    }
    match did_you_mean(&name.name, known.iter().copied()) {
        Some(meant) => error.primary(name.span, format!("do you mean `{meant}`?")).fix(name.span, meant),
        None => error.primary(name.span, "unknown").help(format!("settings of `{whose}` are {}", known.join(", "))),
    }
}

/// Reports trainings with the same name.
pub(super) fn names_of_trainings(file: &File, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: IndexMap<&str, &Train> = IndexMap::new();
    for train in file.trains() {
        let name = train.name();
        let Some(first) = seen.get(&*name.name) else {
            seen.insert(&name.name, train);
            continue;
        };
        let error = Diagnostic::error("duplicate-name", format!("two trainings are named `{}`", name.name))
            .primary(name.span, "same name")
            .secondary(first.name().span, "first used here");
        let help = format!("give each a name of its own: `train other = {} {{ … }}`", train.model.name);
        diagnostics.push(error.help(help));
    }
}

/// The settings that name a dataset.
pub(super) const DATA: [&str; 3] = ["data", "validation", "test"];

/// The fields of a dataset.
pub(super) fn fields(d: &Dataset) -> impl Iterator<Item = &Ident> {
    d.entries.iter().filter_map(|entry| match &entry.kind {
        EntryKind::Field { name, .. } => Some(name),
        _ => None,
    })
}

/// The dataset that is called by a setting of a section.
pub(super) fn dataset_of<'a>(
    program: &'a Program,
    module: u32,
    train: &Train,
    setting: &str,
) -> Option<(ItemRef, &'a Dataset)> {
    train.entries.iter().find_map(|entry| match &entry.kind {
        EntryKind::Field { name, value: Expr { kind: ExprKind::Call(call), .. } } if name.name == setting => {
            program.lookup_dataset(module, &call.callee.name)
        }
        _ => None,
    })
}

/// The outermost call of a metric, whose `as` is the metric's name.
fn metric_call(e: &Expr) -> Option<&Call> {
    match &e.kind {
        ExprKind::Call(call) => Some(call),
        ExprKind::Pipe { steps, .. } => steps.last(),
        _ => None,
    }
}

/// The error for the name of a dataset that denotes nothing, or what `is_known` to be no dataset.
fn no_dataset(program: &Program, name: &Ident, is_known: bool) -> Diagnostic {
    let (name, span) = (&name.name, name.span);
    if is_known {
        let error = Diagnostic::error("type-mismatch", format!("`{name}` is not a dataset"));
        return error.primary(span, "not a dataset");
    }
    let known: Vec<&str> = program.main().datasets().map(|d| d.name.name.as_str()).collect();
    let error = Diagnostic::error("unknown-name", format!("there is no dataset `{name}`"));
    let all = match known.is_empty() {
        true => "write `dataset name(…) { … }`, or import one".to_owned(),
        false => format!("the file defines {}", known.join(", ")),
    };
    error.meant_or(span, did_you_mean(name, known), all)
}

/// The dimensions that the type of an argument binds: axes that are a single capitalised name.
pub(super) fn dimensions(ty: &Type) -> impl Iterator<Item = (&str, Span)> {
    let dims = if let TypeKind::Data { dims, .. } = &ty.kind { dims.as_slice() } else { &[] };
    dims.iter().filter_map(|dim| match dim {
        Dim::Size(Expr { kind: ExprKind::Name(name), span }) if name.starts_with(|c: char| c.is_ascii_uppercase()) => {
            Some((name.as_str(), *span))
        }
        _ => None,
    })
}
