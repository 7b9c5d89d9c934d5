//! What the command line needs beyond embedding: stages one by one, descriptions, comparisons.

use dlc_compiler::pipeline::{self, Stage};
use dlc_dsl::diagnostic::catalogue::{self, Entry};
use dlc_dsl::diagnostic::did_you_mean;
use dlc_dsl::{Lowered, Request, What};
use dlc_ir::Graph;
use dlc_runtime::train::Scores;
use dlc_runtime::{Session, Tensors};
use indexmap::IndexMap;

pub use dlc_dsl::lower::settings::MAX_COUNT;

pub use crate::error::{check_writable, read_text, write_file};
pub use crate::explain::{Story, explain};
pub use crate::json::{tensor_to_json, tensors_from_json};
pub use crate::ship::with_argument;
pub use crate::verify::{Deviation, verify};

use crate::artefact::Artefact;
use crate::compiler::Timings;
use crate::training::{counted, request, settings};
use crate::{Compiler, Error, Model, Program};

/// What to make of a model, with the sizes that its open dimensions get: those of `sizes`, then those of the data of its `train`
/// section. What no data says, the number of examples, is the batch of that section where that matters, and otherwise 1.
///
/// # Errors
/// If the model has no such thing, or its data cannot be read.
pub fn request_for(
    model: &Model,
    what: What,
    sizes: &[(String, usize)],
    compiler: &Compiler,
) -> Result<Request, Error> {
    let mut plain = model.request(what);
    plain.dims.extend(sizes.iter().cloned());
    let trains = trains(model)?;
    if what == What::Infer || (what == What::Init && !trains) {
        let (source, name) = (model.source(), plain.model.clone());
        let said = source.dims_of_examples(name.as_deref()).map_err(|d| model.error(d))?;
        // where all are set, no data is needed
        if trains && said.iter().any(|dim| !plain.dims.contains_key(dim)) {
            for (dim, size) in sizes_of_data(model, compiler)? {
                plain.dims.entry(dim).or_insert(size);
            }
        }
        for dim in source.free_dims(name.as_deref()).map_err(|d| model.error(d))? {
            plain.dims.entry(dim).or_insert(1);
        }
        return Ok(plain);
    }
    let settings = settings(model)?;
    let batch = counted("B", sizes.iter().find(|(n, _)| n == "B").map_or(settings.batch, |(_, s)| *s))?;
    let examples = crate::dataset::load(model, compiler, &settings.data)?;
    let mut full = request(model, &settings, &examples, what, batch);
    full.dims.extend(plain.dims);
    full.steps_per_epoch = Some(examples.count() / batch);
    Ok(full)
}

/// The sizes that the data of a model's `train` section gives to its dimensions.
fn sizes_of_data(model: &Model, compiler: &Compiler) -> Result<IndexMap<String, usize>, Error> {
    let settings = settings(model)?;
    let examples = crate::dataset::load(model, compiler, &settings.data)?;
    let fields = examples.fields().iter().map(|(name, field)| (name.to_owned(), field.ty().clone())).collect();
    model.source().sizes_by(Some(&settings.model), &fields).map_err(|d| model.error(d))
}

/// Checks the data of a model's `train` section against the graph of a training step.
///
/// # Errors
/// If data is missing, or says what the model cannot take.
pub fn check_data(compiler: &Compiler, model: &Model, graph: &Graph) -> Result<(), Error> {
    crate::training::check_data(model, compiler, graph)
}

/// The names that may be set on a model: by `--set` and `--size` on the command line.
#[derive(Clone, Debug)]
pub struct Settable {
    arguments: Vec<String>,
    dimensions: Vec<String>,
}

impl Settable {
    /// What may be set on a model.
    ///
    /// # Errors
    /// If the model's text does not say, since it is wrong.
    pub fn of(model: &Model) -> Result<Self, Error> {
        let name = model.request(What::Infer).model;
        let source = model.source();
        let arguments = source.arguments(name.as_deref()).map_err(|d| model.error(d))?.into_keys().collect();
        let dimensions = source.free_dims(name.as_deref()).map_err(|d| model.error(d))?;
        Ok(Settable { arguments, dimensions })
    }

    /// Checks that there are arguments and dimensions of these names.
    ///
    /// # Errors
    /// If there are not; with the name that may be meant.
    pub fn check<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a str>,
        dimensions: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Error> {
        arguments.into_iter().try_for_each(|found| expect_name("argument", found, &self.arguments))?;
        dimensions.into_iter().try_for_each(|found| expect_name("dimension", found, &self.dimensions))
    }
}

fn expect_name(what: &str, found: &str, known: &[String]) -> Result<(), Error> {
    if known.iter().any(|k| k == found) {
        return Ok(());
    }
    let error = Error::plain("unknown-argument", format!("the model has no {what} `{found}`"));
    Err(match did_you_mean(found, known.iter().map(String::as_str)) {
        Some(meant) => error.help(format!("do you mean `{meant}`?")),
        None if known.is_empty() => error.help("it has none"),
        None => error.help(format!("it has {}", known.join(", "))),
    })
}

/// Whether a `train` section says how to train the model.
///
/// # Errors
/// If the section is wrong.
pub fn trains(model: &Model) -> Result<bool, Error> {
    let name = model.request(What::Train).model;
    Ok(model.source().train_settings(name.as_deref()).map_err(|d| model.error(d))?.is_some())
}

/// The tree of the model's text, for people.
pub fn tree(model: &Model) -> String {
    dlc_dsl::to_tree(model.source().main())
}

/// The graph that a request describes.
///
/// # Errors
/// If the model is wrong for these sizes.
pub fn lower(model: &Model, request: &Request) -> Result<Graph, Error> {
    Ok(model.lower(request)?.graph)
}

/// The graph that a request describes, and what is known of layers and weights.
///
/// # Errors
/// If the model is wrong for these sizes.
pub fn describe(model: &Model, request: &Request) -> Result<Lowered, Error> {
    model.lower(request)
}

/// Compiles what a request describes, and says how long it took.
///
/// # Errors
/// If the model is wrong for these sizes.
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

/// The graph of a stage: up to the optimised one.
///
/// # Errors
/// As [`stage_text`].
pub fn stage_graph(compiler: &Compiler, model: &Model, graph: Graph, stage: Stage) -> Result<Graph, Error> {
    if stage == Stage::Ir {
        return Ok(graph);
    }
    let options = compiler.options()?;
    let explain = |e| crate::compiler::explain(model, &graph, &options, e);
    let joint = pipeline::differentiate(graph.clone(), &options).map_err(explain)?;
    if stage == Stage::Grad { Ok(joint) } else { pipeline::optimize(&joint, &options).map_err(explain) }
}

/// The name of the instruction set that a compiler compiles for.
///
/// # Errors
/// If there is none of that name, or this machine has none.
pub fn target_name(compiler: &Compiler) -> Result<String, Error> {
    Ok(compiler.target_name()?.to_owned())
}

/// The weights that a model of these sizes begins with, from a seed. Sizes that are not given are those of [`request_for`].
///
/// # Errors
/// If the model is wrong.
pub fn first_weights(
    compiler: &Compiler,
    model: &Model,
    sizes: &[(String, usize)],
    seed: u64,
) -> Result<Tensors, Error> {
    let infer = request_for(model, What::Infer, sizes, compiler)?;
    let mut request = model.request(What::Init);
    request.dims = infer.dims.clone();
    let (program, ..) = compiler.build(model, &request)?;
    let mut session = program.try_session()?;
    let run = |session: &mut Session| {
        session.set_key(seed.cast_signed())?;
        session.step()
    };
    run(&mut session).map_err(|e| Error::plain(e.code(), e.to_string()))?;
    let wanted: Vec<String> = model.lower(&infer)?.weights.into_iter().map(|w| w.name).collect();
    Ok(session.outputs().into_iter().filter(|(name, _)| wanted.contains(name)).collect())
}

/// What an error code means.
pub fn explain_code(code: &str) -> Option<&'static Entry> {
    catalogue::explain(code)
}

/// Loss and metrics of a trained model on the test data of its `train` section, or on the data that it learned from; and
/// the number of examples.
///
/// # Errors
/// If the artefact's source has no such data, or it does not fit.
pub fn evaluate(artefact: &Artefact, compiler: &Compiler, test: bool) -> Result<(Scores, usize), Error> {
    let model = artefact.model()?;
    let settings = settings(&model)?;
    let call = if test { settings.test.as_ref() } else { Some(&settings.data) };
    let call = call.ok_or_else(|| {
        Error::plain("missing-setting", "the `train` section names no `test` data").help("use --data=train")
    })?;
    crate::training::evaluate(&model, compiler, call, &artefact.weights)
}

/// Runs an artefact's model: sizes of its dimensions are those of the inputs, unless given.
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
    let sizes = sizes_by_inputs(&artefact.model()?, inputs, sizes)?;
    let mut session = artefact.program(compiler, &sizes)?.try_session()?;
    let run = |session: &mut Session| {
        session.set_key(seed.cast_signed())?;
        session.run(inputs.iter())
    };
    run(&mut session).map_err(|e| Error::plain(e.code(), e.to_string()))
}

/// The sizes that inputs give to a model's dimensions, and those that are set besides.
///
/// # Errors
/// If the inputs do not fit the model, or the sizes that are set not the inputs.
pub fn sizes_by_inputs(
    model: &Model,
    inputs: &Tensors,
    sizes: &[(String, usize)],
) -> Result<Vec<(String, usize)>, Error> {
    let mut request = model.request(What::Infer);
    let known = model.source().inputs(request.model.as_deref()).map_err(|d| model.error(d))?;
    inputs.names().try_for_each(|found| expect_input(found, &known))?;
    request.fields.extend(inputs.iter().map(|(n, t)| (n.to_owned(), t.ty().clone())));
    request.dims.extend(sizes.iter().cloned());
    let dims = model.lower(&request)?.dims;
    for (name, given) in sizes {
        let found = dims.get(name).copied().unwrap_or(*given);
        if found != *given {
            let message = format!("`{name}` is set to {given}, but the inputs make it {found}");
            return Err(Error::plain("dimension-conflict", message).help("a dimension of the inputs need not be set"));
        }
    }
    Ok(dims.into_iter().collect())
}

fn expect_input(found: &str, known: &[String]) -> Result<(), Error> {
    if known.iter().any(|k| k == found) {
        return Ok(());
    }
    let known_ones = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let error = Error::plain("unknown-argument", format!("no input `{found}`; the model has {known_ones}"));
    Err(match did_you_mean(found, known.iter().map(String::as_str)) {
        Some(meant) => error.help(format!("do you mean `{meant}`?")),
        None => error,
    })
}

/// The data of a model's `train` section.
pub(crate) fn first_examples(compiler: &Compiler, model: &Model) -> Result<Tensors, Error> {
    let settings = settings(model)?;
    Ok(crate::dataset::load(model, compiler, &settings.data)?.fields().clone())
}
