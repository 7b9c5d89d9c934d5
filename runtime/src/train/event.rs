//! Events of a training.

use std::path::Path;

use super::{Monitor, Scores};
use crate::Tensors;
use crate::checkpoint::{Best, CheckpointError, Length};

/// An event. Observers decide what to show; steps come fast.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The training starts or is resumed.
    Start {
        /// Epochs already done.
        epoch: u64,
        /// Steps already done.
        step: u64,
        /// Total number of epochs, if limited.
        epochs: Option<u64>,
        /// Steps of one epoch.
        steps_per_epoch: u64,
        /// Examples of each epoch that are skipped, since they fill no batch and there is no program for a smaller one.
        left_out: usize,
        /// The checkpoint that it is resumed from.
        from: Option<&'a Path>,
    },
    /// The folder has no checkpoint to resume from: the training starts from scratch.
    FromScratch { folder: &'a Path },
    /// The training is resumed with another length than before.
    Length {
        /// The length in the checkpoint.
        was: Length,
        /// The new length.
        is: Length,
        /// Whether the program differs: then a schedule depends on the length.
        scheduled: bool,
        /// The steps that were done by the former schedule.
        step: u64,
    },
    /// A checkpoint could not be used, and an earlier one is.
    Skipped(&'a CheckpointError),
    /// A step is done.
    Step {
        /// From 1.
        epoch: u64,
        /// From 1.
        step: u64,
        /// In the epoch, from 1.
        batch: u64,
        /// Batches of the epoch.
        batches: u64,
        /// The loss of the step.
        loss: f64,
    },
    /// An epoch is done, or the part of one up to the last step.
    Epoch(&'a EpochReport),
    /// The training stops early, since its score has not improved for as many epochs as its patience.
    EarlyStop {
        epoch: u64,
        patience: u64,
        /// The score that was monitored.
        monitor: &'a Monitor,
        /// The best epoch, if one had a finite score.
        best: Option<Best>,
    },
    /// A checkpoint is on the disk.
    Checkpoint { path: &'a Path, step: u64 },
}

/// The report of an epoch, or of the part of one up to the last step.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochReport {
    /// From 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Whether all batches of the epoch are done; only then is it counted.
    pub whole: bool,
    /// Means over the batches of the epoch, each taken before the batch's update.
    pub train: Scores,
    /// Means over the validation examples.
    pub validation: Option<Scores>,
    /// Whether this epoch is the best so far.
    pub best: bool,
    /// Examples per second, without validation.
    pub examples_per_second: f64,
    /// Seconds of the epoch, validation included.
    pub seconds: f64,
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Complete epochs.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Whether it was stopped before its end; its checkpoint is saved if it has a folder.
    pub interrupted: bool,
    /// Whether it was stopped early by its patience.
    pub stopped_early: bool,
    /// The report of the last epoch of this run, or part of one, if there was one.
    pub last: Option<EpochReport>,
    /// The best complete epoch, and its value.
    pub best: Option<Best>,
    /// The weights of the best epoch, or if no epoch is complete, of the evaluated part of one.
    pub best_weights: Option<Tensors>,
    /// The score that decides which epoch is the best.
    pub monitor: Monitor,
    /// Number of training examples processed, with repetitions.
    pub examples: u64,
    pub times: Times,
}

/// The times of a run, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// Steps, including waits for batches.
    pub steps: f64,
    /// Validation.
    pub validation: f64,
    /// Checkpoints, best weights and history.
    pub writing: f64,
}
