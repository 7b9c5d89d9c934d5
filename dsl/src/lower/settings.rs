//! The settings of a `train` section: a closed, checked list.

use super::entry::Chosen;
use super::pattern;
use super::value::Value;
use super::weights::no_weight_named;
use super::{BoundArg, Eval, Lower, Request};
use crate::ast;
use crate::diagnostic::{Diagnostic, has_errors, tidy};
use crate::hir::{Callee, Expr, ExprKind, Pattern, Program, Section, Train};
use crate::print::{expr_text, pattern_text};
use crate::span::Span;

mod keep;
mod metrics;
mod train_settings;
mod update;

pub use crate::library::{SETTINGS, SETTINGS_DOCS, SettingDoc};
pub use train_settings::{Amount, BestBy, Clip, Keep, Metric, TrainSettings, Validation};
pub(crate) use update::Update;

/// Epochs, steps and the batch size are at least 1 and below this bound,
/// which keeps products of them within 64 bits.
pub const MAX_COUNT: usize = 1 << 40;

/// All settings, with the expressions that belong into graphs.
#[derive(Debug)]
pub(crate) struct Settings<'p> {
    pub of_trainer: TrainSettings,
    pub trainable: Option<Patterns>,
    /// What a step consists of, in order: at least one.
    pub updates: Vec<Update<'p>>,
    pub metrics: Vec<(Metric, &'p Expr)>,
}

/// Patterns of weights' names.
#[derive(Debug)]
pub(crate) struct Patterns {
    /// Each with its span.
    pub list: Vec<(String, Span)>,
    /// The span of them all.
    pub span: Span,
}

/// The settings of a section as source, by name, without its length; `of` says whose they are. Updates are behind the others.
fn texts_of(entries: &[ast::Entry], of: &str) -> Vec<(String, String)> {
    let (mut texts, mut updates, mut count) = (vec![], vec![], 0);
    for entry in entries {
        match &entry.kind {
            ast::EntryKind::Field { name, .. } if matches!(&*name.name, "epochs" | "steps") => {}
            ast::EntryKind::Field { name, value } => texts.push((format!("{}{of}", name.name), expr_text(value))),
            ast::EntryKind::Let { pattern, value } => {
                texts.push((format!("let {}{of}", pattern_text(pattern)), expr_text(value)));
            }
            ast::EntryKind::Update { target, entries } => {
                count += 1;
                updates.push((format!("update {count}"), expr_text(target)));
                updates.extend(texts_of(entries, &format!(" of update {count}")));
            }
            ast::EntryKind::Fit { .. } => {}
        }
    }
    texts.append(&mut updates);
    texts
}

impl Program {
    /// What the training of a request says, given its arguments; none if there is no training.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn train_settings(&self, request: &Request) -> Result<Option<TrainSettings>, Vec<Diagnostic>> {
        let mut lower = Lower::new(self, request);
        let found = lower.begin().and_then(|(chosen, _)| chosen.train.map(|train| lower.settings(train)).transpose());
        let mut diagnostics = std::mem::take(&mut lower.diagnostics);
        match found {
            Ok(found) if !has_errors(&diagnostics) => Ok(found.map(|settings| settings.of_trainer)),
            _ => {
                tidy(&mut diagnostics);
                Err(diagnostics)
            }
        }
    }
}

impl<'p> Lower<'p> {
    /// The model's arguments that are known at compile time, for its `train` section; those that depend on data are left out.
    pub(crate) fn arguments_of_section(&mut self, chosen: &Chosen<'p>, given: &[BoundArg<'p>]) -> Eval<()> {
        let frame = self.new_frame(chosen.definition.at.module, &chosen.definition.locals);
        self.frames.push(frame);
        self.declare_arguments(chosen, given)?;
        let frame = self.frames.pop().expect("was pushed");
        for (param, var) in chosen.definition.params.iter().zip(frame.slots) {
            let Some(mut var) = var else { continue };
            let what = format!("`{}` of `{}`", param.name.name, chosen.definition.name.name);
            var.value = self.coerce(var.value, &param.ty, &what, var.span)?;
            self.section_arguments.insert(param.name.name.clone(), var);
        }
        Ok(())
    }

    /// Opens the scope of a section: the model's arguments, and within it what the section introduces.
    pub(crate) fn enter_section(&mut self, train: &'p Train) {
        let mut frame = self.new_frame(0, &train.locals);
        frame.give(&train.outer, |name| self.section_arguments.get(name).cloned());
        self.frames.push(frame);
        self.known_lets(&train.section.lets);
    }

    /// Reads a section's settings. Values that need tensors stay expressions.
    pub(crate) fn settings(&mut self, train: &'p Train) -> Eval<Settings<'p>> {
        self.enter_section(train);
        let before = self.diagnostics.len();
        let section = &train.section;
        for name in ["data", "loss", "optimizer"] {
            let needed = name == "data" || train.updates.is_empty();
            if needed && section.get(name).is_none() {
                let message = format!("missing setting `{name}` of `train {}`", train.name().name);
                self.error("missing-setting", message, train.model.span, format!("`{name}` is missing"));
            }
        }
        let data = self.read_setting(section, "data", Self::dataset_call);
        let test = self.read_setting(section, "test", Self::dataset_call);
        let validation = self.read_setting(section, "validation", Self::validation);
        let epochs = self.read_setting(section, "epochs", Self::count);
        let steps = self.read_setting(section, "steps", Self::count);
        let batch = self.read_setting(section, "batch", Self::count);
        let patience = self.read_setting(section, "patience", Self::count);
        let seed = self.read_setting(section, "seed", |lower, value, name| match lower.eval(value)? {
            Value::Int(i, _) if i >= 0 => Ok(i as u64),
            other => Err(lower.bad_setting(name, "an integer", &other, value.span)),
        });
        let shuffle = self.read_setting(section, "shuffle", |lower, value, name| match lower.eval(value)? {
            Value::Bool(b) => Ok(b),
            other => Err(lower.bad_setting(name, "a bool", &other, value.span)),
        });
        let clip = self.read_setting(section, "clip", Self::clip);
        let weights = self.read_setting(section, "weights", |lower, value, _| {
            lower.check_weights(value)?;
            Ok(value.span)
        });
        let trainable = self.read_setting(section, "trainable", Self::patterns);
        let metrics = self.read_setting(section, "metrics", |lower, value, _| lower.metrics(value)).unwrap_or_default();
        let updates = self.updates(train, clip).unwrap_or_default();
        let losses = updates.iter().map(|update| update.name.as_str()).filter(|name| *name != "loss");
        let losses = ["loss"].into_iter().chain(losses).map(|name| (name, None));
        let scores = losses.chain(metrics.iter().map(|(metric, value)| (metric.name.as_str(), Some(*value))));
        let (scores, validates) = (scores.collect::<Vec<_>>(), validation.is_some());
        let keep = self.read_setting(section, "keep", |lower, value, _| lower.keep(value, validates, &scores));
        self.frames.pop();
        if has_errors(&self.diagnostics[before..]) {
            return super::stop();
        }
        let Request { epochs: given_epochs, steps: given_steps, .. } = *self.request;
        let has_length = given_epochs.or(given_steps).is_some();
        let (epochs, steps) = if has_length { (given_epochs, given_steps) } else { (epochs, steps) };
        let span_of = |setting| section.get(setting).map_or(train.model.span, |value| value.span);
        let of_trainer = TrainSettings {
            name: train.name().name.clone(),
            has_own_name: train.name.is_some(),
            model: train.model.name.clone(),
            data: data.expect("is required"),
            test,
            validation,
            validation_span: span_of("validation"),
            epochs,
            steps,
            batch: batch.unwrap_or(32),
            batch_span: span_of("batch"),
            seed: seed.unwrap_or(0),
            shuffle: shuffle.unwrap_or(true),
            clip,
            keep: keep.unwrap_or_default(),
            patience,
            weights,
            texts: match self.program.item(train.at) {
                ast::Item::Train(train) => texts_of(&train.entries, ""),
                _ => vec![],
            },
            metrics: metrics.iter().map(|(metric, _)| metric.clone()).collect(),
            span: train.span,
            model_span: train.model.span,
            allowed: train.allowed.clone(),
        };
        Ok(Settings { of_trainer, trainable, updates, metrics })
    }

    /// The value of a setting, which `read` is given with the name; none if it is not set, and after an error, which is reported, so that
    /// the other settings are looked at all the same.
    fn read_setting<T>(
        &mut self,
        section: &'p Section,
        name: &str,
        read: impl FnOnce(&mut Self, &'p Expr, &str) -> Eval<T>,
    ) -> Option<T> {
        section.get(name).and_then(|value| read(self, value, name).ok())
    }

    /// The `let`s of a section, as far as they need no tensors.
    pub(crate) fn known_lets(&mut self, lets: &'p [(Pattern, Expr)]) {
        for (pattern, value) in lets {
            let before = self.diagnostics.len();
            let result = self.eval(value).and_then(|found| self.bind_pattern(pattern, found, value.span, false));
            if result.is_err() {
                self.diagnostics.truncate(before);
            }
        }
    }

    fn bad_setting(&mut self, name: &str, expected: &str, found: &Value<'p>, span: Span) -> super::Stop {
        if matches!(found, Value::Poison) {
            return super::Stop;
        }
        let message = format!("expected {expected} for `{name}`, found {}", found.describe(self.float));
        self.error("type-mismatch", message, span, format!("expected {expected}"))
    }

    fn count(&mut self, value: &'p Expr, name: &str) -> Eval<usize> {
        match self.eval(value)? {
            Value::Int(i, _) if (1..MAX_COUNT as i64).contains(&i) => Ok(i as usize),
            Value::Int(i, _) => {
                let bounds = if i < 1 { "at least 1" } else { "a smaller number" };
                let message = format!("`{name}` is {i}; expected {bounds}");
                Err(self.error("number-out-of-range", message, value.span, "out of range"))
            }
            other => Err(self.bad_setting(name, "an integer", &other, value.span)),
        }
    }

    /// The value of the number in `name(number)`, and its name: an integer or a finite float above 0.
    fn one_number(&mut self, value: &'p Expr, setting: &str) -> Eval<(&'p str, Value<'p>, f64)> {
        let ExprKind::Call(call) = &value.kind else { return super::stop() };
        let [arg] = call.args.as_slice() else { return super::stop() };
        let found = self.eval(&arg.value)?;
        let number = match found {
            Value::Int(i, _) => i as f64,
            Value::Float(x) => x,
            other => return Err(self.bad_setting(setting, "a number", &other, arg.value.span)),
        };
        if number <= 0.0 || !number.is_finite() {
            let message = format!("expected a number above 0 in `{}`, found {number}", call.name.name);
            return Err(self.error("number-out-of-range", message, arg.value.span, "not above 0"));
        }
        Ok((&call.name.name, found, number))
    }

    /// `last(0.2)` and `random(0.2)`, a fraction of the examples, or `last(500)` and `random(500)`, their number.
    fn validation(&mut self, value: &'p Expr, setting: &str) -> Eval<Validation> {
        if let ExprKind::Call(call) = &value.kind
            && let Callee::Item { at, .. } = call.callee
            && self.program.resolved_dataset(at).is_some()
        {
            return self.dataset_call(value, setting).map(Validation::Data);
        }
        let (name, found, number) = self.one_number(value, setting)?;
        let amount = match found {
            Value::Int(i, _) => Amount::Count(usize::try_from(i).unwrap_or(usize::MAX)),
            _ if number < 1.0 => Amount::Fraction(number),
            _ => {
                let message =
                    format!("expected a fraction below 1 or a whole number of examples in `{name}`, found {number:?}");
                let error = Diagnostic::error("number-out-of-range", message).primary(value.span, "not below 1");
                let whole = if number.fract() == 0.0 { number } else { 500.0 };
                return Err(self.fail(error.help(format!("of a number of examples write `{name}({whole})`"))));
            }
        };
        Ok(if name == "last" { Validation::Last(amount) } else { Validation::Random(amount) })
    }

    fn clip(&mut self, value: &'p Expr, setting: &str) -> Eval<Clip> {
        let (name, _, limit) = self.one_number(value, setting)?;
        Ok(if name == "norm" { Clip::Norm(limit) } else { Clip::Value(limit) })
    }

    /// One string or a list of them.
    fn patterns(&mut self, value: &'p Expr, name: &str) -> Eval<Patterns> {
        let found = self.eval(value)?;
        let span = value.span;
        let list = match &found {
            Value::Str(s) => return Ok(Patterns { list: vec![(s.to_string(), span)], span }),
            Value::List(items) => items.clone(),
            other => return Err(self.bad_setting(name, "a list of patterns", other, value.span)),
        };
        let mut strings = vec![];
        for (i, item) in list.iter().enumerate() {
            let span = match &value.kind {
                ExprKind::List(items) => items[i].span,
                _ => value.span,
            };
            match item {
                Value::Str(s) => strings.push((s.to_string(), span)),
                other => return Err(self.bad_setting(name, "a list of patterns", other, span)),
            }
        }
        Ok(Patterns { list: strings, span })
    }

    /// Freezes what `trainable` does not name.
    pub(crate) fn freeze(&mut self, settings: &Settings<'p>) -> Eval<()> {
        let Some(Patterns { list, span }) = &settings.trainable else { return Ok(()) };
        self.check_patterns(list)?;
        let patterns: Vec<&str> = list.iter().map(|(pattern, _)| pattern.as_str()).collect();
        for weight in self.weights.iter_mut().filter(|w| !w.is_state) {
            weight.trainable = pattern::selects(&patterns, &weight.name);
        }
        let frozen = || self.weights.iter().filter(|w| !w.is_state && !w.trainable);
        if frozen().next().is_some() && !self.weights.iter().any(|w| w.trainable) {
            let error = Diagnostic::error("bad-pattern", "no weight is trainable");
            let help = "name what is to be trained: trainable = [\"head.**\"]";
            return Err(self.fail(error.primary(*span, "every weight is frozen").help(help)));
        }
        let function = self.contexts[0].builder.function_mut();
        for weight in frozen() {
            let arg = function.arg_index(weight.data.value).expect("a weight is an argument");
            function.set_role(arg, dlc_ir::Role::Param { name: weight.name.clone(), trainable: false });
        }
        Ok(())
    }

    /// Each pattern must match a weight.
    pub(crate) fn check_patterns<S: AsRef<str>>(&mut self, patterns: &[(S, Span)]) -> Eval<()> {
        let mut result = Ok(());
        for (pattern, span) in patterns {
            let pattern = pattern.as_ref();
            let plain = pattern.strip_prefix('!').unwrap_or(pattern);
            let mut names = self.weights.iter().filter(|w| !w.is_state).map(|w| &*w.name);
            let all = names.clone();
            if !names.any(|name| pattern::fits(plain, name)) {
                result = Err(self.fail(no_weight_named(plain, all, *span)));
            }
        }
        result
    }
}
