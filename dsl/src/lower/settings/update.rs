//! `update`: which weights a part of a step changes, by which loss, and how.

use super::super::{Eval, Lower, pattern, stop};
use super::{Clip, Patterns};
use crate::hir::{self, Expr, Pattern, Train};
use crate::span::Span;

/// A part of a step: weights that change by a loss of their own. What a section says without `update` is the only one.
#[derive(Debug)]
pub(crate) struct Update<'p> {
    /// The name of its loss in every output: `loss` of the only one, `loss.d` of that of `"d.**"` among several.
    pub name: String,
    /// The weights that it changes; none for all.
    pub target: Option<Patterns>,
    /// The `let`s within its braces.
    pub lets: &'p [(Pattern, Expr)],
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

impl<'p> Lower<'p> {
    /// The updates of a section, in which gradients are kept small by `clip` unless an update says more: those that it names, or else the one that `loss` and `optimizer` are
    /// short for.
    pub(super) fn updates(&mut self, train: &'p Train, clip: Option<Clip>) -> Eval<Vec<Update<'p>>> {
        if train.updates.is_empty() {
            let section = &train.section;
            let (Some(loss), Some(optimizer)) = (section.get("loss"), section.get("optimizer")) else { return stop() };
            let (name, target, lets, span) = ("loss".to_owned(), None, [].as_slice(), train.span);
            return Ok(vec![Update { name, target, lets, loss, optimizer, every: 1, clip, span }]);
        }
        let updates: Vec<_> = train.updates.iter().map(|update| self.update(update, clip)).collect();
        let mut updates = updates.into_iter().collect::<Eval<Vec<Update<'p>>>>()?;
        if updates.len() > 1 {
            let mut names: Vec<String> = vec![];
            for (number, update) in updates.iter_mut().enumerate() {
                let level = update.target.as_ref().and_then(first_level);
                let base = format!("loss.{}", level.unwrap_or_else(|| (number + 1).to_string()));
                update.name = super::metrics::unused(base, &names);
                names.push(update.name.clone());
            }
        }
        Ok(updates)
    }

    fn update(&mut self, update: &'p hir::Update, clip_of_all: Option<Clip>) -> Eval<Update<'p>> {
        let hir::Update { target, section, span } = update;
        let patterns = self.patterns(target, "update")?;
        if patterns.list.is_empty() {
            let message = "`update` names no weights";
            return Err(self.error("bad-pattern", message, target.span, "write `\"**\"` for all of them"));
        }
        self.known_lets(&section.lets);
        let every = self.read_setting(section, "every", Self::count).unwrap_or(1);
        let clip = self.read_setting(section, "clip", Self::clip).or(clip_of_all);
        let (Some(loss), Some(optimizer)) = (section.get("loss"), section.get("optimizer")) else { return stop() };
        let is_all = patterns.list.len() == 1 && patterns.list[0].0 == "**";
        Ok(Update {
            name: "loss".to_owned(),
            target: (!is_all).then_some(patterns),
            lets: &section.lets,
            loss,
            optimizer,
            every,
            clip,
            span: *span,
        })
    }
}

/// The first level of a pattern's names where it is one name: `d` of `"d.**"`.
fn first_level(target: &Patterns) -> Option<String> {
    let mut levels = target.list.iter().filter(|(pattern, _)| !pattern.starts_with('!'));
    let level = levels.next()?.0.split('.').next()?.to_owned();
    (!level.is_empty() && !level.contains('*')).then_some(level)
}
