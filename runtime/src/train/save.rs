//! When to write checkpoints: a disk may take longer for one than a small model for an epoch.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{TrainError, Trainer};
use crate::Tensors;
use crate::checkpoint::{Checkpoint, Meta, Store};
use crate::history::{History, Record};

/// When to write the first checkpoint, so that there is one to resume from.
const FIRST: Duration = Duration::from_secs(1);
/// The interval of later checkpoints: as much work as a kill may cost.
const INTERVAL: Duration = Duration::from_secs(5);
/// Writing may take at most one part in this many of the time.
const FRACTION: u32 = 20;

/// The files of a run.
pub(super) struct Files {
    store: Store,
    /// `None` until something is written: until then, the files of another training in the folder may still be needed.
    history: Option<History>,
    /// Records from before the history is opened, if another training is in the folder.
    pending: Vec<Record>,
    /// Whether the best weights differ from those in the file.
    best_is_new: bool,
    saved: Saved,
    /// Time spent on writing.
    pub(super) writing: Duration,
}

/// The latest checkpoint.
struct Saved {
    at: Instant,
    /// The time until the next one is due.
    wait: Duration,
    /// Its metadata, if this run has written it or was resumed from it.
    meta: Option<Meta>,
}

impl Files {
    pub(super) fn new(store: Store) -> Self {
        let saved = Saved { at: Instant::now(), wait: FIRST, meta: None };
        Files { store, history: None, pending: vec![], best_is_new: false, saved, writing: Duration::ZERO }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Resumes: the history is truncated after the checkpoint, and the file of the best weights is rewritten if it differs from
    /// the checkpoint's.
    pub(super) fn resume(&mut self, meta: &Meta, best: Option<&Tensors>) -> Result<(), TrainError> {
        // The record of the epoch that the last step ended within is rewritten.
        self.history = Some(History::open(self.store.folder(), meta.epoch)?);
        self.saved.meta = Some(meta.clone());
        self.best_is_new = best.is_some() && Tensors::load(self.store.best()).ok().as_ref() != best;
        Ok(())
    }

    /// The best weights have changed.
    pub(super) fn best_changed(&mut self) {
        self.best_is_new = true;
    }

    /// Appends a record to the history.
    pub(super) fn record(&mut self, record: Record) -> Result<(), TrainError> {
        let start = Instant::now();
        if self.history.is_none() && self.store.is_empty()? {
            self.begin_history()?;
        }
        match &mut self.history {
            Some(history) => history.append(&record)?,
            None => self.pending.push(record),
        }
        self.writing += start.elapsed();
        Ok(())
    }

    /// Whether a checkpoint is due: also at the end of the first epoch if it replaces another training.
    pub(super) fn is_due(&self) -> bool {
        !self.pending.is_empty() || self.saved.at.elapsed() >= self.saved.wait
    }

    /// Writes a checkpoint with the other files, unless the latest one is up to date.
    pub(super) fn save(
        &mut self,
        trainer: &Trainer,
        meta: &Meta,
        best: Option<&Tensors>,
        constants: &Tensors,
    ) -> Result<Option<PathBuf>, TrainError> {
        if self.saved.meta.as_ref() == Some(meta) && self.pending.is_empty() && !self.best_is_new {
            return Ok(None);
        }
        let start = Instant::now();
        self.begin_history()?;
        let checkpoint = Checkpoint { meta: meta.clone(), tensors: trainer.tensors(best, constants) };
        let best = best.filter(|_| self.best_is_new);
        let path = self.store.save_with(&checkpoint, best, self.history.as_ref())?;
        let took = start.elapsed();
        self.writing += took;
        self.best_is_new = false;
        self.saved = Saved { at: Instant::now(), wait: INTERVAL.max(took * FRACTION), meta: Some(checkpoint.meta) };
        Ok(Some(path))
    }

    /// Saves what is useful of a failed training: its history and its best weights, but not its current weights.
    pub(super) fn rescue(&mut self, best: Option<&Tensors>) {
        let best = best.filter(|_| self.best_is_new);
        if self.pending.is_empty() && best.is_none() {
            return;
        }
        // the first failure is the one that is reported
        let _ = self.begin_history();
        if let Some(best) = best {
            let _ = best.save(self.store.best());
        }
    }

    /// Opens the history, if it is not open, after removing the files of another training in the folder.
    fn begin_history(&mut self) -> Result<(), TrainError> {
        if self.history.is_none() {
            self.store.clear()?;
            let history = self.history.insert(History::open(self.store.folder(), 0)?);
            for record in self.pending.drain(..) {
                history.append(&record)?;
            }
        }
        Ok(())
    }
}
