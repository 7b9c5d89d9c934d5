//! The settings of a training.

use std::path::PathBuf;

use indexmap::IndexMap;

use super::Monitor;
use crate::checkpoint::{Length, Meta};
use crate::shuffle::Cursor;

/// The settings of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    /// The batch size; the program is compiled for it.
    pub batch: usize,
    /// Total number of epochs, or `None` if `steps` decides.
    pub epochs: Option<u64>,
    /// Total number of steps, or `None` if `epochs` decides. An epoch that they end within is reported, but not counted, and not
    /// compared with complete ones: resumed with more steps or epochs, the training continues in its middle.
    pub steps: Option<u64>,
    /// The seed of the random draws in the program.
    pub seed: u64,
    /// The seed of shuffling; `None` keeps the order of the examples.
    pub shuffle: Option<u64>,
    /// The folder for checkpoints, the best weights and the history; `None` writes nothing.
    pub folder: Option<PathBuf>,
    /// The number of checkpoints to keep besides the best weights.
    pub keep: usize,
    /// Steps between checkpoints. Besides, there is one every few seconds, at the end and at an interruption.
    pub checkpoint_steps: Option<u64>,
    /// Whether to resume from the latest checkpoint of the folder; otherwise its content is removed before the first file is
    /// written.
    pub resume: bool,
    /// The fingerprint of the program's sources; a checkpoint with another one is rejected, as is one of other data or settings.
    pub fingerprint: String,
    /// The fingerprint of the same program for another length: that of the checkpoint to resume from, if a schedule depends on
    /// it.
    pub fingerprint_of: Option<(Length, String)>,
    /// Settings as written, by name, to report how a checkpoint differs.
    pub settings: IndexMap<String, String>,
    /// The score that decides which weights are the best.
    pub monitor: Monitor,
    /// Epochs without improvement after which the training stops early; `None` trains to its full length.
    pub patience: Option<u64>,
}

impl TrainOptions {
    /// The options for this many epochs with this batch size, shuffled, with seed 0, writing nothing.
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
            fingerprint_of: None,
            settings: IndexMap::new(),
            monitor: Monitor::loss(),
            patience: None,
        }
    }

    /// How long the training is.
    pub fn length(&self) -> Length {
        Length { epochs: self.epochs, steps: self.steps }
    }

    /// The fingerprint of the program for a length.
    pub(super) fn fingerprint_at(&self, length: Length) -> &str {
        match &self.fingerprint_of {
            Some((other, fingerprint)) if *other == length && length != self.length() => fingerprint,
            _ => &self.fingerprint,
        }
    }

    /// The patience, if it has run out: no improvement on the best epoch for that many, or on the beginning if none had a finite
    /// score. It depends on the content of checkpoints only, so that a resumed training stops in the same epoch.
    pub(super) fn exhausted(&self, meta: &Meta) -> Option<u64> {
        let since = meta.epoch - meta.best.map_or(0, |best| best.epoch);
        self.patience.filter(|&patience| since >= patience)
    }

    /// Whether a training has done all its epochs, or all its steps and reported them.
    pub(super) fn finished(&self, meta: &Meta) -> bool {
        let reported = meta.cursor == Cursor { epoch: meta.epoch, batch: 0 };
        self.epochs.is_some_and(|n| meta.epoch >= n) || (reported && self.no_step_left(meta))
    }

    /// Whether all steps are done, if these are limited.
    pub(super) fn no_step_left(&self, meta: &Meta) -> bool {
        self.steps.is_some_and(|n| meta.step >= n)
    }
}
