//! Training: a compiled step, driven over epochs, with validation, checkpoints and a history.

mod error;
mod evaluate;
mod event;
mod fields;
mod identity;
mod measures;
mod monitor;
mod options;
mod rows;
mod run;
mod save;
mod scores;
mod sizes;
mod state;

use std::collections::BTreeSet;

use dlc_ir::Tensor;

pub use error::TrainError;
pub use evaluate::{Evaluator, Subset};
pub use event::{EpochReport, Event, Summary, Times};
pub use measures::{Accumulated, Combine, Finish, Finished, Measures};
pub use monitor::{Better, DataPart, Keep, Monitor};
pub use options::TrainOptions;
pub use run::Run;
pub use scores::Scores;
pub use state::Snapshot;

use crate::weights;
use crate::{Session, Tensors};
use scores::Totals;
use sizes::Sizes;

/// A program that trains: forward, backward and update in one step, and the weights and states that it updates.
///
/// The program's outputs are `loss` and metrics of its batch; its inputs are fields of the data, and may be the scalars `step`
/// and `epoch`, both from 0, which the trainer sets.
///
/// There is one program for each batch size ([`Trainer::add`]): all of them update the same weights and states, which are swapped
/// without copying.
#[derive(Debug)]
pub struct Trainer {
    sizes: Sizes,
    totals: Totals,
    /// The states that do not belong to the model.
    own: BTreeSet<String>,
    step: u64,
}

impl Trainer {
    /// A trainer from a session of a step's program, and how loss and metrics of an epoch are computed from its outputs; without
    /// `measures`, they are averaged over the examples. `own` names the states that do not belong to the model: those of its
    /// optimiser, and a counter of steps. Weights and states are not set yet.
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
        Ok(Trainer { sizes: Sizes::new(session), totals, own, step: 0 })
    }

    /// Adds a session of the same step for another batch size. It shares the weights and states.
    ///
    /// # Errors
    /// If it has other weights, states or outputs.
    pub fn add(&mut self, session: Session) -> Result<(), TrainError> {
        let size = sizes::size(&session).unwrap_or(0);
        if !self.totals.fit(&session) {
            return Err(TrainError::NotShared { size, what: "outputs" });
        }
        self.sizes.add(session)
    }

    /// Whether there is a program for batches of this size.
    pub fn takes(&self, size: usize) -> bool {
        self.sizes.has(size)
    }

    /// Sets every weight and state to its initial value, which a program computes from the seed: its outputs have their names,
    /// its only argument is the key. They are not copied, unless the program's session is still there at the next step.
    ///
    /// # Errors
    /// If that program fails, or lacks a weight or state.
    pub fn initialize(&mut self, init: &mut Session, seed: u64) -> Result<(), TrainError> {
        init.set_key(seed.cast_signed())?;
        init.step()?;
        let values = init.outputs();
        let signature = self.session().signature();
        for (name, _) in signature.params().chain(signature.states()) {
            values.get(name).ok_or_else(|| TrainError::NoInitialValue(name.to_owned()))?;
        }
        self.sizes.current_mut().begin_with(&values)?;
        self.sizes.set_key(seed)?;
        self.sizes.clear_poison();
        self.step = 0;
        Ok(())
    }

    /// The weights, and those states that belong to the model and not to its optimiser: what an evaluation needs.
    pub fn weights(&self) -> Tensors {
        let session = self.session();
        let mut weights = session.params();
        for (name, state) in session.states().into_iter().filter(|(name, _)| !self.own.contains(name)) {
            weights.insert(name, state);
        }
        weights
    }

    /// Sets the weights, and the states of the model, to those of a file.
    ///
    /// # Errors
    /// If the file does not have exactly the weights of the model; then nothing is changed.
    pub fn set_weights(&mut self, file: &Tensors) -> Result<(), TrainError> {
        let session = self.sizes.current_mut();
        let states = session.signature().states().filter(|(name, _)| !self.own.contains(*name));
        weights::fit(session.signature().params().chain(states), file)?;
        for (name, tensor) in file.iter() {
            if session.signature().param(name).is_some() {
                session.set_param(name, tensor)?;
            } else {
                session.set_state(name, tensor)?;
            }
        }
        Ok(())
    }

    /// Does one step on a batch, and returns the loss and metrics before its update. A loss that is not finite is returned like
    /// any other: the caller decides what to do.
    ///
    /// A batch sets every input; inputs of earlier batches are not reused. A batch that is rejected, as it lacks an input, has
    /// one of another type or contains NaN or an infinity, changes nothing. If a check fails within the step, such as that of a
    /// computed index, after something was updated, then every further step fails until [`Trainer::restore`].
    ///
    /// # Errors
    /// If an input is unknown, missing or of another type, not finite, or the step fails.
    pub fn step<'a>(&mut self, batch: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<Scores, TrainError> {
        let batch: Vec<(&str, &Tensor)> = batch.into_iter().collect();
        let inputs = self.session().signature();
        let sized = |(name, tensor): &(&str, &Tensor)| {
            inputs.input(name).is_some().then(|| tensor.shape().first().copied()).flatten()
        };
        let size = batch.iter().find_map(sized);
        // if there is no program of that size, the current one reports the error
        if let Some(size) = size.filter(|&size| self.sizes.has(size)) {
            self.sizes.select(size)?;
        }
        batch.iter().try_for_each(|(name, tensor)| fields::check_finite(name, tensor))?;
        let session = self.sizes.current_mut();
        session.set_inputs(&batch)?;
        session.step()?;
        self.step += 1;
        Ok(Scores::of(self.session(), self.totals.measures()))
    }

    /// Steps since initialisation.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The session that has the weights, for reading states and outputs.
    pub fn session(&self) -> &Session {
        self.sizes.current()
    }

    /// That session, for setting states and inputs.
    pub fn session_mut(&mut self) -> &mut Session {
        self.sizes.current_mut()
    }
}
