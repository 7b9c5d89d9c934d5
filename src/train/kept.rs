//! Which weights a training ends with.

use std::fmt;

use dlc_dsl::lower::settings::Keep;
use dlc_runtime::Tensors;
use dlc_runtime::train::Summary;

/// Which weights a training ended with, and ships.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// Those of its last step.
    Last {
        /// The step.
        step: u64,
        /// The score that no epoch had as a finite number, if the best by it were to be kept.
        instead_of: Option<String>,
    },
    /// Those of its best epoch.
    Best {
        /// The epoch, from 1.
        epoch: u64,
        /// The score that decides: `validation.loss`.
        score: String,
        /// Its value; none for a part of an epoch, where there is no whole one.
        value: Option<f64>,
    },
}

impl Kept {
    /// What a run ends with by a setting, and its weights where those are not the last.
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

    /// For machines.
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
                write!(f, "the last weights, of step {step}, since no epoch has a finite {score}")
            }
            Kept::Best { epoch, score, value: Some(value) } => {
                write!(f, "the weights of epoch {epoch}, the best by {score}: {value:.4}")
            }
            Kept::Best { epoch, score, value: None } => {
                write!(f, "the weights of epoch {epoch}, which is not whole, by {score}")
            }
        }
    }
}
