//! `keep`: which weights a training ends with.

use super::super::train::metric_call;
use super::super::value::Value;
use super::super::{Eval, Lower, stop};
use super::train_settings::{BestBy, Keep};
use crate::diagnostic::{Diagnostic, meant_or};
use crate::hir::{Call, Callee, Expr, ExprKind};

/// Metrics and losses of the library that are better the lower they are.
const LOWER: &[&str] =
    &["mae", "rmse", "max_error", "mse", "l1", "huber", "cross_entropy", "binary_cross_entropy", "perplexity"];
/// Metrics of the library that are better the higher they are.
const HIGHER: &[&str] = &["accuracy", "binary_accuracy", "top_k_accuracy", "precision", "recall", "f1", "auc", "r2"];

/// The scores of a training by name: the losses, and the metrics with what they measure.
pub(super) type Scores<'s, 'p> = [(&'s str, Option<&'p Expr>)];

impl<'p> Lower<'p> {
    /// Reads `keep`, of a training with these scores.
    pub(super) fn keep(&mut self, value: &'p Expr, validates: bool, scores: &Scores<'_, 'p>) -> Eval<Keep> {
        match &value.kind {
            ExprKind::Call(call) => self.best(call, validates, scores).map(Keep::Best),
            _ => Ok(Keep::Last),
        }
    }

    fn best(&mut self, call: &'p Call, validates: bool, scores: &Scores<'_, 'p>) -> Eval<BestBy> {
        let Callee::Item { params, .. } = &call.callee else { return stop() };
        let [mut score, mut better] = [None, None];
        for (arg, param) in call.args.iter().zip(params) {
            let found = match self.eval(&arg.value)? {
                Value::Str(text) => Some((text.to_string(), arg.value.span)),
                other => return Err(self.bad_setting("keep", "named by a string", &other, arg.value.span)),
            };
            *(if *param == 0 { &mut score } else { &mut better }) = found;
        }
        let Some((score, span)) = score else { return stop() };
        let (validation, bare) = match (score.strip_prefix("validation."), score.strip_prefix("train.")) {
            (Some(bare), _) => (Some(true), bare),
            (_, Some(bare)) => (Some(false), bare),
            _ => (None, score.as_str()),
        };
        if validation == Some(true) && !validates {
            let message = "there is no validation to take a score from";
            let error = Diagnostic::error("missing-setting", message).primary(span, "a score of the validation");
            return Err(self.fail(error.help(format!("add `validation = last(0.2)`, or write \"train.{bare}\""))));
        }
        let Some((_, metric)) = scores.iter().find(|(name, _)| *name == bare) else {
            let known: Vec<&str> = scores.iter().map(|(name, _)| *name).collect();
            let label = meant_or(bare, known.iter().copied(), "unknown");
            let error = Diagnostic::error("unknown-name", format!("this training has no score `{bare}`"));
            return Err(self.fail(error.primary(span, label).help(format!("it has {}", known.join(", ")))));
        };
        let lower = match (better, metric) {
            (Some((word, at)), _) => match word.as_str() {
                "lower" => true,
                "higher" => false,
                _ => {
                    let message = format!("expected \"lower\" or \"higher\" for `better`, found \"{word}\"");
                    return Err(self.error("type-mismatch", message, at, "unexpected"));
                }
            },
            (None, None) => true,
            (None, Some(value)) => match metric_call(value).map(|call| call.name.name.as_str()) {
                Some(name) if LOWER.contains(&name) => true,
                Some(name) if HIGHER.contains(&name) => false,
                _ => {
                    let message = format!("it is unknown whether a lower or a higher `{bare}` is better");
                    let error = Diagnostic::error("missing-argument", message).primary(span, "which is better?");
                    return Err(self.fail(error.help(format!("write `best(\"{score}\", better: \"higher\")`"))));
                }
            },
        };
        Ok(BestBy { validation, score: bare.to_owned(), lower })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the library measures with can be kept by: a new metric says here what is better.
    #[test]
    fn every_metric_and_loss_of_the_library_has_a_direction() {
        let of_numbers = |e: &crate::library::Entry| ["metric", "loss"].contains(&e.family) && e.kind == "fn";
        for entry in crate::library::entries().filter(of_numbers) {
            // a matrix is not a score
            let known = LOWER.contains(&&*entry.name) || HIGHER.contains(&&*entry.name) || entry.name == "confusion";
            assert!(known, "{}", entry.name);
        }
    }
}
