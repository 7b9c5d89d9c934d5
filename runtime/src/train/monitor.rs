//! Monitors a score: decides which epoch is the best, and whose weights a training keeps.

use std::fmt;

use super::event::EpochReport;
use super::{Evaluator, Scores, TrainError, Trainer};
use crate::checkpoint::Best;
use crate::near::near;

/// A score to be minimised or maximised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Whose score; `None` is the validation's if there is one, otherwise the training's.
    pub part: Option<DataPart>,
    /// `loss` or the name of a metric.
    pub score: String,
    pub better: Better,
}

/// A part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPart {
    Train,
    Validation,
}

/// The direction of improvement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
}

/// Which weights a training keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    #[default]
    Last,
    Best,
}

impl Monitor {
    /// The loss is to be minimised: that of the validation if there is one.
    pub fn loss() -> Self {
        Monitor { part: None, score: "loss".to_owned(), better: Better::Lower }
    }

    /// The monitor with its part resolved, by the scores that exist.
    pub(super) fn resolved(mut self, trainer: &Trainer, validation: Option<&Evaluator>) -> Result<Self, TrainError> {
        let part = *self.part.get_or_insert(if validation.is_some() { DataPart::Validation } else { DataPart::Train });
        let names = match (part, validation) {
            (DataPart::Train, _) => trainer.totals.names(),
            (DataPart::Validation, Some(evaluator)) => evaluator.names(),
            (DataPart::Validation, None) => vec![],
        };
        if names.contains(&self.score) {
            return Ok(self);
        }
        let near = near(&self.score, names.iter().map(String::as_str));
        let known = match (part, validation) {
            (DataPart::Validation, None) => trainer.totals.names().iter().map(|name| format!("train.{name}")).collect(),
            _ => names,
        };
        Err(TrainError::NoScore { name: self.column(), near, known })
    }

    /// The score as the history names it: `validation.loss`.
    pub fn column(&self) -> String {
        match self.part {
            Some(DataPart::Train) => format!("train.{}", self.score),
            Some(DataPart::Validation) => format!("validation.{}", self.score),
            None => self.score.clone(),
        }
    }

    /// Whether an epoch is better than the best one so far, which it then replaces.
    pub(super) fn is_best(&self, report: &EpochReport, best: &mut Option<Best>) -> bool {
        let scores = match self.part {
            Some(DataPart::Train) => Some(&report.train),
            Some(DataPart::Validation) => report.validation.as_ref(),
            None => report.validation.as_ref().or(Some(&report.train)),
        };
        let value = |scores: &Scores| match self.score.as_str() {
            "loss" => Some(scores.loss),
            name => scores.metrics.get(name).copied(),
        };
        let Some(value) = scores.and_then(value).filter(|v| v.is_finite()) else { return false };
        let better = best.is_none_or(|best| match self.better {
            Better::Lower => value < best.value,
            Better::Higher => value > best.value,
        });
        if better {
            *best = Some(Best { epoch: report.epoch, value });
        }
        better
    }
}

impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.better {
            Better::Lower => "lowest",
            Better::Higher => "highest",
        };
        write!(f, "{word} {}", self.column())
    }
}
