//! Evaluation: every example counts exactly once, those of the remainder included.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dlc_ir::DType;
use dlc_ir::op::random_bits;

use super::scores::Totals;
use super::{Measures, Scores, TrainError, fields};
use crate::Session;
use crate::examples::{Examples, fields_key};
use crate::loader::{Loader, LoaderOptions};

/// A subset of a dataset.
#[derive(Clone, Debug)]
pub struct Subset {
    /// The examples.
    pub examples: Arc<Examples>,
    /// The positions of the subset, or `None` for all examples.
    pub positions: Option<Vec<usize>>,
}

impl Subset {
    /// All examples.
    pub fn all(examples: Arc<Examples>) -> Self {
        Subset { examples, positions: None }
    }

    /// Number of examples.
    pub fn count(&self) -> usize {
        self.positions.as_ref().map_or(self.examples.count(), Vec::len)
    }
}

/// Programs that compute loss and metrics of a model: one for whole batches, and one for the remainder.
#[derive(Debug)]
pub struct Evaluator {
    sessions: Vec<(usize, Session)>,
    totals: Totals,
    seed: i64,
}

impl Evaluator {
    /// The batch sizes for which an evaluation of `count` examples needs programs, the whole one first.
    pub fn sizes(count: usize, batch: usize) -> Vec<usize> {
        let whole = batch.clamp(1, count.max(1));
        let remainder = count % whole;
        if remainder == 0 { vec![whole] } else { vec![whole, remainder] }
    }

    /// An evaluator from sessions of the same program for batches of different sizes, and how loss and metrics of many batches
    /// are computed from its outputs; without `measures`, they are averaged over the examples.
    ///
    /// # Errors
    /// If a program lacks an output from which loss and metrics are computed.
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

    /// Sets the seed of random draws. Batches draw independently, and repeated evaluations of the same examples draw the same.
    pub fn set_seed(&mut self, seed: i64) {
        self.seed = seed;
    }

    /// The sessions, those of larger batches first, to set their weights.
    pub fn sessions(&mut self) -> impl Iterator<Item = &mut Session> {
        self.sessions.iter_mut().map(|(_, session)| session)
    }

    /// The names of loss and metrics.
    pub(super) fn names(&self) -> Vec<String> {
        self.totals.names()
    }

    /// Loss and metrics by name, and how each is accumulated over batches.
    pub(super) fn columns(&self) -> Vec<String> {
        self.totals.columns()
    }

    /// Loss and metrics of the examples, with the weights of the sessions.
    ///
    /// # Errors
    /// If the data does not fit the program, or a step fails.
    pub fn run(&mut self, subset: &Subset) -> Result<Scores, TrainError> {
        let scores = self.run_unless(&AtomicBool::new(false), subset)?;
        Ok(scores.expect("it is not stopped"))
    }

    /// As [`Evaluator::run`], but `None` if `stop` is raised before the last batch.
    pub(super) fn run_unless(&mut self, stop: &AtomicBool, subset: &Subset) -> Result<Option<Scores>, TrainError> {
        let count = subset.count();
        let whole = self.sessions.iter().map(|(size, _)| *size).find(|&size| size <= count).unwrap_or(count);
        let needed = Self::sizes(count, whole);
        for &size in &needed {
            let found = self.sessions.iter().find(|(s, _)| *s == size);
            let (_, session) = found.ok_or_else(|| TrainError::NoProgram { size, count, needed: needed.clone() })?;
            fields::check(session, &subset.examples, size)?;
        }
        let options = LoaderOptions { key: fields_key(self.seed), ..LoaderOptions::evaluation(whole) };
        let (_, first) = self.sessions.first().ok_or(TrainError::NoProgram { size: whole, count, needed })?;
        let examples = fields::used(first, &subset.examples);
        let mut loader = Loader::new(examples, subset.positions.clone(), &options)?;
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
