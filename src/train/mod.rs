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
use crate::train::identity::{fingerprint, fingerprint_of, judge, settings_of};
use crate::train::kept::Kept;
use crate::train::measure::{measures, with_parts};
use crate::train::step::{Remainder, TrainingStep, batch_request};
use crate::{Compiler, Error, Model, Program};

/// What the command line changes in a `train` section.
#[derive(Clone, Debug, Default)]
pub struct TrainOverrides {
    /// Examples of a step.
    pub batch: Option<usize>,
    /// Times through the data.
    pub epochs: Option<usize>,
    /// What random draws follow from.
    pub seed: Option<u64>,
    /// Where checkpoints, the best weights and the history go; `None` writes nothing.
    pub folder: Option<PathBuf>,
    /// Steps between checkpoints, besides those every few seconds and at the end.
    pub checkpoint_steps: Option<u64>,
    /// Whether to go on from the latest checkpoint of the folder. A training must have been begun there; one that was killed before its first
    /// checkpoint starts anew.
    pub resume: bool,
}

impl TrainOverrides {
    /// The settings of a section with what is changed; refuses what the section's text may not say either.
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
    /// What the last run ended with, and its weights where those are not the trainer's.
    kept: Option<(Kept, Option<Tensors>)>,
}

impl Training {
    /// Reads the data of a model's `train` section, compiles its step, and sets the first weights.
    ///
    /// # Errors
    /// If the model has no such section, or model, data or weights are wrong.
    pub fn new(model: &Model, compiler: &Compiler, overrides: &TrainOverrides) -> Result<Self, Error> {
        let settings = overrides.apply(settings(model)?)?;
        let begun = match (overrides.resume, &overrides.folder) {
            (true, Some(folder)) => expect_begun(folder)?,
            _ => None,
        };
        // a training goes on with the values of `fit`s that it began with
        let fits = begun.as_ref().map(|(_, fits)| fits.clone()).unwrap_or_default();
        let step = TrainingStep::new(model, compiler, settings, [], &fits)?;
        step.check_settings()?;
        let request = with_parts(model, step.request(Mode::Train))?;
        let (program, lowered, timings) = compiler.build(model, &request)?;
        // what is wrong shows now, and not after the training
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
            monitor: judge(&step.settings.keep),
            patience: step.settings.patience.map(|n| n as u64),
        };
        if let Some(length) = begun.map(|(meta, _)| meta.length).filter(|length| *length != options.length()) {
            options.fingerprint_of = fingerprint_of(model, compiler, step.request(Mode::Train), length)?;
        }
        let TrainingStep { settings, data, .. } = step;
        let test = data.test(model, compiler, &settings)?;
        let SectionData { examples, training, validation, fits, .. } = data;
        let validation = match validation {
            Some(selection) => {
                let (mut evaluator, _) = evaluator(model, compiler, &settings, &selection, Weights::Learn)?;
                evaluator.set_seed(Part::Validation.seed(settings.seed));
                Some((evaluator, selection))
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

    /// Trains to the end, or until `stop` is raised, and tells what happens.
    ///
    /// # Errors
    /// If a step or a file fails, or the loss is not finite.
    pub fn run(&mut self, stop: Arc<AtomicBool>, tell: &mut dyn FnMut(&Event<'_>)) -> Result<Summary, TrainError> {
        let run = Run {
            trainer: &mut self.trainer,
            data: self.data.clone(),
            constants: self.fits.clone(),
            validation: self.validation.as_mut().map(|(evaluator, selection)| (evaluator, selection.clone())),
            options: self.options.clone(),
            stop,
        };
        let mut summary = run.run(tell)?;
        self.kept = Some(Kept::of(&self.settings.keep, &mut summary));
        Ok(summary)
    }

    /// Which weights the last run ended with: those that [`Training::weights`] gives. None before it.
    pub fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref().map(|(kept, _)| kept)
    }

    /// What the data makes of the section, and is probably not meant: a validation of no example, say.
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// How many examples each epoch leaves out, since the model takes no batch of so few, and why it does not.
    pub fn left_out(&self) -> Option<(usize, &str)> {
        match &self.remainder {
            Remainder::LeftOut { count, why } => Some((*count, why)),
            _ => None,
        }
    }

    /// A failure of [`Training::run`] with its place in the model's text, where there is one.
    pub fn explain(&self, error: TrainError) -> Error {
        failed_training(&self.model, &error)
    }

    /// Loss and metrics of the test data with the weights of now; `None` if the section names no test data.
    ///
    /// # Errors
    /// If the data does not fit the model.
    pub fn test(&self) -> Result<Option<Scores>, Error> {
        let Some(selection) = &self.test else { return Ok(None) };
        let (mut evaluator, _) = evaluator(&self.model, &self.compiler, &self.settings, selection, Weights::Stay)?;
        evaluator.set_seed(Part::Test.seed(self.settings.seed));
        let weights = self.weights();
        for session in evaluator.sessions() {
            crate::program::set_weights(session, &weights).map_err(|e| failed_run(&self.model, &e))?;
        }
        evaluator.run(selection).map(Some).map_err(|e| failed_training(&self.model, &e))
    }

    /// The model's outputs for the first examples of the test data, or else of the validation's, or else of those that it learned from;
    /// together with the fields of those examples.
    ///
    /// # Errors
    /// If the model cannot be compiled for so many examples.
    pub fn predict(&self, count: usize) -> Result<Predictions, Error> {
        let held_out = self.validation.as_ref().map(|(_, selection)| (Part::Validation, selection));
        let test = self.test.as_ref().map(|selection| (Part::Test, selection));
        let (part, selection) = test.or(held_out).unwrap_or((Part::Train, &self.data));
        let count = count.min(selection.count());
        let positions: Vec<usize> = match &selection.positions {
            Some(positions) => positions[..count].to_vec(),
            None => (0..count).collect(),
        };
        let key = batch_key(fields_key(part.seed(self.settings.seed)), Cursor::default());
        let fields = selection.examples.gather(&positions, false, key).map_err(|e| failed_fields(&self.model, &e))?;
        let request = batch_request(&self.model, &self.settings, &selection.examples, Mode::Infer, count);
        let (program, ..) = self.compiler.build(&self.model, &request)?;
        let mut session = program.with_weights(self.weights())?.try_session()?;
        session.set_key(part.seed(self.settings.seed)).map_err(|e| failed_run(&self.model, &e))?;
        let names: Vec<String> = session.signature().inputs().map(|(n, _)| n.to_owned()).collect();
        let inputs = names.iter().filter_map(|n| Some((n.as_str(), fields.get(n)?)));
        let outputs = session.run(inputs).map_err(|e| failed_run(&self.model, &e))?;
        Ok(Predictions { part, outputs, fields })
    }

    /// The weights that the section says to keep, those of now or of the best epoch, and the states of the model that an evaluation needs; with
    /// them the values of the `fit`s of its data, under names that begin with `@fit/`.
    pub fn weights(&self) -> Tensors {
        let weights = match &self.kept {
            Some((_, Some(weights))) => weights.clone(),
            _ => self.trainer.weights(),
        };
        weights.into_iter().chain(self.fits.clone()).collect()
    }

    /// The settings of the section, as they are in force.
    pub fn settings(&self) -> &TrainSettings {
        &self.settings
    }

    /// The numbers of examples to learn from, to validate with, and of the test.
    pub fn examples(&self) -> (usize, usize, usize) {
        let count = |s: Option<&Subset>| s.map_or(0, Subset::count);
        (self.data.count(), count(self.validation.as_ref().map(|(_, s)| s)), count(self.test.as_ref()))
    }

    /// The compiled step.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What is known of the model's layers and weights.
    pub fn lowered(&self) -> &Lowered {
        &self.lowered
    }

    /// How long compiling the step took.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// The examples of the last, smaller batch of each epoch, if there is one, and how long compiling its step took.
    pub fn remainder(&self) -> Option<(usize, &Timings)> {
        self.remainder_timings.as_ref().map(|(count, timings)| (*count, timings))
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }
}

/// Checks that a training was begun in a folder, to go on from: who asks to go on does not want to begin another one. What its latest
/// checkpoint says, if it came to one.
fn expect_begun(folder: &Path) -> Result<Option<(Meta, Tensors)>, Error> {
    let explain = |e: CheckpointError| Error::plain(e.code(), e.to_string());
    // opening would make it
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
    let message = format!("{} has no checkpoint to go on from", folder.display());
    let error = Error::plain(latest.skipped.first().map_or("missing-file", CheckpointError::code), message);
    let error = latest.skipped.iter().fold(error, |error, skipped| error.help(skipped.to_string()));
    Err(error.help("without `resume`, the training begins anew"))
}

/// The `train` section of a model.
pub(crate) fn settings(model: &Model) -> Result<TrainSettings, Error> {
    find_settings(model)?.ok_or_else(|| {
        Error::plain("missing-setting", "no `train` section says how to train this model")
            .help("add `train` with `data`, `loss` and `optimizer`")
    })
}

/// The training of a model that is chosen, if it has one.
pub(crate) fn find_settings(model: &Model) -> Result<Option<TrainSettings>, Error> {
    model.source().train_settings(&model.request(Mode::Train)).map_err(|d| model.error(d))
}

/// A count that a setting may have: the same as in the text of a `train` section.
pub(crate) fn counted(setting: &str, count: usize) -> Result<usize, Error> {
    let bounds = match count {
        0 => "at least 1",
        _ if count < MAX_COUNT => return Ok(count),
        _ => "smaller",
    };
    Err(Error::plain("number-out-of-range", format!("`{setting}` is {count}, but must be {bounds}")))
}

/// What a model makes of some examples.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// Where the examples are from.
    pub part: Part,
    /// The model's outputs.
    pub outputs: Tensors,
    /// The fields of the examples.
    pub fields: Tensors,
}
