//! A `train` section, from its text to trained weights.

pub(crate) mod data;
pub(crate) mod evaluation;
pub(crate) mod identity;
pub(crate) mod initial;
pub(crate) mod initial_weights;
pub(crate) mod kept;
pub(crate) mod measure;
pub(crate) mod prepare;
pub(crate) mod request;
pub(crate) mod step;
pub(crate) mod trainer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dlc_dsl::lower::settings::{MAX_COUNT, TrainSettings};
use dlc_dsl::{Lowered, Mode};
use dlc_runtime::Cursor;
use dlc_runtime::Tensors;
use dlc_runtime::checkpoint::{self, CheckpointError, Latest, Meta, Store};
use dlc_runtime::examples::{batch_key, fields_key};
use dlc_runtime::train::{Evaluator, Event, Run, Scores, Subset, Summary, TrainError, TrainOptions};

use crate::compile::Timings;
use crate::data::FITS;
use crate::model::failure::{failed_fields, failed_run, failed_training};
use crate::model::warnings::Warnings;
use crate::train::data::SectionData;
use crate::train::evaluation::{Part, Weights, evaluator};
use crate::train::identity::{fingerprint, fingerprint_of, monitor, settings_of};
use crate::train::kept::Kept;
use crate::train::measure::{measures, with_parts};
use crate::train::step::{Remainder, TrainingStep, batch_request};
use crate::{Compiler, Error, Model, Program};

/// What the command line changes in a `train` section.
#[derive(Clone, Debug, Default)]
pub struct TrainOverrides {
    /// Examples per step.
    pub batch: Option<usize>,
    /// Epochs.
    pub epochs: Option<usize>,
    /// The seed of random draws.
    pub seed: Option<u64>,
    /// The folder for checkpoints, the best weights and the history; `None` writes nothing.
    pub folder: Option<PathBuf>,
    /// Steps between checkpoints, besides those every few seconds and at the end.
    pub checkpoint_steps: Option<u64>,
    /// Whether to resume from the latest checkpoint of the folder. A training must have been started there; one that was killed before its
    /// first checkpoint starts from the beginning.
    pub resume: bool,
}

impl TrainOverrides {
    /// Applies the overrides to the settings of a section, with the same checks.
    fn apply(&self, mut settings: TrainSettings) -> Result<TrainSettings, Error> {
        settings.batch = counted("batch", self.batch.unwrap_or(settings.batch))?;
        settings.seed = self.seed.unwrap_or(settings.seed);
        if let Some(epochs) = self.epochs {
            (settings.epochs, settings.steps) = (Some(counted("epochs", epochs)?), None);
        }
        Ok(settings)
    }
}

/// A training that is compiled and has its data.
#[derive(Debug)]
pub struct Training {
    model: Model,
    compiler: Compiler,
    settings: TrainSettings,
    program: Program,
    lowered: Lowered,
    trainer: dlc_runtime::train::Trainer,
    data: Subset,
    /// The values of the `fit`s of the data.
    fits: Tensors,
    validation: Option<(Evaluator, Subset)>,
    test: Option<Subset>,
    options: TrainOptions,
    timings: Timings,
    remainder: Remainder,
    remainder_timings: Option<(usize, Timings)>,
    warnings: Warnings,
    /// Which weights the last run kept, and their values if they are not those of the trainer.
    kept: Option<(Kept, Option<Tensors>)>,
}

impl Training {
    /// Reads the data of a model's `train` section, compiles its step, and sets the initial weights.
    ///
    /// # Errors
    /// If the model has no such section, or model, data or weights are wrong.
    pub fn new(model: &Model, compiler: &Compiler, overrides: &TrainOverrides) -> Result<Self, Error> {
        let settings = overrides.apply(settings(model)?)?;
        let begun = match (overrides.resume, &overrides.folder) {
            (true, Some(folder)) => expect_begun(folder)?,
            _ => None,
        };
        // a resumed training uses the values of `fit`s of its checkpoint
        let fits = begun.as_ref().map(|(_, fits)| fits.clone()).unwrap_or_default();
        let step = TrainingStep::new(model, compiler, settings, [], &fits)?;
        step.check_settings()?;
        let request = with_parts(model, step.request(Mode::Train))?;
        let (program, lowered, timings) = compiler.build(model, &request)?;
        // errors of the evaluation are reported before the training, not after it
        step.check(&lowered)?;
        let measures = measures(model, compiler, &request, &lowered);
        let mut trainer = step.trainer(&program, &lowered, Some(&measures))?;
        let remainder_timings = step.add_remainder(&mut trainer)?;
        // it is kept for the end of the first epoch
        measures.finish.program(step.examples_of_epoch()).map_err(|e| failed_training(model, &e))?;
        let remainder = step.remainder().clone();
        let warnings = step.warnings();
        let mut options = TrainOptions {
            batch: step.settings.batch,
            epochs: step.settings.epochs.map(|n| n as u64),
            steps: step.settings.steps.map(|n| n as u64),
            seed: step.settings.seed,
            shuffle: step.settings.shuffle.then_some(step.settings.seed),
            folder: overrides.folder.clone(),
            keep: 2,
            checkpoint_steps: overrides.checkpoint_steps,
            resume: overrides.resume,
            fingerprint: fingerprint(&lowered.graph, compiler)?,
            fingerprint_of: None,
            settings: settings_of(model, compiler, &step.settings)?,
            monitor: monitor(&step.settings.keep),
            patience: step.settings.patience.map(|n| n as u64),
        };
        if let Some(length) = begun.map(|(meta, _)| meta.length).filter(|length| *length != options.length()) {
            options.fingerprint_of = fingerprint_of(model, compiler, step.request(Mode::Train), length)?;
        }
        let TrainingStep { settings, data, .. } = step;
        let test = data.test(model, compiler, &settings)?;
        let SectionData { examples, training, validation, fits, .. } = data;
        let validation = match validation {
            Some(subset) => {
                let (mut evaluator, _) = evaluator(model, compiler, &settings, &subset, Weights::Changing)?;
                evaluator.set_seed(Part::Validation.seed(settings.seed));
                Some((evaluator, subset))
            }
            None => None,
        };
        let data = Subset { examples, positions: Some(training) };
        let (model, compiler) = (model.clone(), compiler.clone());
        Ok(Training {
            model,
            compiler,
            settings,
            program,
            lowered,
            trainer,
            data,
            fits,
            validation,
            test,
            options,
            timings,
            remainder,
            remainder_timings,
            warnings,
            kept: None,
        })
    }

    /// Trains to the end, or until `stop` is set, and reports events.
    ///
    /// # Errors
    /// If a step or a file fails, or the loss is not finite.
    pub fn run(&mut self, stop: Arc<AtomicBool>, observer: &mut dyn FnMut(&Event<'_>)) -> Result<Summary, TrainError> {
        let run = Run {
            trainer: &mut self.trainer,
            data: self.data.clone(),
            constants: self.fits.clone(),
            validation: self.validation.as_mut().map(|(evaluator, subset)| (evaluator, subset.clone())),
            options: self.options.clone(),
            stop,
        };
        let mut summary = run.run(observer)?;
        self.kept = Some(Kept::of(&self.settings.keep, &mut summary));
        Ok(summary)
    }

    /// Which weights the last run kept: those that [`Training::weights`] returns. None before it.
    pub fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref().map(|(kept, _)| kept)
    }

    /// Warnings that depend on the data, such as a validation without examples.
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// The number of examples that each epoch leaves out, since the model accepts no batch of that size, and the reason.
    pub fn left_out(&self) -> Option<(usize, &str)> {
        match &self.remainder {
            Remainder::LeftOut { count, why } => Some((*count, why)),
            _ => None,
        }
    }

    /// A failure of [`Training::run`] with its span in the model's source, if it is known.
    pub fn explain(&self, error: TrainError) -> Error {
        failed_training(&self.model, &error)
    }

    /// Loss and metrics of the test data with the current weights; `None` if the section has no test data.
    ///
    /// # Errors
    /// If the data does not fit the model.
    pub fn test(&self) -> Result<Option<Scores>, Error> {
        let Some(subset) = &self.test else { return Ok(None) };
        let (mut evaluator, _) = evaluator(&self.model, &self.compiler, &self.settings, subset, Weights::Fixed)?;
        evaluator.set_seed(Part::Test.seed(self.settings.seed));
        let weights = self.weights();
        for session in evaluator.sessions() {
            crate::program::set_weights(session, &weights).map_err(|e| failed_run(&self.model, &e))?;
        }
        evaluator.run(subset).map(Some).map_err(|e| failed_training(&self.model, &e))
    }

    /// The model's outputs for the first examples of the test data, or else of the validation or training data, together with the
    /// fields of those examples.
    ///
    /// # Errors
    /// If the model cannot be compiled for so many examples.
    pub fn predict(&self, count: usize) -> Result<Predictions, Error> {
        let validation = self.validation.as_ref().map(|(_, subset)| (Part::Validation, subset));
        let test = self.test.as_ref().map(|subset| (Part::Test, subset));
        let (part, subset) = test.or(validation).unwrap_or((Part::Train, &self.data));
        let count = count.min(subset.count());
        let positions: Vec<usize> = match &subset.positions {
            Some(positions) => positions[..count].to_vec(),
            None => (0..count).collect(),
        };
        let key = batch_key(fields_key(part.seed(self.settings.seed)), Cursor::default());
        let fields = subset.examples.gather(&positions, false, key).map_err(|e| failed_fields(&self.model, &e))?;
        let request = batch_request(&self.model, &self.settings, &subset.examples, Mode::Infer, count);
        let (program, ..) = self.compiler.build(&self.model, &request)?;
        let mut session = program.with_weights(self.weights())?.try_session()?;
        session.set_key(part.seed(self.settings.seed)).map_err(|e| failed_run(&self.model, &e))?;
        let names: Vec<String> = session.signature().inputs().map(|(n, _)| n.to_owned()).collect();
        let inputs = names.iter().filter_map(|n| Some((n.as_str(), fields.get(n)?)));
        let outputs = session.run(inputs).map_err(|e| failed_run(&self.model, &e))?;
        Ok(Predictions { part, outputs, fields })
    }

    /// The weights to keep, the current ones or those of the best epoch, with the states of the model that an evaluation needs and the
    /// values of the `fit`s of its data, whose names begin with `@fit/`.
    pub fn weights(&self) -> Tensors {
        let weights = match &self.kept {
            Some((_, Some(weights))) => weights.clone(),
            _ => self.trainer.weights(),
        };
        weights.into_iter().chain(self.fits.clone()).collect()
    }

    /// The settings of the section, with the overrides.
    pub fn settings(&self) -> &TrainSettings {
        &self.settings
    }

    /// The numbers of training, validation and test examples.
    pub fn examples(&self) -> (usize, usize, usize) {
        let count = |s: Option<&Subset>| s.map_or(0, Subset::count);
        (self.data.count(), count(self.validation.as_ref().map(|(_, s)| s)), count(self.test.as_ref()))
    }

    /// The compiled step.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The lowered step, with the tables of layers and weights.
    pub fn lowered(&self) -> &Lowered {
        &self.lowered
    }

    /// The compile time of the step.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// The number of examples of the last, smaller batch of each epoch, if there is one, and the compile time of its step.
    pub fn remainder(&self) -> Option<(usize, &Timings)> {
        self.remainder_timings.as_ref().map(|(count, timings)| (*count, timings))
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }
}

/// The latest checkpoint of a folder to resume from, if there is one. Fails if no training was started there, since `resume` should not
/// start a new one.
fn expect_begun(folder: &Path) -> Result<Option<(Meta, Tensors)>, Error> {
    let explain = |e: CheckpointError| Error::plain(e.code(), e.to_string());
    // opening a checkpoint folder would create it
    let begun = checkpoint::is_begun(folder);
    let latest =
        if begun { Store::open(folder, 1).map_err(explain)?.latest().map_err(explain)? } else { Latest::default() };
    if let Some((_, found)) = latest.found {
        let fits = found.tensors.into_iter().filter(|(name, _)| name.starts_with(FITS)).collect();
        return Ok(Some((found.meta, fits)));
    }
    if begun && latest.skipped.is_empty() {
        return Ok(None);
    }
    let message = format!("{} has no checkpoint to resume from", folder.display());
    let error = Error::plain(latest.skipped.first().map_or("missing-file", CheckpointError::code), message);
    let error = latest.skipped.iter().fold(error, |error, skipped| error.help(skipped.to_string()));
    Err(error.help("to start a new training, omit `resume`"))
}

/// The `train` section of a model.
pub(crate) fn settings(model: &Model) -> Result<TrainSettings, Error> {
    find_settings(model)?.ok_or_else(|| {
        Error::plain("missing-setting", "the model has no `train` section")
            .help("add `train` with `data`, `loss` and `optimizer`")
    })
}

/// The settings of the chosen training of a model, if it has one.
pub(crate) fn find_settings(model: &Model) -> Result<Option<TrainSettings>, Error> {
    model.source().train_settings(&model.request(Mode::Train)).map_err(|d| model.error(d))
}

/// Checks a count by the bounds of the settings of a `train` section.
pub(crate) fn counted(setting: &str, count: usize) -> Result<usize, Error> {
    let bounds = match count {
        0 => "at least 1".to_owned(),
        _ if count < MAX_COUNT => return Ok(count),
        _ => format!("less than {MAX_COUNT}"),
    };
    Err(Error::plain("number-out-of-range", format!("`{setting}` is {count}; expected {bounds}")))
}

/// Outputs of a model for some examples.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// The part of the data that the examples are from.
    pub part: Part,
    /// The model's outputs.
    pub outputs: Tensors,
    /// The fields of the examples.
    pub fields: Tensors,
}
