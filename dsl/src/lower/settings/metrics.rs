//! `metrics`: what is measured beside the loss, and its names.

use super::super::train::metric_call;
use super::super::{Eval, Lower};
use super::Metric;
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind, InstanceNameKind};
use crate::span::Span;

impl<'p> Lower<'p> {
    /// The metrics with their names in every output: those that `as` gives, or else those of their functions.
    pub(super) fn metrics(&mut self, value: &'p Expr) -> Eval<Vec<(Metric, &'p Expr)>> {
        let ExprKind::List(items) = &value.kind else {
            let message = "expected a list for `metrics`";
            return Err(self.error("type-mismatch", message, value.span, "write `[…]`"));
        };
        let given = items.iter().map(|item| self.given_name(item)).collect::<Eval<Vec<_>>>()?;
        let mut taken = vec!["loss".to_owned()];
        for &(name, span) in given.iter().flatten() {
            if taken.iter().any(|old| old == name) {
                let message = format!("two scores of this training are named `{name}`");
                let error = Diagnostic::error("duplicate-name", message);
                let first = given.iter().flatten().find(|(old, _)| *old == name && name != "loss");
                return Err(self.fail(match first {
                    Some((_, first)) => error.primary(span, "named again").secondary(*first, "first named here"),
                    None => error.primary(span, "the loss has this name").help("choose another name"),
                }));
            }
            taken.push(name.to_owned());
        }
        let metrics = items.iter().zip(given).zip(1..).map(|((item, given), number)| {
            let function = || metric_call(item).map_or(format!("metric_{number}"), |call| call.name.name.clone());
            let name = given.map_or_else(|| unused(function(), &taken), |(name, _)| name.to_owned());
            taken.push(name.clone());
            (Metric { name }, item)
        });
        Ok(metrics.collect())
    }

    /// The name that `as` gives a metric.
    fn given_name(&mut self, item: &'p Expr) -> Eval<Option<(&'p str, Span)>> {
        let Some(name) = metric_call(item).and_then(|call| call.instance.as_ref()) else { return Ok(None) };
        match &name.kind {
            InstanceNameKind::Word(word) if word.starts_with(|c: char| c.is_ascii_lowercase()) => {
                Ok(Some((word, name.span)))
            }
            _ => {
                let message = "the name of a metric is a word in lower case, as in `mse(p, t) as error`";
                Err(self.error("bad-name", message, name.span, "not a name in lower case"))
            }
        }
    }
}

/// A name, or the first of the same with a number that is not taken.
pub(super) fn unused(base: String, taken: &[String]) -> String {
    let numbered = (2..).map(|n| format!("{base}_{n}"));
    let free = std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(name));
    free.unwrap_or(base)
}
