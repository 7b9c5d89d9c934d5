//! The training loop, from the first step or a checkpoint to the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::event::{EpochReport, Event, Summary, Times};
use super::save::Files;
use super::{Evaluator, Scores, Subset, TrainError, TrainOptions, Trainer, fields, state};
use crate::Tensors;
use crate::checkpoint::{CheckpointError, Latest, Meta, RunIdentity, Store};
use crate::examples::fields_key;
use crate::history::Record;
use crate::loader::{Loader, LoaderOptions, Remainder};

/// A training to run.
#[derive(Debug)]
pub struct Run<'a> {
    /// The step, with initial weights set.
    pub trainer: &'a mut Trainer,
    /// The training examples.
    pub data: Subset,
    /// Tensors on which the fields of the data depend, under names that begin with `@`, unlike those of weights: each checkpoint
    /// contains them, and a training can only be resumed with the same.
    pub constants: Tensors,
    /// The validation examples, and the programs to evaluate them after each epoch.
    pub validation: Option<(&'a mut Evaluator, Subset)>,
    /// The settings.
    pub options: TrainOptions,
    /// Raised by another thread or a signal to stop after the current step.
    pub stop: Arc<AtomicBool>,
}

impl Run<'_> {
    /// Trains to the end, or until stopped, and reports events. The final weights are in the trainer; the best ones are in the
    /// summary and in `best.safetensors` of the folder.
    ///
    /// The remainder, the examples that do not fill a batch, is a last, smaller batch of each epoch if the trainer has a program
    /// for its size; otherwise it is skipped, and the event of the start says so.
    ///
    /// A run that was interrupted or killed and is resumed from its folder computes the same bits as an uninterrupted one.
    ///
    /// # Errors
    /// If the data does not fit the program, a step or a file fails, or the loss is not finite.
    pub fn run(self, observe: &mut dyn FnMut(&Event<'_>)) -> Result<Summary, TrainError> {
        let Run { trainer, data, constants, validation, mut options, stop } = self;
        let remainder = data.count().checked_rem(options.batch).unwrap_or(0);
        let takes_remainder = remainder > 0 && trainer.takes(remainder);
        for size in std::iter::once(options.batch).chain(takes_remainder.then_some(remainder)) {
            let session = trainer.sizes.of(size).unwrap_or_else(|| trainer.session());
            fields::check(session, &data.examples, size)?;
        }
        trainer.sizes.set_key(options.seed)?;
        trainer.totals.clear();
        options.monitor = options.monitor.resolved(trainer, validation.as_ref().map(|(e, _)| &**e))?;
        let mut meta = Meta {
            step: trainer.step,
            length: options.length(),
            identity: match &options.folder {
                Some(_) => {
                    let validation = validation.as_ref().map(|(e, s)| (&**e, s));
                    RunIdentity::of(trainer, &data, validation, &options, takes_remainder)
                }
                None => RunIdentity::default(),
            },
            ..Meta::default()
        };
        let Opened { files, from, best } = open(trainer, &options, &constants, &mut meta, observe)?;
        let loader_options = LoaderOptions {
            shuffle: options.shuffle,
            start: meta.cursor,
            key: fields_key(options.seed.cast_signed()),
            remainder: if takes_remainder { Remainder::Keep } else { Remainder::Drop },
            ..LoaderOptions::training(options.batch, 0)
        };
        let mut loader =
            Loader::new(fields::used(trainer.session(), &data.examples), data.positions.clone(), &loader_options)?;
        observe(&Event::Start {
            epoch: meta.epoch,
            step: meta.step,
            epochs: options.epochs,
            steps_per_epoch: loader.batches_per_epoch(),
            left_out: if takes_remainder { 0 } else { remainder },
            from: from.as_deref(),
        });
        let mut training_loop = TrainingLoop {
            trainer,
            validation,
            options,
            stop,
            files,
            constants,
            meta,
            best,
            epoch: Epoch::begin(),
            examples: 0,
            steps: Duration::ZERO,
            validating: Duration::ZERO,
            stopped_early: false,
        };
        let done = training_loop.run(&mut loader, observe);
        if let (Err(_), Some(files)) = (&done, &mut training_loop.files) {
            files.rescue(training_loop.best.as_ref());
        }
        let (interrupted, last) = done?;
        Ok(training_loop.summary(interrupted, last))
    }
}

/// A running training.
struct TrainingLoop<'a> {
    trainer: &'a mut Trainer,
    validation: Option<(&'a mut Evaluator, Subset)>,
    options: TrainOptions,
    stop: Arc<AtomicBool>,
    files: Option<Files>,
    constants: Tensors,
    meta: Meta,
    /// The weights of the best epoch.
    best: Option<Tensors>,
    epoch: Epoch,
    /// Training examples processed in this run.
    examples: u64,
    /// Time spent on steps, and on validation.
    steps: Duration,
    validating: Duration,
    /// Whether it was stopped early by its patience.
    stopped_early: bool,
}

/// The part of an epoch that this run does.
struct Epoch {
    /// When it was started or resumed.
    began: Instant,
    /// Time spent on checkpoints within it.
    saving: Duration,
    /// Examples processed since.
    examples: usize,
}

impl Epoch {
    fn begin() -> Self {
        Epoch { began: Instant::now(), saving: Duration::ZERO, examples: 0 }
    }
}

impl TrainingLoop<'_> {
    /// Trains to the end, or until stopped: returns whether it was stopped, and the report of the last epoch, or part of one.
    fn run(
        &mut self,
        loader: &mut Loader,
        observe: &mut dyn FnMut(&Event<'_>),
    ) -> Result<(bool, Option<EpochReport>), TrainError> {
        let mut last = None;
        let mut ended = false;
        while !ended && !self.options.finished(&self.meta) {
            if let Some(patience) = self.options.exhausted(&self.meta) {
                let (epoch, best) = (self.meta.epoch, self.meta.best);
                observe(&Event::EarlyStop { epoch, patience, monitor: &self.options.monitor, best });
                self.stopped_early = true;
                break;
            }
            if self.stop.load(Ordering::Relaxed) {
                self.save(observe)?;
                return Ok((true, last));
            }
            // If it was stopped between the last step of an epoch and the epoch's end, only that end is left.
            let steps = !self.meta.has_all_batches() && !self.options.no_step_left(&self.meta);
            if steps {
                self.step(loader, observe)?;
            }
            let whole = self.meta.has_all_batches();
            let report = if whole || self.options.no_step_left(&self.meta) {
                let Some(report) = self.end_epoch(whole)? else { continue };
                self.epoch = Epoch::begin();
                ended = !whole;
                Some(report)
            } else {
                None
            };
            if self.is_checkpoint_due(steps) {
                self.save(observe)?;
            }
            if let Some(report) = report {
                observe(&Event::Epoch(&report));
                last = Some(report);
            }
        }
        // a training that is resumed at its end may have another length without a further step
        self.save(observe)?;
        Ok((false, last))
    }

    fn is_checkpoint_due(&self, stepped: bool) -> bool {
        let by_steps = self.options.checkpoint_steps.is_some_and(|n| n > 0 && self.meta.step.is_multiple_of(n));
        (by_steps && stepped) || self.files.as_ref().is_some_and(Files::is_due)
    }

    /// Does the step of the next batch.
    fn step(&mut self, loader: &mut Loader, observe: &mut dyn FnMut(&Event<'_>)) -> Result<(), TrainError> {
        let start = Instant::now();
        let (trainer, meta) = (&mut *self.trainer, &mut self.meta);
        let batch = loader.next_batch()?;
        trainer.sizes.select(batch.count)?;
        let session = trainer.sizes.current_mut();
        fields::set(session, &batch.fields)?;
        session.step()?;
        trainer.totals.add(session, batch.count)?;
        let loss = session.output_value("loss").ok_or(TrainError::NoLoss)?;
        meta.step += 1;
        trainer.step = meta.step;
        meta.cursor = loader.cursor();
        let (epoch, step) = (meta.epoch + 1, meta.step);
        self.steps += start.elapsed();
        if !loss.is_finite() {
            return Err(TrainError::NotFinite { loss, epoch, step });
        }
        self.epoch.examples += batch.count;
        self.examples += batch.count as u64;
        let (number, batches) = (batch.cursor.batch + 1, loader.batches_per_epoch());
        observe(&Event::Step { epoch, step, batch: number, batches, loss });
        loader.recycle(batch);
        Ok(())
    }

    /// Ends the epoch, or only reports it if it is incomplete; `None` if stopped before it is evaluated.
    fn end_epoch(&mut self, whole: bool) -> Result<Option<EpochReport>, TrainError> {
        let learning = self.epoch.began.elapsed().saturating_sub(self.epoch.saving).as_secs_f64();
        let validation = match &mut self.validation {
            Some((evaluator, subset)) => {
                let start = Instant::now();
                let scores = validate(self.trainer, evaluator, subset, &self.stop)?;
                self.validating += start.elapsed();
                match scores {
                    Some(scores) => Some(scores),
                    None => return Ok(None),
                }
            }
            None => None,
        };
        let mut report = EpochReport {
            epoch: self.meta.epoch + 1,
            step: self.meta.step,
            whole,
            train: self.trainer.totals.scores()?,
            validation,
            best: false,
            examples_per_second: self.epoch.examples as f64 / learning.max(1e-9),
            seconds: self.epoch.began.elapsed().as_secs_f64(),
        };
        if whole {
            self.meta.epoch = report.epoch;
            report.best = self.options.monitor.is_best(&report, &mut self.meta.best);
            self.trainer.totals.clear();
        } else {
            // The training may be resumed with more steps: counters, totals and the best epoch stay as they are within an epoch.
            // Without any complete epoch, this part is the best that there is.
            report.best = self.meta.best.is_none() && self.options.monitor.is_best(&report, &mut None);
        }
        if report.best {
            self.best = Some(self.trainer.weights());
        }
        if let Some(files) = &mut self.files {
            if report.best {
                files.best_changed();
            }
            files.record(record(&report))?;
        }
        Ok(Some(report))
    }

    /// Writes a checkpoint, if there is a folder for it, unless the latest one is up to date.
    fn save(&mut self, observe: &mut dyn FnMut(&Event<'_>)) -> Result<(), TrainError> {
        let Some(files) = &mut self.files else { return Ok(()) };
        let start = Instant::now();
        if let Some(path) = files.save(self.trainer, &self.meta, self.best.as_ref(), &self.constants)? {
            observe(&Event::Checkpoint { path: &path as &Path, step: self.meta.step });
        }
        self.epoch.saving += start.elapsed();
        Ok(())
    }

    fn summary(self, interrupted: bool, last: Option<EpochReport>) -> Summary {
        let Meta { epoch, step, best, .. } = self.meta;
        let times = Times {
            steps: self.steps.as_secs_f64(),
            validation: self.validating.as_secs_f64(),
            writing: self.files.map_or(0.0, |files| files.writing.as_secs_f64()),
        };
        let (best_weights, monitor, examples) = (self.best, self.options.monitor, self.examples);
        let stopped_early = self.stopped_early;
        Summary { epoch, step, interrupted, stopped_early, last, best, best_weights, monitor, examples, times }
    }
}

/// The state of a training's folder.
#[derive(Default)]
struct Opened {
    files: Option<Files>,
    /// The checkpoint that it is resumed from.
    from: Option<PathBuf>,
    best: Option<Tensors>,
}

/// Opens the folder, if there is one, and resumes from its latest checkpoint, if requested.
fn open(
    trainer: &mut Trainer,
    options: &TrainOptions,
    constants: &Tensors,
    meta: &mut Meta,
    observe: &mut dyn FnMut(&Event<'_>),
) -> Result<Opened, TrainError> {
    let Some(folder) = &options.folder else { return Ok(Opened::default()) };
    let mut files = Files::new(Store::open(folder, options.keep)?);
    if !options.resume {
        return Ok(Opened { files: Some(files), ..Opened::default() });
    }
    let Latest { found, skipped } = files.store().latest()?;
    skipped.iter().for_each(|e| observe(&Event::Skipped(e)));
    let Some((path, checkpoint)) = found else {
        observe(&Event::FromScratch { folder });
        return Ok(Opened { files: Some(files), ..Opened::default() });
    };
    let (was, is) = (checkpoint.meta.length, options.length());
    // the program at the length of the checkpoint: a different length alone does not make it another training
    let then = RunIdentity { program: options.fingerprint_at(was).to_owned(), ..meta.identity.clone() };
    let mut differences = checkpoint.meta.identity.differences(&then);
    if differences.is_empty() {
        differences = state::differences_of_constants(&checkpoint.tensors, constants);
    }
    if !differences.is_empty() {
        return Err(CheckpointError::Other { path, differences }.into());
    }
    if was != is {
        let scheduled = then.program != meta.identity.program;
        observe(&Event::Length { was, is, scheduled, step: checkpoint.meta.step });
    }
    let best = trainer.resume(&checkpoint.tensors, checkpoint.meta.step, options.seed)?;
    files.resume(&checkpoint.meta, best.as_ref())?;
    *meta = Meta { identity: meta.identity.clone(), length: is, ..checkpoint.meta };
    Ok(Opened { files: Some(files), from: Some(path), best })
}

/// The result of the validation, or `None` if stopped.
fn validate(
    trainer: &Trainer,
    evaluator: &mut Evaluator,
    subset: &Subset,
    stop: &AtomicBool,
) -> Result<Option<Scores>, TrainError> {
    for session in evaluator.sessions() {
        session.copy_weights(trainer.session())?;
    }
    evaluator.run_unless(stop, subset)
}

/// The record of an epoch. Names of metrics, which are the user's, get a prefix, so that they do not collide with ours.
fn record(report: &EpochReport) -> Record {
    let mut record = Record { epoch: report.epoch, step: report.step, ..Record::default() };
    let mut add = |prefix: &str, scores: &Scores| {
        record.values.insert(format!("{prefix}loss"), scores.loss);
        record.values.extend(scores.metrics.iter().map(|(name, value)| (format!("{prefix}{name}"), *value)));
    };
    add("train.", &report.train);
    if let Some(validation) = &report.validation {
        add("validation.", validation);
    }
    record.values.insert("examples_per_second".into(), report.examples_per_second);
    record.values.insert("seconds".into(), report.seconds);
    record
}
