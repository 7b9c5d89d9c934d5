//! Requests for a model, with all sizes.

use dlc_dsl::lower::settings::TrainSettings;
use dlc_dsl::{Mode, Request};
use dlc_runtime::Tensors;
use indexmap::IndexMap;

use crate::data::source;
use crate::train::step::TrainingStep;
use crate::train::{find_settings, settings};
use crate::{Compiler, Error, Model};

/// A request with a size for every free dimension: from `sizes`, or else from the data of the `train` section. The number of examples,
/// which does not follow from data, is the `batch` of that section for programs that depend on it, and otherwise 1.
///
/// # Errors
/// If the model has no such program, or its data cannot be read.
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
        let data_dims = source.dims_of_examples(name.as_deref()).map_err(|d| model.error(d))?;
        // if all sizes are set, no data is read
        if let Some(settings) = trained.filter(|_| data_dims.iter().any(|dim| !request.dims.contains_key(dim))) {
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

/// The sizes of dimensions that follow from the data of a model's `train` section.
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
