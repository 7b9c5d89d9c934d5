//! The settings of a training.

use std::path::PathBuf;

use indexmap::IndexMap;

use super::Judge;
use crate::checkpoint::{Length, Meta};
use crate::shuffle::Cursor;

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
    /// Steps between checkpoints. There is one every few seconds, at the end and at an interruption in any case.
    pub checkpoint_steps: Option<u64>,
    /// Whether to go on from the latest checkpoint of the folder; otherwise what is there is removed before the first file
    /// is written.
    pub resume: bool,
    /// What the program was made from; a checkpoint of another fingerprint is refused, as is one of other data or settings.
    pub fingerprint: String,
    /// The fingerprint of the same program made for another length: that of the checkpoint to resume from, where a schedule depends on it.
    pub fingerprint_of: Option<(Length, String)>,
    /// Settings as they were written, by name, to say in what a checkpoint differs.
    pub settings: IndexMap<String, String>,
    /// What decides which weights are the best.
    pub judge: Judge,
    /// Epochs without a better score by `judge` after which the training ends early; `None` trains to its full length.
    pub patience: Option<u64>,
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
            fingerprint_of: None,
            settings: IndexMap::new(),
            judge: Judge::loss(),
            patience: None,
        }
    }

    /// How long the training is.
    pub fn length(&self) -> Length {
        Length { epochs: self.epochs, steps: self.steps }
    }

    /// The fingerprint of the program made for a length.
    pub(super) fn fingerprint_at(&self, length: Length) -> &str {
        match &self.fingerprint_of {
            Some((other, fingerprint)) if *other == length && length != self.length() => fingerprint,
            _ => &self.fingerprint,
        }
    }

    /// The patience that has run out: that many epochs were no better than the best one, or than the beginning where none
    /// had a finite score. It follows from what a checkpoint holds, so that a resumed training ends in the same epoch.
    pub(super) fn exhausted(&self, meta: &Meta) -> Option<u64> {
        let since = meta.epoch - meta.best.map_or(0, |best| best.epoch);
        self.patience.filter(|&patience| since >= patience)
    }

    /// Whether a training that has come so far has done all its epochs, or all its steps and told of them.
    pub(super) fn finished(&self, meta: &Meta) -> bool {
        let told = meta.cursor == Cursor { epoch: meta.epoch, batch: 0 };
        self.epochs.is_some_and(|n| meta.epoch >= n) || (told && self.no_step_left(meta))
    }

    /// Whether all steps are done, where these are limited.
    pub(super) fn no_step_left(&self, meta: &Meta) -> bool {
        self.steps.is_some_and(|n| meta.step >= n)
    }
}
