//! Inspection: what the command line needs beyond embedding. Stages one by one, descriptions, provenance of nodes, pictures,
//! comparisons with the reference.

pub mod draw;
pub(crate) mod explain;
pub(crate) mod verify;

use std::path::PathBuf;

use dlc_compiler::pipeline::{self, Stage};
use dlc_dsl::diagnostic::catalogue::{self, Entry};
use dlc_dsl::diagnostic::did_you_mean;
use dlc_dsl::{Mode, Request};
use dlc_ir::{Graph, Op};
use dlc_runtime::train::Scores;
use dlc_runtime::{SessionError, Tensors};

pub use dlc_dsl::Lowered;
pub use dlc_dsl::lower::measure::Measure;
pub use dlc_dsl::lower::settings::{MAX_COUNT, SettingDoc};

pub use crate::data::json::{tensor_to_json, tensors_from_json};
pub use crate::data::labels::class_fields;
pub use crate::error::{check_writable, read_text, write_file};
pub use crate::model::settable::Settable;
pub use crate::model::settable::with_argument;
pub use crate::model::sizes::sizes_by_inputs;
pub use crate::train::evaluation::Part;
pub use crate::train::prepare::prepare;
pub use crate::train::request::request_for;
pub use explain::{Provenance, explain};
pub use verify::{Deviation, verify};

use crate::artefact::Artefact;
use crate::compile::Timings;
use crate::data::resolve;
use crate::model::failure::{failed_fields, failed_run};
use crate::model::warnings::Warnings;
use crate::train::data::SectionData;
use crate::train::measure::with_parts;
use crate::train::request::training_step;
use crate::train::{find_settings, settings};
use crate::{Compiler, Error, Model, Program};

/// Checks everything that a training needs: its settings, data, weights and gradients. Returns warnings.
///
/// # Errors
/// If the training would fail.
pub fn check_training(compiler: &Compiler, model: &Model, sizes: &[(String, usize)]) -> Result<Warnings, Error> {
    let step = training_step(model, compiler, sizes)?;
    step.check_settings()?;
    let lowered = model.lower(&with_parts(model, step.request(Mode::Train))?)?;
    step.check(&lowered)?;
    stage_graph(compiler, model, lowered.graph, Stage::Grad)?;
    Ok(step.warnings())
}

/// Whether the model has a `train` section.
///
/// # Errors
/// If the section has errors.
pub fn trains(model: &Model) -> Result<bool, Error> {
    Ok(find_settings(model)?.is_some())
}

/// The names of the models of a model's file: those that it defines, and those that it trains.
pub fn models(model: &Model) -> Vec<String> {
    model.source().models()
}

/// The names of the trainings of a model's file: those of the chosen model, or of all.
pub fn trainings(model: &Model) -> Vec<String> {
    model.source().trainings(model.request(Mode::Train).model.as_deref())
}

/// The name of the chosen or default training; none if the model has no training.
///
/// # Errors
/// If there is no such training.
pub fn chosen_training(model: &Model) -> Result<Option<String>, Error> {
    let Request { model: name, training, .. } = model.request(Mode::Train);
    let chosen = model.source().chosen_training(name.as_deref(), training.as_deref()).map_err(|d| model.error(d))?;
    Ok(chosen.map(|(training, _)| training))
}

/// The name of the chosen or default model.
///
/// # Errors
/// If there is no such model.
pub fn chosen_model(model: &Model) -> Result<String, Error> {
    let name = model.request(Mode::Infer).model;
    model.source().chosen_model(name.as_deref()).map_err(|d| model.error(d))
}

/// The name of the default model.
///
/// # Errors
/// If there is none.
pub fn default_model(model: &Model) -> Result<String, Error> {
    model.source().chosen_model(None).map_err(|d| model.error(d))
}

/// The files that a verb on a model reads: its sources, and the data and weights of its `train` section. Files that only a source with
/// errors names are left out.
pub fn files_of(model: &Model) -> Vec<PathBuf> {
    let texts = model.source().sources.iter().map(|(_, source)| PathBuf::from(source.name()));
    let settings = find_settings(model).ok().flatten();
    let calls = settings.iter().flat_map(|s| s.datasets());
    let readers = calls.filter_map(|call| model.source().dataset(call).ok()).flat_map(|dataset| dataset.readers);
    let data = readers.map(|reader| resolve(&reader.from, &reader.path, model.folder()));
    let weights = model.source().weight_files(&model.request(Mode::Train)).into_iter();
    let weights = weights.map(|reader| resolve(&reader.from, &reader.path, model.folder()));
    texts.chain(data).chain(weights).collect()
}

/// The syntax tree of the model's source, as text.
pub fn tree(model: &Model) -> String {
    dlc_dsl::to_tree(model.source().main())
}

/// The graph that a request describes.
///
/// # Errors
/// If the model has errors for these sizes.
pub fn lower(model: &Model, request: &Request) -> Result<Graph, Error> {
    Ok(model.lower(request)?.graph)
}

/// Whether a graph has something to differentiate.
pub fn has_gradient(graph: &Graph) -> bool {
    graph.functions().flat_map(|f| f.ops()).any(|(_, _, op)| matches!(op, Op::Gradient(_)))
}

/// The graph that a request describes, with the tables of layers and weights.
///
/// # Errors
/// If the model has errors for these sizes.
pub fn describe(model: &Model, request: &Request) -> Result<Lowered, Error> {
    model.lower(request)
}

/// The dimensions of a request whose size was assumed, since neither the user nor data determines it; without the number of examples.
pub fn assumed_sizes(model: &Model, request: &Request) -> Vec<String> {
    let of_data = model.source().dims_of_examples(request.model.as_deref()).unwrap_or_default();
    request.assumed.iter().filter(|name| of_data.contains(name)).cloned().collect()
}

/// Compiles what a request describes; returns the timings too.
///
/// # Errors
/// If the model has errors for these sizes.
pub fn build(compiler: &Compiler, model: &Model, request: &Request) -> Result<(Program, Timings), Error> {
    let (program, _, timings) = compiler.build(model, request)?;
    Ok((program, timings))
}

/// The text of a stage.
///
/// # Errors
/// If the graph has no gradient where it needs one.
pub fn stage_text(compiler: &Compiler, model: &Model, graph: Graph, stage: Stage) -> Result<String, Error> {
    compiler.text(model, graph, stage)
}

/// The graph of a stage, up to `opt`.
///
/// # Errors
/// As [`stage_text`].
pub fn stage_graph(compiler: &Compiler, model: &Model, graph: Graph, stage: Stage) -> Result<Graph, Error> {
    if stage == Stage::Ir {
        return Ok(graph);
    }
    let options = compiler.options()?;
    let explain = |e| crate::compile::explain(model, &graph, &options, e);
    let joint = pipeline::differentiate(graph.clone(), &options).map_err(explain)?;
    if stage == Stage::Grad { Ok(joint) } else { pipeline::optimize(&joint, &options).map_err(explain) }
}

/// The name of the instruction set that a compiler compiles for.
///
/// # Errors
/// If the target is unknown, or this machine is not supported.
pub fn target_name(compiler: &Compiler) -> Result<String, Error> {
    Ok(compiler.target_name()?.to_owned())
}

/// What an error code means.
pub fn explain_code(code: &str) -> Option<&'static Entry> {
    catalogue::explain(code)
}

/// What the library or the compiler provides under a name.
pub fn library_entry(name: &str) -> Option<dlc_dsl::library::Entry> {
    dlc_dsl::library::find(name)
}

/// The settings of a `train` section, explained.
pub fn train_settings() -> &'static [SettingDoc] {
    dlc_dsl::lower::settings::SETTINGS_DOCS
}

/// The error code or name of the library that is most similar to a word.
pub fn explainable_like(word: &str) -> Option<String> {
    let mut known: Vec<String> = dlc_dsl::library::entries().map(|entry| entry.name).collect();
    known.extend(catalogue::CODES.iter().map(|entry| entry.code.to_owned()));
    known.extend(train_settings().iter().map(|setting| setting.name.to_owned()));
    did_you_mean(word, known.iter().map(String::as_str)).map(|meant| meant.to_string())
}

/// Loss and metrics of a trained model on a part of the data of its `train` section, and the number of examples.
///
/// # Errors
/// If the artefact's source has no such data, or the data does not fit the model.
pub fn evaluate(artefact: &Artefact, compiler: &Compiler, part: Part) -> Result<(Scores, usize), Error> {
    crate::train::evaluation::evaluate(&artefact.model()?, compiler, part, artefact.manifest.seed, &artefact.weights)
}

/// Runs an artefact's model with the sizes of its inputs and those in `sizes`.
///
/// # Errors
/// If the inputs do not fit the model.
pub fn run(
    artefact: &Artefact,
    compiler: &Compiler,
    inputs: &Tensors,
    sizes: &[(String, usize)],
    seed: u64,
) -> Result<Tensors, Error> {
    let model = artefact.model()?;
    let sizes = sizes_by_inputs(&model, inputs, sizes)?;
    let run = |artefact: &Artefact| -> Result<_, Error> {
        let mut session = artefact.program(compiler, &sizes)?.try_session()?;
        Ok(session.set_key(seed.cast_signed()).and_then(|()| session.run(inputs.iter())))
    };
    let mut outputs = run(artefact)?;
    if let Err(SessionError::Check { loc: None, .. }) = outputs {
        // The graphs of artefacts have no locations: run the source for the span of the error.
        outputs = run(&Artefact { graphs: vec![], ..artefact.clone() })?;
    }
    outputs.map_err(|e| failed_run(&model, &e))
}

/// The fields of the first `count` training examples of a model's `train` section.
pub(crate) fn first_examples(compiler: &Compiler, model: &Model, count: usize) -> Result<Tensors, Error> {
    let data = SectionData::new(model, compiler, &settings(model)?, &Tensors::new())?;
    let positions: Vec<usize> = data.training.into_iter().take(count).collect();
    data.examples.gather(&positions, true, 0).map_err(|e| failed_fields(model, &e))
}
