//! The step of a `train` section, shared by training, checks and inspection: its training examples, the request that it is compiled from,
//! and its initial weights.

use std::cell::OnceCell;

use dlc_dsl::lower::settings::{TrainSettings, Validation};
use dlc_dsl::{Lowered, Mode, Request};
use dlc_runtime::Tensors;
use dlc_runtime::examples::Examples;
use dlc_runtime::train::{self, Measures};
use indexmap::IndexMap;

use crate::compile::Timings;
use crate::data::labels::check_labels;
use crate::model::failure::failed_training;
use crate::model::warnings::Warnings;
use crate::train::counted;
use crate::train::data::SectionData;
use crate::train::evaluation::evaluations;
use crate::train::initial_weights::{check_initial, read_initial};
use crate::train::measure::{agree, with_parts};
use crate::{Compiler, Error, Model, Program};

/// The step of a `train` section with its data.
#[derive(Debug)]
pub(crate) struct TrainingStep<'a> {
    model: &'a Model,
    compiler: &'a Compiler,
    /// The section's settings, with the actual batch size.
    pub settings: TrainSettings,
    /// The section's data.
    pub data: SectionData,
    sizes: IndexMap<String, usize>,
    remainder: OnceCell<Remainder>,
}

/// The training examples that do not fill a whole batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Remainder {
    /// None are left.
    None,
    /// They are a last, smaller batch of each epoch.
    Trained(usize),
    /// They are left out, since the model accepts only one batch size.
    LeftOut {
        /// The number in each epoch.
        count: usize,
        /// The reason.
        why: String,
    },
}

impl<'a> TrainingStep<'a> {
    /// Reads the data of a section. `sizes` take precedence over the section: `B` over its batch. The values of `fit`s are those of `fits`
    /// if it has them.
    pub fn new<'s>(
        model: &'a Model,
        compiler: &'a Compiler,
        mut settings: TrainSettings,
        sizes: impl IntoIterator<Item = (&'s str, usize)>,
        fits: &Tensors,
    ) -> Result<Self, Error> {
        let sizes: IndexMap<String, usize> = sizes.into_iter().map(|(n, s)| (n.to_owned(), s)).collect();
        settings.batch = counted("B", sizes.get("B").copied().unwrap_or(settings.batch))?;
        let data = SectionData::new(model, compiler, &settings, fits)?;
        Ok(TrainingStep { model, compiler, settings, data, sizes, remainder: OnceCell::new() })
    }

    /// A request for the step, its initial values, or its evaluation.
    pub fn request(&self, mode: Mode) -> Request {
        self.request_of(mode, self.settings.batch)
    }

    /// The same for batches of another size.
    pub fn request_of(&self, mode: Mode, batch: usize) -> Request {
        // an evaluation does not depend on the number of steps
        let steps = matches!(mode, Mode::Train | Mode::Init).then(|| self.steps_per_epoch());
        self.request_with(mode, batch, steps)
    }

    fn request_with(&self, mode: Mode, batch: usize, steps_per_epoch: Option<usize>) -> Request {
        let mut request = batch_request(self.model, &self.settings, &self.data.examples, mode, batch);
        request.dims.extend(self.sizes.clone());
        if let Some(size) = request.dims.get_mut("B") {
            *size = batch;
        }
        request.steps_per_epoch = steps_per_epoch;
        (request.epochs, request.steps) = (self.settings.epochs, self.settings.steps);
        request
    }

    /// Steps of an epoch.
    fn steps_per_epoch(&self) -> usize {
        let more = usize::from(matches!(self.remainder(), Remainder::Trained(_)));
        (self.data.training.len() / self.settings.batch + more).max(1)
    }

    /// Examples that the first epoch trains on, if `steps` do not end before it.
    pub fn examples_of_epoch(&self) -> usize {
        let count = self.data.training.len();
        let count =
            if let Remainder::LeftOut { count: left_out, .. } = self.remainder() { count - left_out } else { count };
        let steps = self.settings.steps.unwrap_or(usize::MAX).saturating_mul(self.settings.batch);
        count.min(steps)
    }

    /// The examples that do not fill a batch.
    pub fn remainder(&self) -> &Remainder {
        self.remainder.get_or_init(|| {
            let (whole, count) =
                (self.data.training.len() / self.settings.batch, self.data.training.len() % self.settings.batch);
            if whole == 0 || count == 0 {
                return Remainder::None;
            }
            let lower = |batch| {
                let request = with_parts(self.model, self.request_with(Mode::Train, batch, Some(whole + 1)))?;
                self.model.lower(&request)
            };
            let why = match (lower(self.settings.batch), lower(count)) {
                (Ok(whole), Ok(rest)) if !same_weights(&whole, &rest) => {
                    "its weights depend on the batch size".to_owned()
                }
                (Ok(whole), Ok(rest)) if agree(&whole.parts, &rest.parts) => return Remainder::Trained(count),
                (Ok(_), Ok(_)) => "its loss or metrics are computed differently for this batch size".to_owned(),
                // the step itself fails, and reports the error
                (Err(_), _) => return Remainder::None,
                (_, Err(error)) => error.diagnostics().first().map_or(String::new(), |d| d.message.clone()),
            };
            Remainder::LeftOut { count, why }
        })
    }

    /// Adds the step for the examples that do not fill a batch to a trainer, if they are trained on; returns their number and the compile
    /// time.
    pub fn add_remainder(&self, trainer: &mut train::Trainer) -> Result<Option<(usize, Timings)>, Error> {
        let &Remainder::Trained(count) = self.remainder() else { return Ok(None) };
        let request = with_parts(self.model, self.request_of(Mode::Train, count))?;
        let (program, _, timings) = self.compiler.build(self.model, &request)?;
        trainer.add(program.try_session()?).map_err(|e| failed_training(self.model, &e))?;
        Ok(Some((count, timings)))
    }

    /// A trainer of the compiled step with its initial weights, drawn or read from files. `measures` combines loss and metrics of an epoch
    /// from those of its steps.
    pub fn trainer(
        &self,
        program: &Program,
        lowered: &Lowered,
        measures: Option<&Measures>,
    ) -> Result<train::Trainer, Error> {
        let failed = |e| failed_training(self.model, &e);
        let (session, own) = (program.try_session()?, lowered.states_of_training());
        let mut trainer = train::Trainer::new(session, measures, own).map_err(failed)?;
        let (init, ..) = self.compiler.build(self.model, &self.request(Mode::Init))?;
        trainer.initialize(&mut init.try_session()?, self.settings.seed).map_err(failed)?;
        if self.settings.weights.is_some() {
            let tensors = read_initial(self.compiler, self.model, trainer.weights())?;
            trainer.set_weights(&tensors).map_err(failed)?;
        }
        Ok(trainer)
    }

    /// Warnings that depend on the data.
    pub fn warnings(&self) -> Warnings {
        let left_out = match self.remainder() {
            Remainder::LeftOut { count, why } => Some((*count, why.as_str())),
            Remainder::None | Remainder::Trained(_) => None,
        };
        Warnings::new(
            self.model,
            self.settings.warnings(self.data.examples.count(), self.data.validation_rows.len(), left_out),
        )
    }

    /// Checks that the training has a length, and enough examples for a step.
    pub fn check_settings(&self) -> Result<(), Error> {
        self.settings.check_length().map_err(|d| self.model.error(d))?;
        let validated = self.settings.check_validation(self.data.examples.count(), self.data.validation_rows.len());
        validated.map_err(|d| self.model.error(d))?;
        self.settings.check_batch(self.data.training.len()).map_err(|d| self.model.error(d))
    }

    /// Checks the training against its lowered step: labels are classes of the model, in the test data too; the score of `keep` exists; files
    /// of weights match.
    pub fn check(&self, lowered: &Lowered) -> Result<(), Error> {
        let TrainSettings { data, test, weights, validation, .. } = &self.settings;
        let tested = self.data.test(self.model, self.compiler, &self.settings)?;
        check_labels(self.model, data, &self.data.examples, &lowered.graph)?;
        let validated = self.data.validation.as_ref();
        if let (Some(Validation::Data(call)), Some(subset)) = (validation, validated) {
            check_labels(self.model, call, &subset.examples, &lowered.graph)?;
        }
        if let (Some(call), Some(subset)) = (test, &tested) {
            check_labels(self.model, call, &subset.examples, &lowered.graph)?;
        }
        for subset in validated.into_iter().chain(&tested) {
            for request in evaluations(self.model, &self.settings, subset)? {
                self.model.lower(&with_parts(self.model, request)?)?;
            }
        }
        if weights.is_some() {
            let own = lowered.weights.iter().filter(|w| !w.of_training);
            check_initial(self.model, &own.map(|w| (w.name.to_string(), w.ty.clone())).collect())?;
        }
        Ok(())
    }
}

/// Whether two programs of a model update the same weights and states.
fn same_weights(a: &Lowered, b: &Lowered) -> bool {
    let of = |lowered: &Lowered| lowered.weights.iter().map(|w| (w.name.clone(), w.ty.clone())).collect::<Vec<_>>();
    of(a) == of(b)
}

/// A request for batches of a size, with the types of the examples.
pub(crate) fn batch_request(
    model: &Model,
    settings: &TrainSettings,
    examples: &Examples,
    mode: Mode,
    batch: usize,
) -> Request {
    let mut request = model.request(mode);
    request.model = Some(settings.model.clone());
    for name in examples.names() {
        request.fields.extend(examples.field(name, batch).map(|ty| (name.to_owned(), ty)));
    }
    request
}
