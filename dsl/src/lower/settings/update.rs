//! `update`: which weights a part of a step changes, by which loss, and how.

use super::super::pattern;
use super::super::{Eval, Lower};
use super::{Clip, Patterns, SETTINGS, Settings};
use crate::ast::{self, Ident};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::hir::{Entry, EntryKind, Expr, Train};
use crate::print::{expr_text, pattern_text};
use crate::span::Span;

/// The settings of an `update`.
pub(crate) const SETTINGS_OF_UPDATE: &[&str] = &["loss", "optimizer", "every", "clip"];

/// A part of a step: weights that change by a loss of their own. What a section says without `update` is the only one.
#[derive(Debug)]
pub(crate) struct Update<'p> {
    /// The name of its loss in every output: `loss` of the only one, `loss.d` of that of `"d.**"` among several.
    pub name: String,
    /// The weights that it changes; none for all.
    pub target: Option<Patterns>,
    /// The `let`s within its braces.
    pub entries: &'p [Entry],
    pub loss: &'p Expr,
    pub optimizer: &'p Expr,
    /// It is made in each step whose number is divisible by this.
    pub every: usize,
    /// How its gradients are kept small, before what the section says.
    pub clip: Option<Clip>,
    pub span: Span,
}

impl Update<'_> {
    /// Whether it changes a weight of this name, if that is trainable.
    pub(crate) fn changes(&self, weight: &str) -> bool {
        self.target.as_ref().is_none_or(|target| {
            let patterns: Vec<&str> = target.list.iter().map(|(pattern, _)| pattern.as_str()).collect();
            pattern::selects(&patterns, weight)
        })
    }
}

/// What is read of an `update` so far.
#[derive(Default)]
struct Reading<'p> {
    loss: Option<&'p Expr>,
    optimizer: Option<&'p Expr>,
    every: Option<usize>,
    clip: Option<Clip>,
}

impl<'p> Lower<'p> {
    /// The updates of a section, of which the other settings are read: those that it names, or else the one that `loss` and `optimizer` are
    /// short for. Reports what is missing.
    pub(super) fn updates(&mut self, train: &'p Train, settings: &Settings<'p>) -> Eval<Vec<Update<'p>>> {
        let written: Vec<(&'p Expr, &'p [Entry], Span)> = train.entries.iter().filter_map(update_of).collect();
        if written.is_empty() {
            let (Some(loss), Some(optimizer)) = (settings.loss, settings.optimizer) else {
                return super::super::stop();
            };
            let (target, entries, clip) = (None, [].as_slice(), settings.clip);
            let (name, span) = ("loss".to_owned(), train.span);
            return Ok(vec![Update { name, target, entries, loss, optimizer, every: 1, clip, span }]);
        }
        self.refuse_both_forms(train, written[0].2);
        let mut updates: Vec<Update<'p>> = vec![];
        let mut failed = false;
        for &(target, entries, span) in &written {
            match self.update(target, entries, span, settings) {
                Ok(update) => updates.push(update),
                Err(_) => failed = true,
            }
        }
        if updates.len() > 1 {
            let mut names: Vec<String> = vec![];
            for (number, update) in updates.iter_mut().enumerate() {
                let level = update.target.as_ref().and_then(first_level);
                let base = format!("loss.{}", level.unwrap_or_else(|| (number + 1).to_string()));
                update.name = super::metrics::unused(base, &names);
                names.push(update.name.clone());
            }
        }
        if failed { super::super::stop() } else { Ok(updates) }
    }

    /// A section has a loss and an optimizer, or updates with theirs.
    fn refuse_both_forms(&mut self, train: &'p Train, update: Span) {
        for name in ["loss", "optimizer"] {
            let Some(field) = train.entries.iter().find_map(|entry| match &entry.kind {
                EntryKind::Setting { name: field, .. } if field.name == name => Some(field),
                _ => None,
            }) else {
                continue;
            };
            let message = format!("`{name}` is set for the whole section beside an `update`");
            let error = Diagnostic::error("duplicate-name", message)
                .primary(field.span, "is short for that of one `update \"**\"`")
                .secondary(update, "but this section has updates");
            self.fail(error.help(format!("move `{name}` into an `update`, or delete the updates")));
        }
    }

    fn update(
        &mut self,
        target: &'p Expr,
        entries: &'p [Entry],
        span: Span,
        settings: &Settings<'p>,
    ) -> Eval<Update<'p>> {
        let patterns = self.strings(target, "update")?;
        if patterns.is_empty() {
            let message = "`update` names no weights";
            return Err(self.fault("bad-pattern", message, target.span, "write `\"**\"` for all of them"));
        }
        let mut reading = Reading::default();
        let mut seen: Vec<(&str, Span)> = vec![];
        let mut failed = false;
        for entry in entries {
            match &entry.kind {
                EntryKind::Let { pattern, value } => self.known_let(pattern, value),
                // which the parser refuses
                EntryKind::Update { .. } | EntryKind::Fit { .. } | EntryKind::Field { .. } => {}
                EntryKind::Setting { name, value } => {
                    if !self.set_once(&mut seen, name) {
                        continue;
                    }
                    failed |= self.setting_of_update(&mut reading, name, value).is_err();
                }
            }
        }
        for name in ["loss", "optimizer"] {
            if !seen.iter().any(|(old, _)| *old == name) {
                let message = format!("this `update` has no `{name}`");
                self.fault("missing-setting", message, span, format!("add `{name} = …`"));
            }
        }
        let (Some(loss), Some(optimizer), false) = (reading.loss, reading.optimizer, failed) else {
            return super::super::stop();
        };
        let is_all = patterns.len() == 1 && patterns[0].0 == "**";
        Ok(Update {
            name: "loss".to_owned(),
            target: (!is_all).then_some(Patterns { list: patterns, span: target.span }),
            entries,
            loss,
            optimizer,
            every: reading.every.unwrap_or(1),
            clip: reading.clip.or(settings.clip),
            span,
        })
    }

    fn setting_of_update(&mut self, reading: &mut Reading<'p>, name: &'p Ident, value: &'p Expr) -> Eval<()> {
        match name.name.as_str() {
            "loss" => reading.loss = Some(value),
            "optimizer" => reading.optimizer = Some(value),
            "every" => reading.every = Some(self.count(value, "every")?),
            "clip" => reading.clip = Some(self.clip(value)?),
            other => {
                let message = format!("`update` has no setting `{other}`");
                let error = Diagnostic::error("unknown-setting", message);
                let error = if SETTINGS.contains(&other) {
                    error.primary(name.span, "move it out of the braces: it is a setting of the whole training")
                } else {
                    match did_you_mean(other, SETTINGS_OF_UPDATE.iter().copied()) {
                        Some(meant) => {
                            error.primary(name.span, format!("do you mean `{meant}`?")).fix(name.span, meant)
                        }
                        None => error
                            .primary(name.span, "unknown")
                            .help(format!("settings of an `update` are {}", SETTINGS_OF_UPDATE.join(", "))),
                    }
                };
                return Err(self.fail(error));
            }
        }
        Ok(())
    }
}

/// An entry as an update: its target, its entries, and where it begins, as far as to the target.
fn update_of(entry: &Entry) -> Option<(&Expr, &[Entry], Span)> {
    match &entry.kind {
        EntryKind::Update { target, entries } => {
            Some((target, entries.as_slice(), Span { end: target.span.end, ..entry.span }))
        }
        _ => None,
    }
}

/// The settings of the updates of a section as texts, by name.
pub(super) fn texts(train: &ast::Train) -> impl Iterator<Item = (String, String)> {
    let updates = train.entries.iter().filter_map(|entry| match &entry.kind {
        ast::EntryKind::Update { target, entries } => Some((target, entries)),
        _ => None,
    });
    updates.zip(1..).flat_map(|((target, entries), number)| {
        let text = move |entry: &ast::Entry| match &entry.kind {
            ast::EntryKind::Field { name, value } => {
                Some((format!("{} of update {number}", name.name), expr_text(value)))
            }
            ast::EntryKind::Let { pattern, value } => {
                Some((format!("let {} of update {number}", pattern_text(pattern)), expr_text(value)))
            }
            ast::EntryKind::Update { .. } | ast::EntryKind::Fit { .. } => None,
        };
        std::iter::once((format!("update {number}"), expr_text(target))).chain(entries.iter().filter_map(text))
    })
}

/// The first level of a pattern's names where it is one name: `d` of `"d.**"`.
fn first_level(target: &Patterns) -> Option<String> {
    let mut levels = target.list.iter().filter(|(pattern, _)| !pattern.starts_with('!'));
    let level = levels.next()?.0.split('.').next()?.to_owned();
    (!level.is_empty() && !level.contains('*')).then_some(level)
}
