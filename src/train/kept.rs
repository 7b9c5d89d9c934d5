//! Which weights the artefact of a training has.

use std::fmt;

use dlc_dsl::lower::settings::Keep;
use dlc_runtime::Tensors;
use dlc_runtime::train::Summary;

/// Which weights a training writes to its artefact.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// Those of its last step.
    Last {
        /// The step.
        step: u64,
        /// The score that `keep` names, if it was not finite in any epoch.
        instead_of: Option<String>,
    },
    /// Those of its best epoch.
    Best {
        /// The epoch, from 1.
        epoch: u64,
        /// The score that decides: `validation.loss`.
        score: String,
        /// The value; none if the run ended within the first epoch.
        value: Option<f64>,
    },
}

impl Kept {
    /// The result of `keep`, with the weights if they are not the last.
    pub(crate) fn of(keep: &Keep, summary: &mut Summary) -> (Self, Option<Tensors>) {
        let (step, score) = (summary.step, summary.monitor.column());
        if *keep == Keep::Last {
            return (Kept::Last { step, instead_of: None }, None);
        }
        match summary.best_weights.take() {
            Some(weights) => {
                let epoch = summary.best.map_or(summary.epoch + 1, |best| best.epoch);
                (Kept::Best { epoch, score, value: summary.best.map(|best| best.value) }, Some(weights))
            }
            None => (Kept::Last { step, instead_of: Some(score) }, None),
        }
    }

    /// The JSON form.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Kept::Last { step, instead_of } => {
                serde_json::json!({ "kept": "last", "step": step, "instead_of": instead_of })
            }
            Kept::Best { epoch, score, value } => {
                serde_json::json!({ "kept": "best", "epoch": epoch, "score": score, "value": value })
            }
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Last { step, instead_of: None } => write!(f, "the last weights, of step {step}"),
            Kept::Last { step, instead_of: Some(score) } => {
                write!(f, "the last weights, of step {step}, since {score} was not finite in any epoch")
            }
            Kept::Best { epoch, score, value: Some(value) } => {
                write!(f, "the weights of epoch {epoch}, the best by {score}: {value:.4}")
            }
            Kept::Best { epoch, score, value: None } => {
                write!(f, "the weights of the incomplete epoch {epoch}, by {score}")
            }
        }
    }
}
