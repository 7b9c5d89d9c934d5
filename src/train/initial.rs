//! Initial values of weights and states.

use std::sync::Arc;

use dlc_dsl::{Mode, Request};
use dlc_runtime::{Session, Tensors};

use crate::model::failure::failed_run;
use crate::train::find_settings;
use crate::train::initial_weights::read_initial;
use crate::train::request::request_for;
use crate::{Compiler, Error, Model};

impl Compiler {
    /// The initial weights of a model, by name: drawn from a seed, or read from the files of its `train` section.
    /// Sizes of dimensions are needed only if shapes of weights depend on them.
    ///
    /// # Errors
    /// If the model has errors for these sizes, or the files do not match it.
    pub fn initial_weights<'a>(
        &self,
        model: &Model,
        sizes: impl IntoIterator<Item = (&'a str, usize)>,
        seed: u64,
    ) -> Result<Tensors, Error> {
        let sizes: Vec<(String, usize)> = sizes.into_iter().map(|(name, size)| (name.to_owned(), size)).collect();
        let infer = request_for(model, Mode::Infer, &sizes, self)?;
        let mut init = model.request(Mode::Init);
        init.dims = infer.dims.clone();
        let initial = initial_values(self, model, &init, seed)?;
        let expected: std::collections::HashSet<Arc<str>> =
            model.lower(&infer)?.weights.into_iter().map(|w| w.name).collect();
        Ok(initial.into_iter().filter(|(name, _)| expected.contains(name.as_str())).collect())
    }
}

/// The initial values of all weights and states, including those of optimisers, by a request for [`Mode::Init`].
pub(crate) fn initial_values(compiler: &Compiler, model: &Model, init: &Request, seed: u64) -> Result<Tensors, Error> {
    let (program, lowered, _) = compiler.build(model, init)?;
    let mut session = program.try_session()?;
    let draw = |session: &mut Session| {
        session.set_key(seed.cast_signed())?;
        session.step()
    };
    draw(&mut session).map_err(|e| failed_run(model, &e))?;
    let drawn = session.outputs();
    if find_settings(model)?.is_none_or(|settings| settings.weights.is_none()) {
        return Ok(drawn);
    }
    let of_training: std::collections::HashSet<&str> = lowered.states_of_training().collect();
    let (own, rest): (Vec<_>, Vec<_>) = drawn.into_iter().partition(|(name, _)| !of_training.contains(&name.as_str()));
    Ok(read_initial(compiler, model, own.into_iter().collect())?.into_iter().chain(rest).collect())
}
