//! Evaluation: every example counts exactly once, also those that do not fill a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dlc_ir::DType;
use dlc_ir::op::random_bits;

use super::scores::Totals;
use super::{Measures, Scores, TrainError, fields};
use crate::Session;
use crate::examples::{Examples, fields_key};
use crate::loader::{Loader, LoaderOptions};

/// Examples, or some of them.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The examples.
    pub examples: Arc<Examples>,
    /// The positions of those that are meant, or `None` for all.
    pub positions: Option<Vec<usize>>,
}

impl Selection {
    /// All examples.
    pub fn all(examples: Arc<Examples>) -> Self {
        Selection { examples, positions: None }
    }

    /// Number of examples.
    pub fn count(&self) -> usize {
        self.positions.as_ref().map_or(self.examples.count(), Vec::len)
    }
}

/// Programs that compute loss and metrics of a model: one for whole batches, and one for what is left over.
#[derive(Debug)]
pub struct Evaluator {
    sessions: Vec<(usize, Session)>,
    totals: Totals,
    seed: i64,
}

impl Evaluator {
    /// The sizes of batches that an evaluation of `count` examples needs programs for, the whole one first.
    pub fn sizes(count: usize, batch: usize) -> Vec<usize> {
        let whole = batch.clamp(1, count.max(1));
        let rest = count % whole;
        if rest == 0 { vec![whole] } else { vec![whole, rest] }
    }

    /// An evaluator from sessions of the same program for batches of different sizes, and how loss and metrics of many batches follow
    /// from what they return; without that, they are averaged over the examples.
    ///
    /// # Errors
    /// If a program lacks what loss and metrics are made of.
    pub fn new(sessions: impl IntoIterator<Item = Session>, measures: Option<&Measures>) -> Result<Self, TrainError> {
        let mut sized = Vec::new();
        for session in sessions {
            Totals::new(&session, measures)?;
            let size = session.signature().inputs().find_map(|(_, ty)| ty.shape.first().copied()).unwrap_or(1);
            sized.push((size, session));
        }
        sized.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
        let (_, largest) = sized.first().ok_or(TrainError::NoLoss)?;
        let totals = Totals::new(largest, measures)?;
        Ok(Evaluator { sessions: sized, totals, seed: 0 })
    }

    /// Sets what random draws follow from. Each batch draws anew, and every evaluation of the same examples the same.
    pub fn set_seed(&mut self, seed: i64) {
        self.seed = seed;
    }

    /// The sessions, those of larger batches first, for weights to be set.
    pub fn sessions(&mut self) -> impl Iterator<Item = &mut Session> {
        self.sessions.iter_mut().map(|(_, session)| session)
    }

    /// The names of loss and metrics.
    pub(super) fn names(&self) -> Vec<String> {
        self.totals.names()
    }

    /// Loss and metrics by name, and what becomes of each over many batches.
    pub(super) fn columns(&self) -> Vec<String> {
        self.totals.columns()
    }

    /// Loss and metrics of the examples, with the weights that the sessions have.
    ///
    /// # Errors
    /// If the data does not fit the program, or a step fails.
    pub fn run(&mut self, selection: &Selection) -> Result<Scores, TrainError> {
        let scores = self.run_unless(&AtomicBool::new(false), selection)?;
        Ok(scores.expect("nobody stops it"))
    }

    /// As [`Evaluator::run`], but `None` if `stop` is raised before the last batch.
    pub(super) fn run_unless(
        &mut self,
        stop: &AtomicBool,
        selection: &Selection,
    ) -> Result<Option<Scores>, TrainError> {
        let count = selection.count();
        let whole = self.sessions.iter().map(|(size, _)| *size).find(|&size| size <= count).unwrap_or(count);
        let needed = Self::sizes(count, whole);
        for &size in &needed {
            let found = self.sessions.iter().find(|(s, _)| *s == size);
            let (_, session) = found.ok_or_else(|| TrainError::NoProgram { size, count, needed: needed.clone() })?;
            fields::check(session, &selection.examples, size)?;
        }
        let options = LoaderOptions { key: fields_key(self.seed), ..LoaderOptions::evaluation(whole) };
        let (_, first) = self.sessions.first().ok_or(TrainError::NoProgram { size: whole, count, needed })?;
        let examples = fields::used(first, &selection.examples);
        let mut loader = Loader::new(examples, selection.positions.clone(), &options)?;
        self.totals.clear();
        for number in 0..loader.batches_per_epoch() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let batch = loader.next_batch()?;
            let fits = self.sessions.iter_mut().find(|(size, _)| *size == batch.count);
            let (_, session) = fits.expect("there is a program for every size");
            fields::set(session, &batch.fields)?;
            session.set_key(random_bits(self.seed, number.cast_signed(), 0, DType::I64))?;
            session.step()?;
            self.totals.add(session, batch.count)?;
            loader.recycle(batch);
        }
        self.totals.scores().map(Some)
    }
}
