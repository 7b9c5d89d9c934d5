//! The `fit`s of a dataset: computed once, from the training examples of a `train` section, and constant afterwards.

use dlc_dsl::Diagnostic;
use dlc_dsl::lower::dataset::DatasetCall;
use dlc_dsl::lower::settings::TrainSettings;
use dlc_runtime::Tensors;
use dlc_runtime::examples::gather_rows;

use super::{key, source};
use crate::model::loaded::Source;
use crate::{Compiler, Error, Model};

/// The prefix of the values of `fit`s in checkpoints and artefacts, which no weight or state can have.
pub(crate) const FITS: &str = "@fit/";

/// The name of the value of a `fit` in checkpoints and artefacts.
fn stored(call: &DatasetCall, fit: &str) -> String {
    format!("{FITS}{}.{fit}", call.name)
}

/// The values of the `fit`s of a section's data, by their names in checkpoints and artefacts: those of `given` if it has all of them,
/// and otherwise computed from the training examples.
pub(crate) fn fits(
    model: &Model,
    compiler: &Compiler,
    call: &DatasetCall,
    training: &[usize],
    given: &Tensors,
) -> Result<Tensors, Error> {
    let source = source(model, call)?;
    let found = source.survey.fits.iter().map(|(fit, ty)| {
        let name = stored(call, fit);
        let value = given.get(&name).filter(|value| value.ty() == ty)?.clone();
        Some((name, value))
    });
    if let Some(found) = found.collect::<Option<Tensors>>() {
        return Ok(found);
    }
    model.loaded().fits.get((key(model, compiler, call)?, training.to_vec()), || {
        let values = compute(model, compiler, &source, training)?;
        Ok(values.into_iter().map(|(fit, value)| (stored(call, &fit), value)).collect())
    })
}

fn compute(model: &Model, compiler: &Compiler, source: &Source, training: &[usize]) -> Result<Tensors, Error> {
    let Source { dataset, survey, rows, tables } = source;
    let graph = model.source().lower_fits(dataset, survey, training.len(), model.dtype());
    let graph = graph.map_err(|d| model.error(d))?;
    let rows = gather_rows(rows, training);
    let values = compiler.run_graph(model, graph, rows.iter().chain(tables.iter()))?;
    let wrong = values.iter().find(|(_, value)| value.to_f64s().iter().any(|x| !x.is_finite()));
    if let Some((name, _)) = wrong {
        let at = model.source().fits(dataset.call.item).into_iter().find(|fit| fit.name == name);
        let error = Diagnostic::error("not-finite", format!("the value of the `fit` `{name}` is not finite"));
        let at = at.map_or(dataset.call.span, |fit| fit.span);
        let label = format!("computed from {} training examples", training.len());
        return Err(model.error(vec![error.primary(at, label)]));
    }
    Ok(values)
}

/// The values of the `fit`s of a dataset of a section, by name: those of `data`, which has to be the same dataset.
///
/// # Errors
/// If it is another dataset with `fit`s.
pub(crate) fn of_section(
    model: &Model,
    settings: &TrainSettings,
    call: &DatasetCall,
    fits: &Tensors,
) -> Result<Tensors, Error> {
    let own = model.source().fits(call.item);
    let Some(first) = own.first() else { return Ok(Tensors::new()) };
    let data = &settings.data;
    if data.item != call.item {
        let message = format!("the `fit` `{}` of `{}` has no value", first.name, call.name);
        let error = Diagnostic::error("unfitted", message)
            .primary(call.span, format!("not the training dataset, `{}`", data.name))
            .secondary(data.span, "`fit`s are computed from these training examples")
            .secondary(first.span, "this `fit`");
        let help = "use calls of one dataset for both, with arguments for what differs, such as the file";
        return Err(model.error(vec![error.help(help)]));
    }
    let value =
        |fit: &dlc_dsl::lower::dataset::Fit| Some((fit.name.clone(), fits.get(&stored(data, &fit.name))?.clone()));
    Ok(own.iter().filter_map(value).collect())
}
