//! The course of a training, from its first step or a checkpoint to its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::event::{EpochReport, Event, Summary};
use super::{Evaluator, Scores, Selection, TrainError, Trainer, fields};
use crate::checkpoint::{Best, Checkpoint, CheckpointError, Latest, Meta, Origin, Store};
use crate::history::{History, Record};
use crate::loader::{Cursor, Loader, LoaderOptions};

/// What decides which epoch is the best.
#[derive(Clone, Debug, PartialEq)]
pub enum Judge {
    /// The loss is to be small: that of the validation if there is one.
    Loss,
    /// A metric is to be large, likewise.
    Metric(String),
}

/// The settings of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    /// Examples of a batch; the program is made for it.
    pub batch: usize,
    /// Epochs in all, or `None` for as many as `steps` need.
    pub epochs: Option<u64>,
    /// Steps in all, or `None` for as many as `epochs` have. An epoch that they end within is told of, but not counted,
    /// and not compared with whole ones: resumed with more steps or epochs, the training goes on in its middle.
    pub steps: Option<u64>,
    /// The seed of the random draws in the program.
    pub seed: u64,
    /// The seed of the order of the examples; `None` keeps their order.
    pub shuffle: Option<u64>,
    /// Where checkpoints, the best weights and the history go; `None` writes nothing.
    pub folder: Option<PathBuf>,
    /// Checkpoints that are kept besides the best weights.
    pub keep: usize,
    /// Steps between checkpoints within an epoch; each epoch ends with one in any case.
    pub checkpoint_steps: Option<u64>,
    /// Whether to go on from the latest checkpoint of the folder; otherwise what is there is removed before the first file
    /// is written.
    pub resume: bool,
    /// What the program was made from; a checkpoint of another fingerprint is refused, as is one of other data or settings.
    pub fingerprint: String,
    /// What decides which weights are the best.
    pub judge: Judge,
}

impl TrainOptions {
    /// So many epochs of batches of that size, shuffled, with seed 0 and nothing written.
    pub fn new(batch: usize, epochs: u64) -> Self {
        TrainOptions {
            batch,
            epochs: Some(epochs),
            steps: None,
            seed: 0,
            shuffle: Some(0),
            folder: None,
            keep: 2,
            checkpoint_steps: None,
            resume: false,
            fingerprint: String::new(),
            judge: Judge::Loss,
        }
    }

    /// Whether a training that has come so far has done all its epochs, or all its steps and told of them.
    fn finished(&self, meta: &Meta) -> bool {
        let told = meta.cursor == Cursor { epoch: meta.epoch, batch: 0 };
        self.epochs.is_some_and(|n| meta.epoch >= n) || (told && self.no_step_left(meta))
    }

    /// Whether all steps are done, where these are limited.
    fn no_step_left(&self, meta: &Meta) -> bool {
        self.steps.is_some_and(|n| meta.step >= n)
    }
}

/// A training about to run.
#[derive(Debug)]
pub struct Run<'a> {
    /// The step, with the first weights set.
    pub trainer: &'a mut Trainer,
    /// The examples to learn from.
    pub data: Selection,
    /// The examples to validate with after each epoch, and the programs to do it.
    pub validation: Option<(&'a mut Evaluator, Selection)>,
    /// The settings.
    pub options: TrainOptions,
    /// Raised by somebody else, another thread or a signal, to stop after the step under way.
    pub stop: Arc<AtomicBool>,
}

/// Where a run writes.
struct Files {
    store: Store,
    /// None as long as nothing is written: so long, what another training left in the folder may still be wanted.
    history: Option<History>,
}

impl Files {
    /// The history. Before it begins, all goes that another training left in the folder.
    fn history(&mut self) -> Result<&mut History, TrainError> {
        let history = match self.history.take() {
            Some(history) => history,
            None => {
                self.store.clear()?;
                History::open(self.store.folder(), 0)?
            }
        };
        Ok(self.history.insert(history))
    }
}

impl Run<'_> {
    /// Trains to the end, or until stopped, and tells what happens. The final weights are in the trainer; the best ones are in
    /// `best.safetensors` of the folder.
    ///
    /// A run that was interrupted or killed and goes on from its folder comes to the same bits as one that was not.
    ///
    /// # Errors
    /// If the data does not fit the program, a step or a file fails, or the loss is not finite.
    pub fn run(self, tell: &mut dyn FnMut(&Event<'_>)) -> Result<Summary, TrainError> {
        let Run { trainer, data, validation, options, stop } = self;
        fields::check(&trainer.session, &data.examples, options.batch)?;
        trainer.session.set_key(options.seed.cast_signed())?;
        trainer.totals.clear();
        let mut meta = Meta {
            step: trainer.step,
            origin: match &options.folder {
                Some(_) => Origin::of(trainer, &data, validation.as_ref().map(|(e, s)| (&**e, s)), &options),
                None => Origin::default(),
            },
            ..Meta::default()
        };
        let (files, from) = open(trainer, &options, &mut meta, tell)?;
        let loader_options =
            LoaderOptions { shuffle: options.shuffle, start: meta.cursor, ..LoaderOptions::training(options.batch, 0) };
        let mut loader =
            Loader::new(fields::used(&trainer.session, &data.examples)?, data.positions.clone(), &loader_options)?;
        let (steps_per_epoch, epochs) = (loader.batches_per_epoch(), options.epochs);
        tell(&Event::Start { epoch: meta.epoch, step: meta.step, epochs, steps_per_epoch, from: from.as_deref() });
        let mut course = Course { trainer, validation, options, stop, files, meta, began: Instant::now(), examples: 0 };
        let (interrupted, last) = course.run(&mut loader, tell)?;
        let Meta { epoch, step, best, .. } = course.meta;
        Ok(Summary { epoch, step, interrupted, last, best })
    }
}

/// A training under way.
struct Course<'a> {
    trainer: &'a mut Trainer,
    validation: Option<(&'a mut Evaluator, Selection)>,
    options: TrainOptions,
    stop: Arc<AtomicBool>,
    files: Option<Files>,
    meta: Meta,
    /// When the epoch began or was gone on with, and how many examples it has seen since.
    began: Instant,
    examples: usize,
}

impl Course<'_> {
    /// Goes to the end, or until stopped: whether it was, and the report of the last epoch, or part of one.
    fn run(
        &mut self,
        loader: &mut Loader,
        tell: &mut dyn FnMut(&Event<'_>),
    ) -> Result<(bool, Option<EpochReport>), TrainError> {
        let mut last = None;
        while !self.options.finished(&self.meta) {
            if self.stop.load(Ordering::Relaxed) {
                self.save(tell)?;
                return Ok((true, last));
            }
            // One that was stopped between the last step of an epoch and its end has that end still before it.
            if !self.meta.has_all_batches() && !self.options.no_step_left(&self.meta) {
                self.step(loader, tell)?;
            }
            let (step, whole) = (self.meta.step, self.meta.has_all_batches());
            if whole || self.options.no_step_left(&self.meta) {
                let Some(report) = self.end_epoch(whole)? else { continue };
                self.save(tell)?;
                tell(&Event::Epoch(&report));
                last = Some(report);
                if !whole {
                    break;
                }
                (self.began, self.examples) = (Instant::now(), 0);
            } else if self.options.checkpoint_steps.is_some_and(|n| n > 0 && step % n == 0) {
                self.save(tell)?;
            }
        }
        Ok((false, last))
    }

    /// Does the step of the next batch.
    fn step(&mut self, loader: &mut Loader, tell: &mut dyn FnMut(&Event<'_>)) -> Result<(), TrainError> {
        let (trainer, meta) = (&mut *self.trainer, &mut self.meta);
        let batch = loader.next_batch();
        fields::set(&mut trainer.session, &batch.fields, meta.step, meta.epoch)?;
        trainer.session.step()?;
        trainer.totals.add(&trainer.session, batch.count)?;
        let loss = trainer.session.output_value("loss").ok_or(TrainError::NoLoss)?;
        meta.step += 1;
        trainer.step = meta.step;
        meta.cursor = loader.cursor();
        let (epoch, step) = (meta.epoch + 1, meta.step);
        if !loss.is_finite() {
            return Err(TrainError::NotFinite { loss, epoch, step });
        }
        self.examples += batch.count;
        let (number, batches) = (batch.cursor.batch + 1, loader.batches_per_epoch());
        tell(&Event::Step { epoch, step, batch: number, batches, loss });
        loader.recycle(batch);
        Ok(())
    }

    /// Ends the epoch, or only tells of it where it is not whole; `None` if it is stopped before it can be judged.
    fn end_epoch(&mut self, whole: bool) -> Result<Option<EpochReport>, TrainError> {
        let seconds = self.began.elapsed().as_secs_f64();
        let validation = match &mut self.validation {
            Some((evaluator, selection)) => match validate(self.trainer, evaluator, selection, &self.stop)? {
                Some(scores) => Some(scores),
                None => return Ok(None),
            },
            None => None,
        };
        let mut report = EpochReport {
            epoch: self.meta.epoch + 1,
            step: self.meta.step,
            whole,
            train: self.trainer.totals.scores()?,
            validation,
            best: false,
            examples_per_second: self.examples as f64 / seconds.max(1e-9),
            seconds: self.began.elapsed().as_secs_f64(),
        };
        if whole {
            self.meta.epoch = report.epoch;
            report.best = is_best(&self.options.judge, &report, &mut self.meta.best);
            self.trainer.totals.clear();
        } else {
            // The steps may be made more and the training resumed: counters, totals and the best epoch stay
            // as they are within an epoch. Without any whole one, this part is the best that there is.
            report.best = self.meta.best.is_none() && is_best(&self.options.judge, &report, &mut None);
        }
        if let Some(files) = &mut self.files {
            let best = files.store.best();
            let history = files.history()?;
            if report.best {
                self.trainer.weights().save(best)?;
            }
            // The line of the history goes before the checkpoint: after a kill in between, the epoch is
            // done again and its line is written anew.
            history.append(&record(&report))?;
        }
        Ok(Some(report))
    }

    /// Writes a checkpoint, if there is a folder for it.
    fn save(&mut self, tell: &mut dyn FnMut(&Event<'_>)) -> Result<(), TrainError> {
        let Some(files) = &mut self.files else { return Ok(()) };
        files.history()?;
        let checkpoint = Checkpoint { meta: self.meta.clone(), tensors: self.trainer.tensors() };
        let path = files.store.save(&checkpoint)?;
        tell(&Event::Checkpoint { path: &path as &Path, step: self.meta.step });
        Ok(())
    }
}

/// Opens the folder, if there is one, and goes on from its latest checkpoint, if that is wanted.
fn open(
    trainer: &mut Trainer,
    options: &TrainOptions,
    meta: &mut Meta,
    tell: &mut dyn FnMut(&Event<'_>),
) -> Result<(Option<Files>, Option<PathBuf>), TrainError> {
    let Some(folder) = &options.folder else { return Ok((None, None)) };
    let store = Store::open(folder, options.keep)?;
    let mut files = Files { store, history: None };
    if !options.resume {
        return Ok((Some(files), None));
    }
    let Latest { found, skipped } = files.store.latest()?;
    skipped.iter().for_each(|e| tell(&Event::Skipped(e)));
    let Some((path, checkpoint)) = found else { return Ok((Some(files), None)) };
    let theirs = &checkpoint.meta.origin;
    if *theirs != meta.origin {
        let differences = theirs.differences(&meta.origin);
        return Err(CheckpointError::Other { path, differences }.into());
    }
    *meta = checkpoint.meta;
    trainer.restore(&checkpoint.tensors, meta.step, options.seed)?;
    // The line of an epoch that the last step ended within is written anew.
    files.history = Some(History::open(folder, meta.epoch)?);
    Ok((Some(files), Some(path)))
}

/// What the validation comes to, or `None` if it is stopped.
fn validate(
    trainer: &Trainer,
    evaluator: &mut Evaluator,
    selection: &Selection,
    stop: &AtomicBool,
) -> Result<Option<Scores>, TrainError> {
    for session in evaluator.sessions() {
        session.copy_weights(&trainer.session)?;
    }
    evaluator.run_unless(stop, selection)
}

fn is_best(judge: &Judge, report: &EpochReport, best: &mut Option<Best>) -> bool {
    let scores = report.validation.as_ref().unwrap_or(&report.train);
    let (value, sign) = match judge {
        Judge::Loss => (Some(scores.loss), -1.0),
        Judge::Metric(name) => (scores.metrics.get(name).copied(), 1.0),
    };
    let Some(value) = value.filter(|v| v.is_finite()) else { return false };
    let better = best.is_none_or(|b| sign * value > sign * b.value);
    if better {
        *best = Some(Best { epoch: report.epoch, value });
    }
    better
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
