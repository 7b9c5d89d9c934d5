//! Everything that a training updates: in a checkpoint, and as a snapshot.

use dlc_ir::Tensor;

use super::{TrainError, Trainer};
use crate::Tensors;
use crate::checkpoint::Difference;

/// The prefixes of the names of a checkpoint's tensors other than weights, so that a state and a weight may have the same name.
const STATE: &str = "state/";
/// The weights of the best epoch.
const BEST: &str = "best/";
/// The totals of the current epoch.
const TOTALS: &str = "epoch/totals";
/// Weights have their own names, so that any reader of weights finds them, unless these begin with one of the prefixes.
const WEIGHT: &str = "weight/";

/// The name of a weight in a checkpoint.
fn weight_key(name: &str) -> String {
    let taken = [STATE, BEST, WEIGHT, "epoch/"].iter().any(|prefix| name.starts_with(prefix));
    if taken { format!("{WEIGHT}{name}") } else { name.to_owned() }
}

/// The differences between the constants of a checkpoint and those of a training that resumes it.
pub(super) fn differences_of_constants(checkpoint: &Tensors, constants: &Tensors) -> Vec<Difference> {
    let show = |tensor: Option<&Tensor>| match tensor {
        None => "not there".to_owned(),
        Some(tensor) => {
            let shown: Vec<String> = tensor.to_f64s().iter().take(3).map(f64::to_string).collect();
            let more = if tensor.len() > shown.len() { ", …" } else { "" };
            format!("{} [{}{more}]", tensor.ty(), shown.join(", "))
        }
    };
    let differing = constants.iter().filter(|(name, tensor)| checkpoint.get(name) != Some(tensor));
    let difference = |(name, tensor): (&str, &Tensor)| Difference {
        setting: name.to_owned(),
        was: show(checkpoint.get(name)),
        is: show(Some(tensor)),
    };
    differing.map(difference).collect()
}

/// All weights and states of a trainer between two steps, and the number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    params: Tensors,
    states: Tensors,
    step: u64,
}

impl Trainer {
    /// A copy of everything that steps update, for [`Trainer::restore`].
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { params: self.session().params(), states: self.session().states(), step: self.step }
    }

    /// Restores a snapshot of this trainer, also after a step that failed halfway.
    ///
    /// # Errors
    /// If it is that of another model.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), TrainError> {
        let find = |tensors: &Tensors, name: &str| {
            tensors.get(name).cloned().ok_or_else(|| TrainError::NotInCheckpoint(name.to_owned()))
        };
        self.set_all(|name| find(&snapshot.params, name), |name| find(&snapshot.states, name))?;
        self.step = snapshot.step;
        Ok(())
    }

    /// Everything that a step updates, the best weights so far, and what the data depends on, for a checkpoint.
    pub(super) fn tensors(&self, best: Option<&Tensors>, constants: &Tensors) -> Tensors {
        let session = self.session();
        let weights = session.params().into_iter().map(|(name, tensor)| (weight_key(&name), tensor));
        let states = session.states().into_iter().map(|(name, tensor)| (format!("{STATE}{name}"), tensor));
        let best = best.into_iter().flat_map(Tensors::iter).map(|(name, t)| (format!("{BEST}{name}"), t.clone()));
        let totals = (TOTALS.to_owned(), self.totals.to_tensor());
        weights.chain(states).chain(best).chain(constants.clone()).chain([totals]).collect()
    }

    /// Restores everything from a checkpoint, and returns its best weights.
    pub(super) fn resume(&mut self, tensors: &Tensors, step: u64, seed: u64) -> Result<Option<Tensors>, TrainError> {
        let find = |key: &str| tensors.get(key).cloned().ok_or_else(|| TrainError::NotInCheckpoint(key.to_owned()));
        self.set_all(|name| find(&weight_key(name)), |name| find(&format!("{STATE}{name}")))?;
        if !self.totals.restore(&find(TOTALS)?) {
            return Err(TrainError::NotInCheckpoint(TOTALS.to_owned()));
        }
        self.sizes.set_key(seed)?;
        self.step = step;
        let best = tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(BEST)?, tensor.clone())));
        let best: Tensors = best.collect();
        Ok((!best.is_empty()).then_some(best))
    }

    fn set_all(
        &mut self,
        param: impl Fn(&str) -> Result<dlc_ir::Tensor, TrainError>,
        state: impl Fn(&str) -> Result<dlc_ir::Tensor, TrainError>,
    ) -> Result<(), TrainError> {
        let session = self.sizes.current_mut();
        let signature = session.signature();
        // collect all before the first is set
        let params = signature.params().map(|(name, _)| Ok((name.to_owned(), param(name)?)));
        let params: Tensors = params.collect::<Result<Vec<_>, TrainError>>()?.into_iter().collect();
        let states = signature.states().map(|(name, _)| Ok((name.to_owned(), state(name)?)));
        let states: Tensors = states.collect::<Result<Vec<_>, TrainError>>()?.into_iter().collect();
        for (name, tensor) in params.iter() {
            session.set_param(name, tensor)?;
        }
        for (name, tensor) in states.iter() {
            session.set_state(name, tensor)?;
        }
        self.sizes.clear_poison();
        Ok(())
    }
}
