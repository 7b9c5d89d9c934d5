//! What a run writes, and when: a disk takes longer for a checkpoint than many a model for an epoch.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{TrainError, Trainer};
use crate::Tensors;
use crate::checkpoint::{Checkpoint, Meta, Store};
use crate::history::{History, Record};

/// How soon the first checkpoint is written, so that there is one to resume from.
const FIRST: Duration = Duration::from_secs(1);
/// How far checkpoints are apart after that: as much work as a kill may cost.
const INTERVAL: Duration = Duration::from_secs(5);
/// Writing takes at most one part of so many of the time.
const FRACTION: u32 = 20;

/// Where a run writes.
pub(super) struct Files {
    store: Store,
    /// None as long as nothing is written: so long, what another training left in the folder may still be wanted.
    history: Option<History>,
    /// Lines of the history from before it is begun, where another training is in the folder.
    pending: Vec<Record>,
    /// Whether the best weights are others than those of the file.
    best_is_new: bool,
    saved: Saved,
    /// Time spent on writing.
    pub(super) writing: Duration,
}

/// The latest checkpoint.
struct Saved {
    at: Instant,
    /// Until the next one is due.
    wait: Duration,
    /// How far it goes, if this run has written it or resumed from it.
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

    /// Resumes: the history is cut behind the checkpoint, and the file of the best weights is written anew if it is not of the checkpoint's.
    pub(super) fn resume(&mut self, meta: &Meta, best: Option<&Tensors>) -> Result<(), TrainError> {
        // The line of an epoch that the last step ended within is written anew.
        self.history = Some(History::open(self.store.folder(), meta.epoch)?);
        self.saved.meta = Some(meta.clone());
        self.best_is_new = best.is_some() && Tensors::load(self.store.best()).ok().as_ref() != best;
        Ok(())
    }

    /// The best weights have changed.
    pub(super) fn best_changed(&mut self) {
        self.best_is_new = true;
    }

    /// Adds a line to the history.
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

    /// Whether it is time for a checkpoint: also at the end of the first epoch where it replaces another training.
    pub(super) fn is_due(&self) -> bool {
        !self.pending.is_empty() || self.saved.at.elapsed() >= self.saved.wait
    }

    /// Writes a checkpoint with all that belongs to it, unless the latest one goes as far.
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

    /// Keeps what can be kept of a training that failed: its history and its best weights. Its weights of now are of no use.
    pub(super) fn rescue(&mut self, best: Option<&Tensors>) {
        let best = best.filter(|_| self.best_is_new);
        if self.pending.is_empty() && best.is_none() {
            return;
        }
        // what fails here comes after the failure that is told of
        let _ = self.begin_history();
        if let Some(best) = best {
            let _ = best.save(self.store.best());
        }
    }

    /// Begins the history, if it is not. Before that, all goes that another training left in the folder.
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
