//! What decides which epoch is the best, and whose weights a training keeps.

use std::fmt;

use super::event::EpochReport;
use super::{Evaluator, Scores, TrainError, Trainer};
use crate::checkpoint::Best;
use crate::near::near;

/// A score that is to be low or high.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judge {
    /// Whose score; none is the validation's where there is one, and otherwise the training's.
    pub part: Option<Part>,
    /// `loss` or the name of a metric.
    pub score: String,
    /// What is better.
    pub better: Better,
}

/// A part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Training examples.
    Train,
    /// Validation examples.
    Validation,
}

/// Which of two scores is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The lower one.
    Lower,
    /// The higher one.
    Higher,
}

/// Which weights a training ends with, for whoever ships them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Those of its last step.
    #[default]
    Last,
    /// Those of its best epoch.
    Best,
}

impl Judge {
    /// The loss is to be low: that of the validation if there is one.
    pub fn loss() -> Self {
        Judge { part: None, score: "loss".to_owned(), better: Better::Lower }
    }

    /// The judge with its part decided, by the scores that there are.
    pub(super) fn resolved(mut self, trainer: &Trainer, validation: Option<&Evaluator>) -> Result<Self, TrainError> {
        let part = *self.part.get_or_insert(if validation.is_some() { Part::Validation } else { Part::Train });
        let names = match (part, validation) {
            (Part::Train, _) => trainer.totals.names(),
            (Part::Validation, Some(evaluator)) => evaluator.names(),
            (Part::Validation, None) => vec![],
        };
        if names.contains(&self.score) {
            return Ok(self);
        }
        let near = near(&self.score, names.iter().map(String::as_str));
        let known = match (part, validation) {
            (Part::Validation, None) => trainer.totals.names().iter().map(|name| format!("train.{name}")).collect(),
            _ => names,
        };
        Err(TrainError::NoScore { name: self.column(), near, known })
    }

    /// The score as the history names it: `validation.loss`.
    pub fn column(&self) -> String {
        match self.part {
            Some(Part::Train) => format!("train.{}", self.score),
            Some(Part::Validation) => format!("validation.{}", self.score),
            None => self.score.clone(),
        }
    }

    /// Whether an epoch is better than the best one so far, which it then becomes.
    pub(super) fn is_best(&self, report: &EpochReport, best: &mut Option<Best>) -> bool {
        let scores = match self.part {
            Some(Part::Train) => Some(&report.train),
            Some(Part::Validation) => report.validation.as_ref(),
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

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.better {
            Better::Lower => "lowest",
            Better::Higher => "highest",
        };
        write!(f, "{word} {}", self.column())
    }
}
