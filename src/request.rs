//! What to make of a model of which some sizes are given.

use dlc_dsl::{Request, What};

use crate::training::{find_settings, settings};
use crate::training_step::TrainingStep;
use crate::{Compiler, Error, Model};

/// What to make of a model, with the sizes that its open dimensions get: those of `sizes`, then those of its data with
/// the batch of its `train` section, then 1.
///
/// # Errors
/// If the model has no such thing.
pub fn request_for(
    model: &Model,
    what: What,
    sizes: &[(String, usize)],
    compiler: &Compiler,
) -> Result<Request, Error> {
    if what == What::Infer || (what == What::Init && find_settings(model)?.is_none()) {
        let mut request = model.request(what);
        request.dims.extend(sizes.iter().cloned());
        for dim in model.source().free_dims(request.model.as_deref()).map_err(|d| model.error(d))? {
            request.assume(&dim, 1);
        }
        return Ok(request);
    }
    Ok(training_step(model, compiler, sizes)?.request(what))
}

/// The step of a model's `train` section at these sizes.
pub(crate) fn training_step<'a>(
    model: &'a Model,
    compiler: &'a Compiler,
    sizes: &[(String, usize)],
) -> Result<TrainingStep<'a>, Error> {
    TrainingStep::new(model, compiler, settings(model)?, sizes.iter().map(|(n, s)| (n.as_str(), *s)))
}
