//! Preparation of inputs as the dataset prepares its fields, with the `fit`s of the training.

use dlc_dsl::lower::dataset::fit_argument;
use dlc_ir::Type;
use dlc_runtime::Tensors;
use indexmap::IndexMap;

use super::data::SectionData;
use super::find_settings;
use crate::data::of_section;
use crate::{Compiler, Error, Model};

/// The inputs of a model. Tensors for `let`s of the dataset of its `train` section are replaced by the fields that are computed from them. The values
/// of `fit`s are among `weights` if the model was trained, and otherwise computed from its training examples.
///
/// # Errors
/// If the tensors do not fit the dataset.
pub fn prepare(compiler: &Compiler, model: &Model, weights: &Tensors, given: Tensors) -> Result<Tensors, Error> {
    let source = model.source();
    let request = model.request(dlc_dsl::Mode::Infer);
    let inputs = source.inputs(request.model.as_deref()).map_err(|d| model.error(d))?;
    if given.names().all(|name| inputs.iter().any(|input| input == name)) {
        return Ok(given);
    }
    let Some(settings) = find_settings(model)? else { return Ok(given) };
    let call = &settings.data;
    let lets = source.lets(call.item);
    let is_let = |name: &str| !inputs.iter().any(|input| input == name) && lets.iter().any(|known| known == name);
    let (raw, ready): (Vec<_>, Vec<_>) = given.into_iter().partition(|(name, _)| is_let(name));
    let (raw, mut ready): (Tensors, Tensors) = (raw.into_iter().collect(), ready.into_iter().collect());
    if raw.is_empty() {
        return Ok(ready);
    }
    let mut fits = of_section(model, &settings, call, weights)?;
    if fits.len() < source.fits(call.item).len() {
        let computed = SectionData::new(model, compiler, &settings, &Tensors::new())?.fits;
        fits = of_section(model, &settings, call, &computed)?;
    }
    let types = |tensors: &Tensors| -> IndexMap<String, Type> {
        tensors.iter().map(|(name, tensor)| (name.to_owned(), tensor.ty().clone())).collect()
    };
    let graph = source.lower_preparation(call, &types(&raw), &types(&fits), model.dtype());
    let graph = graph.map_err(|d| model.error(d))?;
    let fits: Tensors = fits.into_iter().map(|(name, value)| (fit_argument(&name), value)).collect();
    for (name, field) in compiler.run_graph(model, graph, raw.iter().chain(fits.iter()))? {
        if inputs.contains(&name) && ready.get(&name).is_none() {
            ready.insert(name, field);
        }
    }
    Ok(ready)
}
