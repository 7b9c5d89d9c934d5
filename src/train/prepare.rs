//! Preparation of inputs as the dataset prepares its fields, with the `fit`s of the training.

use dlc_dsl::lower::dataset::fit_argument;
use dlc_ir::Type;
use dlc_runtime::Tensors;
use indexmap::IndexMap;

use super::data::SectionData;
use super::find_settings;
use crate::compile::Timings;
use crate::data::stored;
use crate::model::failure::failed_run;
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
    let fits = source.fits(call.item);
    let known = |weights: &Tensors| -> Option<Tensors> {
        let value = |name: &str| Some((fit_argument(name), weights.get(&stored(call, name))?.clone()));
        fits.iter().map(|fit| value(&fit.name)).collect()
    };
    let fitted = match known(weights) {
        Some(fitted) => fitted,
        None => {
            let of_training = SectionData::new(model, compiler, &settings, &Tensors::new())?.fits;
            known(&of_training).unwrap_or_default()
        }
    };
    let types: IndexMap<String, Type> = raw.iter().map(|(name, t)| (name.to_owned(), t.ty().clone())).collect();
    let fit_types =
        fits.iter().filter_map(|fit| Some((fit.name.clone(), fitted.get(&fit_argument(&fit.name))?.ty().clone())));
    let graph = source.lower_preparation(call, &types, &fit_types.collect(), model.dtype());
    let program = compiler.here().compile_graph(model, graph.map_err(|d| model.error(d))?, &mut Timings::default())?;
    let mut session = program.try_session()?;
    let takes: Vec<String> = session.signature().inputs().map(|(name, _)| name.to_owned()).collect();
    let values = raw.iter().chain(fitted.iter()).filter(|(name, _)| takes.iter().any(|taken| taken == name));
    let fields = session.run(values).map_err(|e| failed_run(model, &e))?;
    for (name, field) in fields {
        if inputs.contains(&name) && ready.get(&name).is_none() {
            ready.insert(name, field);
        }
    }
    Ok(ready)
}
