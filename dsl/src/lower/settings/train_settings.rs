//! The settings of a `train` section that the trainer reads.

use super::super::dataset::DatasetCall;
use crate::diagnostic::{Diagnostic, count};
use crate::hir::Allowed;
use crate::span::Span;

/// How many of the examples are for the validation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// A fraction of all, above 0 and below 1.
    Fraction(f64),
    /// A number of examples, at least 1.
    Count(usize),
}

impl Amount {
    /// The amount in words, for a label.
    fn label(self, examples: usize, held_out: usize) -> String {
        match self {
            Amount::Fraction(fraction) => {
                format!("{fraction} of {} is {held_out}, rounded", count(examples, "example"))
            }
            Amount::Count(expected) => format!("{expected} of {}", count(examples, "example")),
        }
    }
}

/// Which examples are for the validation.
#[derive(Clone, Debug, PartialEq)]
pub enum Validation {
    /// The last ones of the training data.
    Last(Amount),
    /// Random ones of the training data.
    Random(Amount),
    /// Those of a dataset of their own.
    Data(DatasetCall),
}

/// How gradients are kept small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// The norm of all of them together.
    Norm(f64),
    /// Each element.
    Value(f64),
}

/// Which weights a training ends with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Those of its last step.
    #[default]
    Last,
    /// Those of its best epoch.
    Best(BestBy),
}

/// The score that decides which epoch is the best.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BestBy {
    /// Whether it is that of the validation; `None` if it is where there is one.
    pub validation: Option<bool>,
    /// `loss`, or the name of a metric.
    pub score: String,
    /// Whether the lowest is the best.
    pub lower: bool,
}

/// A metric of a `train` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name, as the graphs' outputs have it.
    pub name: String,
}

/// The settings of a `train` section that are not part of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSettings {
    /// The name by which the training is chosen.
    pub name: String,
    /// Whether that is its own, and not the model's.
    pub has_own_name: bool,
    /// The model.
    pub model: String,
    /// The training data.
    pub data: DatasetCall,
    /// The data for the test after training.
    pub test: Option<DatasetCall>,
    /// What validates.
    pub validation: Option<Validation>,
    /// Where that is written, or else where the section names the model.
    pub validation_span: Span,
    /// Times through the data.
    pub epochs: Option<usize>,
    /// Steps in all, in place of epochs.
    pub steps: Option<usize>,
    /// Examples of a step.
    pub batch: usize,
    /// Where that is written, or else where the section names the model.
    pub batch_span: Span,
    /// What random draws follow from.
    pub seed: u64,
    /// Whether the order of the examples changes every epoch.
    pub shuffle: bool,
    /// Clipping of gradients.
    pub clip: Option<Clip>,
    /// Which weights are kept.
    pub keep: Keep,
    /// Epochs without a better score after which the training ends: by the score of `keep`, or else by the loss.
    pub patience: Option<usize>,
    /// Where it says which files the initial values of weights are read from: [`Program::initial_weights`](crate::Program::initial_weights).
    pub weights: Option<Span>,
    /// The settings as source, by name, without `epochs` and `steps`.
    pub texts: Vec<(String, String)>,
    /// The metrics.
    pub metrics: Vec<Metric>,
    /// Where the section begins.
    pub span: Span,
    /// Where it names the model.
    pub model_span: Span,
    /// The warnings that it silences.
    pub(crate) allowed: Vec<Allowed>,
}

impl TrainSettings {
    /// The calls of datasets: those of the training, the validation and the test.
    pub fn datasets(&self) -> impl Iterator<Item = &DatasetCall> {
        let validation = match &self.validation {
            Some(Validation::Data(call)) => Some(call),
            _ => None,
        };
        std::iter::once(&self.data).chain(validation).chain(&self.test)
    }

    /// Checks that the length of the training is given; callers that train step by step do not need it.
    ///
    /// # Errors
    /// If the section says neither `epochs` nor `steps`.
    pub fn check_length(&self) -> Result<(), Vec<Diagnostic>> {
        if self.epochs.or(self.steps).is_some() {
            return Ok(());
        }
        let message = format!("missing setting of `train {}`: `epochs` or `steps`", self.name);
        let error = Diagnostic::error("missing-setting", message);
        Err(vec![error.primary(self.model_span, "has no length")])
    }

    /// Checks that the validation leaves something to train on.
    ///
    /// # Errors
    /// If none of the examples is left.
    pub fn check_validation(&self, examples: usize, held_out: usize) -> Result<(), Vec<Diagnostic>> {
        let Some(Validation::Last(amount) | Validation::Random(amount)) = self.validation else { return Ok(()) };
        if held_out == 0 || held_out < examples {
            return Ok(());
        }
        let message = "`validation` takes all examples; none is left to train on";
        let label = amount.label(examples, held_out);
        let error = Diagnostic::error("too-few-examples", message).primary(self.validation_span, label);
        Err(vec![error.help("choose a smaller fraction or number, such as `last(0.2)`")])
    }

    /// Warnings that depend on the data: the number of validation examples, and of those that fill no batch, with the reason why these are not
    /// trained on.
    pub fn warnings(&self, examples: usize, held_out: usize, left_out: Option<(usize, &str)>) -> Vec<Diagnostic> {
        let mut warnings = vec![];
        if let Some(Validation::Last(amount) | Validation::Random(amount)) = self.validation
            && held_out == 0
        {
            let message = "the validation set is empty";
            let label = amount.label(examples, held_out);
            let warning = Diagnostic::warning("empty-validation", message).primary(self.validation_span, label);
            warnings.push(warning.help("choose a larger fraction, or delete `validation`"));
        }
        if let Some((left_out, why)) = left_out {
            let (are, they) = if left_out == 1 { ("is", "it fills") } else { ("are", "they fill") };
            let message = format!("{} of each epoch {are} not trained on", count(left_out, "example"));
            let label = format!("{they} no batch, and the model is not trained on smaller ones");
            let warning = Diagnostic::warning("left-out-examples", message).primary(self.batch_span, label);
            warnings.push(warning.note(why).help("choose a batch that divides the number of examples"));
        }
        warnings.retain(|warning| !self.allowed.iter().any(|allowed| allowed.silences(warning)));
        warnings
    }

    /// Checks that there are examples for a step.
    ///
    /// # Errors
    /// If one batch takes more than all.
    pub fn check_batch(&self, examples: usize) -> Result<(), Vec<Diagnostic>> {
        if self.batch <= examples {
            return Ok(());
        }
        let message = format!("a batch has {} examples, but the training set has {examples}", self.batch);
        let error = Diagnostic::error("too-few-examples", message);
        let label = if examples == 0 { "there is none".to_owned() } else { format!("at most `batch = {examples}`") };
        Err(vec![error.primary(self.batch_span, label)])
    }
}
