//! Training: a compiled step, driven over epochs, with validation, checkpoints and a history.

mod error;
mod evaluate;
mod event;
mod fields;
mod measures;
mod origin;
mod rows;
mod run;
mod scores;

use std::collections::BTreeSet;

use dlc_ir::Tensor;

pub use error::TrainError;
pub use evaluate::{Evaluator, Selection};
pub use event::{EpochReport, Event, Summary};
pub use measures::{Combine, Finish, Finished, Measures, Part};
pub use run::{Judge, Run, TrainOptions};
pub use scores::Scores;

use crate::weights;
use crate::{Session, Tensors};
use scores::Totals;

/// Names of states in a checkpoint begin with this, so that a state and a weight may share a name.
const STATE: &str = "state/";
/// The totals of an epoch under way, in a checkpoint.
const TOTALS: &str = "epoch/totals";

/// A program that trains: forward, backward and update in one step, and the weights and states that it updates.
///
/// The program's outputs are `loss` and metrics of its batch; its inputs are fields of the data, and may be
/// the scalars `step` and `epoch`, both from 0, which the trainer provides.
#[derive(Debug)]
pub struct Trainer {
    session: Session,
    totals: Totals,
    /// The states that are no part of the model.
    own: BTreeSet<String>,
    step: u64,
}

impl Trainer {
    /// A trainer from a session of the program of a step, and how loss and metrics of an epoch follow from what it returns; without
    /// that, they are averaged over the examples. `own` names the states that are no part of the model:
    /// those of its optimiser, and a counter of steps. Weights and states are still to be set.
    ///
    /// # Errors
    /// If the program has no output `loss`.
    pub fn new<'a>(
        session: Session,
        measures: Option<&Measures>,
        own: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, TrainError> {
        if session.signature().output("loss").is_none() {
            return Err(TrainError::NoLoss);
        }
        let totals = Totals::new(&session, measures)?;
        let own = own.into_iter().map(str::to_owned).collect();
        Ok(Trainer { session, totals, own, step: 0 })
    }

    /// Sets every weight and state to its first value, which a program computes from the seed: its outputs have their
    /// names, its one argument is the key.
    ///
    /// # Errors
    /// If that program fails, or leaves a weight or state out.
    pub fn initialize(&mut self, init: &mut Session, seed: u64) -> Result<(), TrainError> {
        init.set_key(seed.cast_signed())?;
        init.step()?;
        let values = init.outputs();
        let value = |name: &str| values.get(name).ok_or_else(|| TrainError::NoFirstValue(name.to_owned()));
        let params: Vec<String> = self.session.signature().params().map(|(n, _)| n.to_owned()).collect();
        for name in params {
            self.session.set_param(&name, value(&name)?)?;
        }
        let states: Vec<String> = self.session.signature().states().map(|(n, _)| n.to_owned()).collect();
        for name in states {
            self.session.set_state(&name, value(&name)?)?;
        }
        self.session.set_key(seed.cast_signed())?;
        self.session.clear_poison();
        self.step = 0;
        Ok(())
    }

    /// The weights, and those states that belong to the model and not to its optimiser: what an evaluation needs.
    pub fn weights(&self) -> Tensors {
        let mut weights = self.session.params();
        for (name, state) in self.session.states().into_iter().filter(|(name, _)| !self.own.contains(name)) {
            weights.insert(name, state);
        }
        weights
    }

    /// Sets the weights, and the states of the model, to those of a file.
    ///
    /// # Errors
    /// If the file has not exactly the weights of the model; then nothing is changed.
    pub fn set_weights(&mut self, file: &Tensors) -> Result<(), TrainError> {
        let signature = self.session.signature();
        let states = signature.states().filter(|(name, _)| !self.own.contains(*name));
        weights::fit(signature.params().chain(states), file)?;
        for (name, tensor) in file.iter() {
            if self.session.signature().param(name).is_some() {
                self.session.set_param(name, tensor)?;
            } else {
                self.session.set_state(name, tensor)?;
            }
        }
        Ok(())
    }

    /// Does one step on a batch, and returns the loss and metrics before its update. A loss that is not finite is returned as
    /// any other: what becomes of it then is for the caller to say.
    ///
    /// # Errors
    /// If an input is unknown, missing or of another type, or the step fails.
    pub fn step<'a>(&mut self, batch: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<Scores, TrainError> {
        for (name, tensor) in batch {
            self.session.set_input(name, tensor)?;
        }
        self.session.step()?;
        self.step += 1;
        Ok(Scores::of(&self.session, self.totals.measures()))
    }

    /// Steps done since the first values were set.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The session, for states and outputs to be looked at.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The session, for states and inputs to be set.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Everything that a step updates, for a checkpoint.
    fn tensors(&self) -> Tensors {
        let mut tensors = self.session.params();
        for (name, state) in self.session.states() {
            tensors.insert(format!("{STATE}{name}"), state);
        }
        tensors.insert(TOTALS, self.totals.to_tensor());
        tensors
    }

    /// Takes everything back from a checkpoint.
    fn restore(&mut self, tensors: &Tensors, step: u64, seed: u64) -> Result<(), TrainError> {
        let find = |name: &str| tensors.get(name).ok_or_else(|| TrainError::NotInCheckpoint(name.to_owned()));
        let params: Vec<String> = self.session.signature().params().map(|(n, _)| n.to_owned()).collect();
        for name in params {
            self.session.set_param(&name, find(&name)?)?;
        }
        let states: Vec<String> = self.session.signature().states().map(|(n, _)| n.to_owned()).collect();
        for name in states {
            self.session.set_state(&name, find(&format!("{STATE}{name}"))?)?;
        }
        if !self.totals.restore(find(TOTALS)?) {
            return Err(TrainError::NotInCheckpoint(TOTALS.to_owned()));
        }
        self.session.set_key(seed.cast_signed())?;
        self.session.clear_poison();
        self.step = step;
        Ok(())
    }
}
