//! What a training tells while it runs.

use std::path::Path;

use super::{Judge, Scores};
use crate::Tensors;
use crate::checkpoint::{Best, CheckpointError, Length};

/// Something that happened. Who shows it decides how much of it; steps come fast.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The training begins or goes on.
    Start {
        /// Epochs already done.
        epoch: u64,
        /// Steps already done.
        step: u64,
        /// Epochs in all, if they are limited.
        epochs: Option<u64>,
        /// Steps of one epoch.
        steps_per_epoch: u64,
        /// Examples of each epoch that are left out, since they fill no batch and no program takes so few.
        left_out: usize,
        /// The checkpoint that it goes on from.
        from: Option<&'a Path>,
    },
    /// The folder has no checkpoint to resume from, though a training was to be resumed: it starts anew.
    Anew {
        /// The folder.
        folder: &'a Path,
    },
    /// The training is resumed for another length than it was begun for.
    Length {
        /// What the checkpoint was to come to.
        was: Length,
        /// What it is now.
        is: Length,
        /// Whether the program is another one for that: then a schedule depends on the length.
        scheduled: bool,
        /// The steps that were done by the former schedule.
        step: u64,
    },
    /// A checkpoint could not be used, and an earlier one is.
    Skipped(&'a CheckpointError),
    /// A step is done.
    Step {
        /// The epoch, from 1.
        epoch: u64,
        /// The step, from 1.
        step: u64,
        /// The batch of the epoch, from 1.
        batch: u64,
        /// Batches of the epoch.
        batches: u64,
        /// The loss of the step.
        loss: f64,
    },
    /// An epoch is done, or that part of one that the last of all steps ends.
    Epoch(&'a EpochReport),
    /// The training ends before its length, since its score has not improved for as many epochs as its patience.
    EarlyStop {
        /// Epochs done.
        epoch: u64,
        /// Epochs without improvement that ended it.
        patience: u64,
        /// The score that was watched.
        judge: &'a Judge,
        /// The best epoch, if one had a finite score.
        best: Option<Best>,
    },
    /// A checkpoint is on the disk.
    Checkpoint {
        /// Its file.
        path: &'a Path,
        /// Steps done.
        step: u64,
    },
}

/// What is known at the end of an epoch, or of the part of one that the last of all steps ends.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Whether all batches of the epoch are done; only then does it count as one.
    pub whole: bool,
    /// Means over the batches of the epoch, each taken before the batch's update.
    pub train: Scores,
    /// Means over the examples that were kept to validate with.
    pub validation: Option<Scores>,
    /// Whether this epoch is the best so far.
    pub best: bool,
    /// Examples a second, validation left out.
    pub examples_per_second: f64,
    /// Seconds of the epoch, validation included.
    pub seconds: f64,
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Whole epochs done.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Whether it was stopped before its end; its checkpoint is saved if it has a folder.
    pub interrupted: bool,
    /// Whether it ended before its length, as its patience ran out.
    pub stopped_early: bool,
    /// The report of the last epoch of this run, or part of one, if there was one.
    pub last: Option<EpochReport>,
    /// The best whole epoch, and its value of what decides.
    pub best: Option<Best>,
    /// The weights of the best epoch, or where no epoch is whole, of the part of one that was judged.
    pub best_weights: Option<Tensors>,
    /// What decides which epoch is the best.
    pub judge: Judge,
    /// Examples trained on, each as often as it was.
    pub examples: u64,
    /// What this run spent its time on.
    pub times: Times,
}

/// What a run spent its time on, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// Steps, waiting for their batches included.
    pub steps: f64,
    /// Validation.
    pub validation: f64,
    /// Checkpoints, best weights and history.
    pub writing: f64,
}
