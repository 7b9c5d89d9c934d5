//! The settings of a `train` section: a closed, checked list.

use super::dataset::{DatasetCall, dataset_call};
use super::pattern;
use super::value::Value;
use super::weights::no_weight_named;
use super::{Eval, Lower, Request};
use crate::ast;
use crate::diagnostic::{Diagnostic, has_errors, tidy};
use crate::hir::{Callee, Expr, ExprKind, Pattern, Program, Train};
use crate::print::{expr_text, pattern_text};
use crate::span::Span;

mod keep;
mod metrics;
mod scope;
mod train_settings;
mod update;

pub use crate::library::{SETTINGS, SETTINGS_DOCS, SettingDoc};
pub use train_settings::{Amount, BestBy, Clip, Keep, Metric, TrainSettings, Validation};
pub(crate) use update::Update;

/// Epochs, steps and the batch size are at least 1 and below this bound,
/// which keeps products of them within 64 bits.
pub const MAX_COUNT: usize = 1 << 40;

/// All settings, with the expressions that belong into graphs.
#[derive(Debug, Default)]
pub(crate) struct Settings<'p> {
    pub data: Option<DatasetCall>,
    pub test: Option<DatasetCall>,
    pub validation: Option<Validation>,
    pub epochs: Option<usize>,
    pub steps: Option<usize>,
    pub batch: Option<usize>,
    pub seed: Option<u64>,
    pub shuffle: Option<bool>,
    pub clip: Option<Clip>,
    pub keep: Option<Keep>,
    pub patience: Option<usize>,
    pub weights: Option<Span>,
    pub trainable: Option<Patterns>,
    pub loss: Option<&'p Expr>,
    pub optimizer: Option<&'p Expr>,
    /// What a step consists of, in order: at least one.
    pub updates: Vec<Update<'p>>,
    pub metrics: Vec<(Metric, &'p Expr)>,
}

/// A number as it is written.
#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    fn value(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Float(x) => x,
        }
    }
}

/// Patterns of weights' names.
#[derive(Debug)]
pub(crate) struct Patterns {
    /// Each with its span.
    pub list: Vec<(String, Span)>,
    /// The span of them all.
    pub span: Span,
}

/// The settings of a section as source, by name, without its length.
fn texts_of(train: &ast::Train) -> Vec<(String, String)> {
    let entries = train.entries.iter().filter_map(|entry| match &entry.kind {
        ast::EntryKind::Field { name, value } if !matches!(&*name.name, "epochs" | "steps") => {
            Some((name.name.clone(), expr_text(value)))
        }
        ast::EntryKind::Let { pattern, value } => Some((format!("let {}", pattern_text(pattern)), expr_text(value))),
        _ => None,
    });
    entries.chain(update::texts(train)).collect()
}

impl Program {
    /// What the training of a request says, given its arguments; none if there is no training.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn train_settings(&self, request: &Request) -> Result<Option<TrainSettings>, Vec<Diagnostic>> {
        let mut lower = Lower::new(self, request);
        let found = lower.begin().and_then(|(chosen, _)| match chosen.train {
            None => Ok(None),
            Some(train) => lower.settings(train).map(|settings| Some((train, settings))),
        });
        let mut diagnostics = std::mem::take(&mut lower.diagnostics);
        let span_of = |train: &Train, setting| train.section.get(setting).map_or(train.model.span, |value| value.span);
        match found {
            Ok(found) if !has_errors(&diagnostics) => Ok(found.map(|(train, s)| TrainSettings {
                name: train.name().name.clone(),
                has_own_name: train.name.is_some(),
                model: train.model.name.clone(),
                data: s.data.expect("is required"),
                test: s.test,
                validation: s.validation,
                epochs: s.epochs,
                steps: s.steps,
                batch: s.batch.unwrap_or(32),
                batch_span: span_of(train, "batch"),
                validation_span: span_of(train, "validation"),
                seed: s.seed.unwrap_or(0),
                shuffle: s.shuffle.unwrap_or(true),
                clip: s.clip,
                keep: s.keep.unwrap_or(Keep::Last),
                patience: s.patience,
                weights: s.weights,
                texts: match self.item(train.at) {
                    ast::Item::Train(train) => texts_of(train),
                    _ => vec![],
                },
                metrics: s.metrics.into_iter().map(|(metric, _)| metric).collect(),
                span: train.span,
                model_span: train.model.span,
                allowed: train.allowed.clone(),
            })),
            _ => {
                tidy(&mut diagnostics);
                Err(diagnostics)
            }
        }
    }
}

impl<'p> Lower<'p> {
    /// Reads a section's settings. Values that need tensors stay expressions.
    pub(crate) fn settings(&mut self, train: &'p Train) -> Eval<Settings<'p>> {
        let mut settings = Settings::default();
        self.enter_section(train);
        let before = self.diagnostics.len();
        for (name, value) in &train.section.settings {
            // An error is reported; the other settings are looked at all the same.
            let _ = self.setting(&mut settings, &name.name, value);
        }
        settings.updates = self.updates(train, &settings).unwrap_or_default();
        if let Some(value) = train.section.get("keep") {
            // the scores that it may name are known now
            settings.keep = self.keep(value, &settings).ok();
        }
        for name in ["data", "loss", "optimizer"] {
            let needed = name == "data" || train.updates.is_empty();
            if needed && train.section.get(name).is_none() {
                let message = format!("missing setting `{name}` of `train {}`", train.name().name);
                self.error("missing-setting", message, train.model.span, format!("`{name}` is missing"));
            }
        }
        self.frames.pop();
        if self.request.epochs.or(self.request.steps).is_some() {
            (settings.epochs, settings.steps) = (self.request.epochs, self.request.steps);
        }
        if has_errors(&self.diagnostics[before..]) { super::stop() } else { Ok(settings) }
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

    fn setting(&mut self, settings: &mut Settings<'p>, name: &str, value: &'p Expr) -> Eval<()> {
        match name {
            "data" => settings.data = Some(dataset_call(self, value)?),
            "test" => settings.test = Some(dataset_call(self, value)?),
            "validation" => settings.validation = Some(self.validation(value)?),
            "epochs" => settings.epochs = Some(self.count(value, "epochs")?),
            "steps" => settings.steps = Some(self.count(value, "steps")?),
            "batch" => settings.batch = Some(self.count(value, "batch")?),
            "seed" => match self.eval(value)? {
                Value::Int(i, _) if i >= 0 => settings.seed = Some(i as u64),
                other => return Err(self.bad_setting("seed", "an integer", &other, value.span)),
            },
            "shuffle" => match self.eval(value)? {
                Value::Bool(b) => settings.shuffle = Some(b),
                other => return Err(self.bad_setting("shuffle", "a bool", &other, value.span)),
            },
            "clip" => settings.clip = Some(self.clip(value)?),
            "patience" => settings.patience = Some(self.count(value, "patience")?),
            "weights" => {
                self.check_weights(value)?;
                settings.weights = Some(value.span);
            }
            "trainable" => {
                settings.trainable = Some(Patterns { list: self.strings(value, "trainable")?, span: value.span });
            }
            "loss" => settings.loss = Some(value),
            "optimizer" => settings.optimizer = Some(value),
            "metrics" => {
                settings.metrics = self.metrics(value)?;
            }
            // `keep`, which is read when the others are
            _ => {}
        }
        Ok(())
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

    /// The number in `name(number)` and its name: an integer or a finite float above 0.
    fn one_number(&mut self, value: &'p Expr, setting: &str) -> Eval<(&'p str, Number)> {
        let ExprKind::Call(call) = &value.kind else { return super::stop() };
        let [arg] = call.args.as_slice() else { return super::stop() };
        let number = match self.eval(&arg.value)? {
            Value::Int(i, _) => Number::Int(i),
            Value::Float(x) => Number::Float(x),
            other => return Err(self.bad_setting(setting, "a number", &other, arg.value.span)),
        };
        let value = number.value();
        if value <= 0.0 || !value.is_finite() {
            let message = format!("expected a number above 0 in `{}`, found {value}", call.name.name);
            return Err(self.error("number-out-of-range", message, arg.value.span, "not above 0"));
        }
        Ok((&call.name.name, number))
    }

    /// `last(0.2)` and `random(0.2)`, a fraction of the examples, or `last(500)` and `random(500)`, their number.
    fn validation(&mut self, value: &'p Expr) -> Eval<Validation> {
        if let ExprKind::Call(call) = &value.kind
            && let Callee::Item { at, .. } = call.callee
            && self.program.resolved_dataset(at).is_some()
        {
            return Ok(Validation::Data(dataset_call(self, value)?));
        }
        let (name, number) = self.one_number(value, "validation")?;
        let amount = match number {
            Number::Float(fraction) if fraction < 1.0 => Amount::Fraction(fraction),
            Number::Float(fraction) => {
                let message = format!(
                    "expected a fraction below 1 or a whole number of examples in `{name}`, found {fraction:?}"
                );
                let error = Diagnostic::error("number-out-of-range", message).primary(value.span, "not below 1");
                let whole = if fraction.fract() == 0.0 { fraction } else { 500.0 };
                return Err(self.fail(error.help(format!("of a number of examples write `{name}({whole})`"))));
            }
            Number::Int(i) => Amount::Count(usize::try_from(i).unwrap_or(usize::MAX)),
        };
        Ok(if name == "last" { Validation::Last(amount) } else { Validation::Random(amount) })
    }

    fn clip(&mut self, value: &'p Expr) -> Eval<Clip> {
        let (name, limit) = self.one_number(value, "clip")?;
        Ok(if name == "norm" { Clip::Norm(limit.value()) } else { Clip::Value(limit.value()) })
    }

    /// One string or a list of them, each with its span.
    fn strings(&mut self, value: &'p Expr, name: &str) -> Eval<Vec<(String, Span)>> {
        let found = self.eval(value)?;
        let list = match &found {
            Value::Str(s) => return Ok(vec![(s.to_string(), value.span)]),
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
        Ok(strings)
    }

    /// Freezes what `trainable` does not name.
    pub(crate) fn freeze(&mut self, settings: &Settings<'p>) -> Eval<()> {
        let Some(Patterns { list, span }) = &settings.trainable else { return Ok(()) };
        self.check_patterns(list)?;
        let patterns: Vec<&str> = list.iter().map(|(pattern, _)| pattern.as_str()).collect();
        let mut frozen = vec![];
        for weight in self.weights.iter_mut().filter(|w| !w.is_state) {
            weight.trainable = pattern::selects(&patterns, &weight.name);
            if !weight.trainable {
                frozen.push((weight.name.clone(), weight.data.value));
            }
        }
        if !frozen.is_empty() && !self.weights.iter().any(|w| !w.is_state && w.trainable) {
            let error = Diagnostic::error("bad-pattern", "no weight is trainable");
            let help = "name what is to be trained: trainable = [\"head.**\"]";
            return Err(self.fail(error.primary(*span, "every weight is frozen").help(help)));
        }
        let root = &mut self.contexts[0].builder;
        for (name, value) in frozen {
            let function = root.function_mut();
            let arg = function.arg_index(value).expect("a weight is an argument");
            function.set_role(arg, dlc_ir::Role::Param { name: name.clone(), trainable: false });
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
