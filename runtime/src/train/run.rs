//! The course of a training, from its first step or a checkpoint to its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::event::{EpochReport, Event, Summary};
use super::{Evaluator, Scores, Selection, TrainError, Trainer, fields};
use crate::checkpoint::{Best, Checkpoint, CheckpointError, Latest, Meta, Origin, Store};
use crate::history::{History, Record};
use crate::loader::{Loader, LoaderOptions};

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
    /// Whether to go on from the latest checkpoint of the folder; otherwise what is there is removed.
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

    /// Whether a training that has come so far is at its end.
    fn finished(&self, meta: &Meta) -> bool {
        self.epochs.is_some_and(|n| meta.epoch >= n) || self.steps.is_some_and(|n| meta.step >= n)
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
    history: History,
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
        let Run { trainer, data, mut validation, options, stop } = self;
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
        let (mut files, from) = open(trainer, &options, &mut meta, tell)?;
        let loader_options =
            LoaderOptions { shuffle: options.shuffle, start: meta.cursor, ..LoaderOptions::training(options.batch, 0) };
        let mut loader =
            Loader::new(fields::used(&trainer.session, &data.examples)?, data.positions.clone(), &loader_options)?;
        let steps_per_epoch = loader.batches_per_epoch();
        let epochs = options.epochs;
        tell(&Event::Start { epoch: meta.epoch, step: meta.step, epochs, steps_per_epoch, from: from.as_deref() });
        let mut summary = Summary { epoch: 0, step: 0, interrupted: false, last: None, best: None };
        let (mut epoch_began, mut examples_done) = (Instant::now(), 0);
        while !options.finished(&meta) {
            if stop.load(Ordering::Relaxed) {
                summary.interrupted = true;
                save(trainer, &mut files, &meta, tell)?;
                break;
            }
            let batch = loader.next_batch();
            fields::set(&mut trainer.session, &batch.fields, meta.step, meta.epoch)?;
            trainer.session.step()?;
            let loss = trainer.totals.add(&trainer.session, batch.count);
            meta.step += 1;
            trainer.step = meta.step;
            meta.cursor = loader.cursor();
            let (epoch, step) = (meta.epoch + 1, meta.step);
            if !loss.is_finite() {
                return Err(TrainError::NotFinite { loss, epoch, step });
            }
            examples_done += batch.count;
            let number = batch.cursor.batch + 1;
            tell(&Event::Step { epoch, step, batch: number, batches: steps_per_epoch, loss });
            let last = batch.last;
            loader.recycle(batch);
            if last || options.steps == Some(step) {
                let seconds = epoch_began.elapsed().as_secs_f64();
                let mut report = EpochReport {
                    epoch,
                    step,
                    whole: last,
                    train: trainer.totals.scores(),
                    validation: validate(trainer, &mut validation)?,
                    best: false,
                    examples_per_second: examples_done as f64 / seconds.max(1e-9),
                    seconds: epoch_began.elapsed().as_secs_f64(),
                };
                if last {
                    meta.epoch = epoch;
                    report.best = is_best(&options.judge, &report, &mut meta.best);
                    trainer.totals.clear();
                } else {
                    // The steps may be made more and the training resumed: counters, totals and the best epoch stay
                    // as they are within an epoch. Without any whole one, this part is the best that there is.
                    report.best = meta.best.is_none() && is_best(&options.judge, &report, &mut None);
                }
                if let Some(files) = &mut files {
                    if report.best {
                        trainer.weights().save(files.store.folder().join("best.safetensors"))?;
                    }
                    // The line of the history goes before the checkpoint: after a kill in between, the epoch is
                    // done again and its line is written anew.
                    files.history.append(&record(&report))?;
                }
                save(trainer, &mut files, &meta, tell)?;
                tell(&Event::Epoch(&report));
                summary.last = Some(report);
                (epoch_began, examples_done) = (Instant::now(), 0);
            } else if options.checkpoint_steps.is_some_and(|n| n > 0 && step % n == 0) {
                save(trainer, &mut files, &meta, tell)?;
            }
        }
        (summary.epoch, summary.step, summary.best) = (meta.epoch, meta.step, meta.best);
        Ok(summary)
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
    let mut from = None;
    if options.resume {
        let Latest { found, skipped } = store.latest()?;
        skipped.iter().for_each(|e| tell(&Event::Skipped(e)));
        if let Some((path, checkpoint)) = found {
            let theirs = &checkpoint.meta.origin;
            if *theirs != meta.origin {
                let differences = theirs.differences(&meta.origin);
                return Err(CheckpointError::Other { path, differences }.into());
            }
            *meta = checkpoint.meta;
            trainer.restore(&checkpoint.tensors, meta.step, options.seed)?;
            from = Some(path);
        }
    } else {
        store.clear()?;
    }
    // A finished training keeps the line of the epoch that its last step ended within; one that goes on writes it anew.
    let told = if options.finished(meta) && meta.cursor.batch > 0 { meta.epoch + 1 } else { meta.epoch };
    let history = History::open(folder, told)?;
    Ok((Some(Files { store, history }), from))
}

fn save(
    trainer: &Trainer,
    files: &mut Option<Files>,
    meta: &Meta,
    tell: &mut dyn FnMut(&Event<'_>),
) -> Result<(), TrainError> {
    let Some(files) = files else { return Ok(()) };
    let path = files.store.save(&Checkpoint { meta: meta.clone(), tensors: trainer.tensors() })?;
    tell(&Event::Checkpoint { path: &path as &Path, step: meta.step });
    Ok(())
}

fn validate(
    trainer: &Trainer,
    validation: &mut Option<(&mut Evaluator, Selection)>,
) -> Result<Option<Scores>, TrainError> {
    let Some((evaluator, selection)) = validation else { return Ok(None) };
    for session in evaluator.sessions() {
        session.copy_weights(&trainer.session)?;
    }
    evaluator.run(selection).map(Some)
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
