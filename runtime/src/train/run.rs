//! The course of a training, from its first step or a checkpoint to its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::event::{EpochReport, Event, Summary, Times};
use super::save::Files;
use super::{Evaluator, Scores, Selection, TrainError, TrainOptions, Trainer, fields, state};
use crate::Tensors;
use crate::checkpoint::{CheckpointError, Latest, Meta, Origin, Store};
use crate::examples::fields_key;
use crate::history::Record;
use crate::loader::{Loader, LoaderOptions, Rest};

/// A training about to run.
#[derive(Debug)]
pub struct Run<'a> {
    /// The step, with the first weights set.
    pub trainer: &'a mut Trainer,
    /// The examples to learn from.
    pub data: Selection,
    /// Tensors that the fields of the data follow from, under names that begin with `@`, as no weight's does: each checkpoint has them, and a training
    /// goes on with the same only.
    pub constants: Tensors,
    /// The examples to validate with after each epoch, and the programs to do it.
    pub validation: Option<(&'a mut Evaluator, Selection)>,
    /// The settings.
    pub options: TrainOptions,
    /// Raised by somebody else, another thread or a signal, to stop after the step under way.
    pub stop: Arc<AtomicBool>,
}

impl Run<'_> {
    /// Trains to the end, or until stopped, and tells what happens. The final weights are in the trainer; the best ones are in the summary
    /// and in `best.safetensors` of the folder.
    ///
    /// The examples that are left when the others fill whole batches are a last, smaller batch of each epoch if the trainer has a program for
    /// its size; otherwise they are left out, and the event of the start says so.
    ///
    /// A run that was interrupted or killed and goes on from its folder comes to the same bits as one that was not.
    ///
    /// # Errors
    /// If the data does not fit the program, a step or a file fails, or the loss is not finite.
    pub fn run(self, tell: &mut dyn FnMut(&Event<'_>)) -> Result<Summary, TrainError> {
        let Run { trainer, data, constants, validation, mut options, stop } = self;
        let remainder = data.count().checked_rem(options.batch).unwrap_or(0);
        let takes_remainder = remainder > 0 && trainer.takes(remainder);
        for size in std::iter::once(options.batch).chain(takes_remainder.then_some(remainder)) {
            let session = trainer.sizes.of(size).unwrap_or_else(|| trainer.session());
            fields::check(session, &data.examples, size)?;
        }
        trainer.sizes.set_key(options.seed)?;
        trainer.totals.clear();
        options.judge = options.judge.resolved(trainer, validation.as_ref().map(|(e, _)| &**e))?;
        let mut meta = Meta {
            step: trainer.step,
            length: options.length(),
            origin: match &options.folder {
                Some(_) => {
                    let validation = validation.as_ref().map(|(e, s)| (&**e, s));
                    Origin::of(trainer, &data, validation, &options, takes_remainder)
                }
                None => Origin::default(),
            },
            ..Meta::default()
        };
        let Opened { files, from, best } = open(trainer, &options, &constants, &mut meta, tell)?;
        let loader_options = LoaderOptions {
            shuffle: options.shuffle,
            start: meta.cursor,
            key: fields_key(options.seed.cast_signed()),
            rest: if takes_remainder { Rest::Keep } else { Rest::Drop },
            ..LoaderOptions::training(options.batch, 0)
        };
        let mut loader =
            Loader::new(fields::used(trainer.session(), &data.examples), data.positions.clone(), &loader_options)?;
        tell(&Event::Start {
            epoch: meta.epoch,
            step: meta.step,
            epochs: options.epochs,
            steps_per_epoch: loader.batches_per_epoch(),
            left_out: if takes_remainder { 0 } else { remainder },
            from: from.as_deref(),
        });
        let mut course = Course {
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
        let done = course.run(&mut loader, tell);
        if let (Err(_), Some(files)) = (&done, &mut course.files) {
            files.rescue(course.best.as_ref());
        }
        let (interrupted, last) = done?;
        Ok(course.summary(interrupted, last))
    }
}

/// A training under way.
struct Course<'a> {
    trainer: &'a mut Trainer,
    validation: Option<(&'a mut Evaluator, Selection)>,
    options: TrainOptions,
    stop: Arc<AtomicBool>,
    files: Option<Files>,
    constants: Tensors,
    meta: Meta,
    /// The weights of the best epoch.
    best: Option<Tensors>,
    epoch: Epoch,
    /// Examples trained on in this run.
    examples: u64,
    /// Time spent on steps, and on validation.
    steps: Duration,
    validating: Duration,
    /// Whether the patience ran out before the length.
    stopped_early: bool,
}

/// The part of an epoch that this run does.
struct Epoch {
    /// When it began or was gone on with.
    began: Instant,
    /// Time spent on checkpoints within it.
    saving: Duration,
    /// How many examples it has seen since.
    examples: usize,
}

impl Epoch {
    fn begin() -> Self {
        Epoch { began: Instant::now(), saving: Duration::ZERO, examples: 0 }
    }
}

impl Course<'_> {
    /// Goes to the end, or until stopped: whether it was, and the report of the last epoch, or part of one.
    fn run(
        &mut self,
        loader: &mut Loader,
        tell: &mut dyn FnMut(&Event<'_>),
    ) -> Result<(bool, Option<EpochReport>), TrainError> {
        let mut last = None;
        let mut ended = false;
        while !ended && !self.options.finished(&self.meta) {
            if let Some(patience) = self.options.exhausted(&self.meta) {
                let (epoch, best) = (self.meta.epoch, self.meta.best);
                tell(&Event::EarlyStop { epoch, patience, judge: &self.options.judge, best });
                self.stopped_early = true;
                break;
            }
            if self.stop.load(Ordering::Relaxed) {
                self.save(tell)?;
                return Ok((true, last));
            }
            // One that was stopped between the last step of an epoch and its end has that end still before it.
            let steps = !self.meta.has_all_batches() && !self.options.no_step_left(&self.meta);
            if steps {
                self.step(loader, tell)?;
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
                self.save(tell)?;
            }
            if let Some(report) = report {
                tell(&Event::Epoch(&report));
                last = Some(report);
            }
        }
        // what is resumed at its end may have been made longer or shorter without a step
        self.save(tell)?;
        Ok((false, last))
    }

    fn is_checkpoint_due(&self, stepped: bool) -> bool {
        let by_steps = self.options.checkpoint_steps.is_some_and(|n| n > 0 && self.meta.step.is_multiple_of(n));
        (by_steps && stepped) || self.files.as_ref().is_some_and(Files::is_due)
    }

    /// Does the step of the next batch.
    fn step(&mut self, loader: &mut Loader, tell: &mut dyn FnMut(&Event<'_>)) -> Result<(), TrainError> {
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
        tell(&Event::Step { epoch, step, batch: number, batches, loss });
        loader.recycle(batch);
        Ok(())
    }

    /// Ends the epoch, or only tells of it where it is not whole; `None` if it is stopped before it can be judged.
    fn end_epoch(&mut self, whole: bool) -> Result<Option<EpochReport>, TrainError> {
        let learning = self.epoch.began.elapsed().saturating_sub(self.epoch.saving).as_secs_f64();
        let validation = match &mut self.validation {
            Some((evaluator, selection)) => {
                let start = Instant::now();
                let scores = validate(self.trainer, evaluator, selection, &self.stop)?;
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
            report.best = self.options.judge.is_best(&report, &mut self.meta.best);
            self.trainer.totals.clear();
        } else {
            // The steps may be made more and the training resumed: counters, totals and the best epoch stay
            // as they are within an epoch. Without any whole one, this part is the best that there is.
            report.best = self.meta.best.is_none() && self.options.judge.is_best(&report, &mut None);
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

    /// Writes a checkpoint, if there is a folder for it, unless the latest one goes as far.
    fn save(&mut self, tell: &mut dyn FnMut(&Event<'_>)) -> Result<(), TrainError> {
        let Some(files) = &mut self.files else { return Ok(()) };
        let start = Instant::now();
        if let Some(path) = files.save(self.trainer, &self.meta, self.best.as_ref(), &self.constants)? {
            tell(&Event::Checkpoint { path: &path as &Path, step: self.meta.step });
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
        let (best_weights, judge, examples) = (self.best, self.options.judge, self.examples);
        let stopped_early = self.stopped_early;
        Summary { epoch, step, interrupted, stopped_early, last, best, best_weights, judge, examples, times }
    }
}

/// What there is in the folder of a training.
#[derive(Default)]
struct Opened {
    files: Option<Files>,
    /// The checkpoint that it goes on from.
    from: Option<PathBuf>,
    best: Option<Tensors>,
}

/// Opens the folder, if there is one, and goes on from its latest checkpoint, if that is wanted.
fn open(
    trainer: &mut Trainer,
    options: &TrainOptions,
    constants: &Tensors,
    meta: &mut Meta,
    tell: &mut dyn FnMut(&Event<'_>),
) -> Result<Opened, TrainError> {
    let Some(folder) = &options.folder else { return Ok(Opened::default()) };
    let mut files = Files::new(Store::open(folder, options.keep)?);
    if !options.resume {
        return Ok(Opened { files: Some(files), ..Opened::default() });
    }
    let Latest { found, skipped } = files.store().latest()?;
    skipped.iter().for_each(|e| tell(&Event::Skipped(e)));
    let Some((path, checkpoint)) = found else {
        tell(&Event::Anew { folder });
        return Ok(Opened { files: Some(files), ..Opened::default() });
    };
    let (was, is) = (checkpoint.meta.length, options.length());
    // the program at the length that the checkpoint was made for: another length alone is no other training
    let then = Origin { program: options.fingerprint_at(was).to_owned(), ..meta.origin.clone() };
    let mut differences = checkpoint.meta.origin.differences(&then);
    if differences.is_empty() {
        differences = state::differences_of_constants(&checkpoint.tensors, constants);
    }
    if !differences.is_empty() {
        return Err(CheckpointError::Other { path, differences }.into());
    }
    if was != is {
        let scheduled = then.program != meta.origin.program;
        tell(&Event::Length { was, is, scheduled, step: checkpoint.meta.step });
    }
    let best = trainer.resume(&checkpoint.tensors, checkpoint.meta.step, options.seed)?;
    files.resume(&checkpoint.meta, best.as_ref())?;
    *meta = Meta { origin: meta.origin.clone(), length: is, ..checkpoint.meta };
    Ok(Opened { files: Some(files), from: Some(path), best })
}

/// What the validation comes to, or `None` if it is stopped.
fn validate(
    trainer: &Trainer,
    evaluator: &mut Evaluator,
    selection: &Selection,
    stop: &AtomicBool,
) -> Result<Option<Scores>, TrainError> {
    for session in evaluator.sessions() {
        session.copy_weights(trainer.session())?;
    }
    evaluator.run_unless(stop, selection)
}

/// The line of an epoch. The names of metrics, which are the user's, get a prefix, and so are none of ours.
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
