//! What to make of a model of which some sizes are given.

use dlc_dsl::lower::settings::TrainSettings;
use dlc_dsl::{Mode, Request};
use dlc_runtime::Tensors;
use indexmap::IndexMap;

use crate::data::source;
use crate::train::step::TrainingStep;
use crate::train::{find_settings, settings};
use crate::{Compiler, Error, Model};

/// What to make of a model, with the sizes that its open dimensions get: those of `sizes`, then those of the data of its `train`
/// section. What no data says, the number of examples, is the batch of that section where that matters, and otherwise 1.
///
/// # Errors
/// If the model has no such thing, or its data cannot be read.
pub fn request_for(
    model: &Model,
    mode: Mode,
    sizes: &[(String, usize)],
    compiler: &Compiler,
) -> Result<Request, Error> {
    let trained = find_settings(model)?;
    if mode == Mode::Infer || (mode == Mode::Init && trained.is_none()) {
        let mut request = model.request(mode);
        request.dims.extend(sizes.iter().cloned());
        let (source, name) = (model.source(), request.model.clone());
        let said = source.dims_of_examples(name.as_deref()).map_err(|d| model.error(d))?;
        // where all are set, no data is needed
        if let Some(settings) = trained.filter(|_| said.iter().any(|dim| !request.dims.contains_key(dim))) {
            for (dim, size) in sizes_of_data(model, &settings)? {
                request.dims.entry(dim).or_insert(size);
            }
        }
        for dim in source.free_dims(name.as_deref()).map_err(|d| model.error(d))? {
            request.assume(&dim, 1);
        }
        return Ok(request);
    }
    Ok(training_step(model, compiler, sizes)?.request(mode))
}

/// The sizes that the data of a model's `train` section gives to its dimensions.
fn sizes_of_data(model: &Model, settings: &TrainSettings) -> Result<IndexMap<String, usize>, Error> {
    let data = source(model, &settings.data)?;
    let fields = data.fields(data.count());
    model.source().sizes_by(Some(&settings.model), &fields).map_err(|d| model.error(d))
}

/// The step of a model's `train` section at these sizes.
pub(crate) fn training_step<'a>(
    model: &'a Model,
    compiler: &'a Compiler,
    sizes: &[(String, usize)],
) -> Result<TrainingStep<'a>, Error> {
    let sizes = sizes.iter().map(|(n, s)| (n.as_str(), *s));
    TrainingStep::new(model, compiler, settings(model)?, sizes, &Tensors::new())
}
