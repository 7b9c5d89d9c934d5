//! From a model to an artefact and back.

use std::collections::BTreeMap;
use std::path::Path;

use dlc_compiler::options::Math;
use dlc_compiler::pipeline::Stage;
use dlc_dsl::{Loaded, Loader, Request, What};
use dlc_ir::DType;
use dlc_runtime::{Session, SessionError, Tensors};

use crate::argument;
use crate::artefact::{Artefact, GraphKey, Manifest};
use crate::{Compiler, Error, Model, Program, files};

/// The imports of an artefact: the texts that it holds, by their names below its folder.
struct Stored<'a> {
    sources: &'a [(String, String)],
    folder: &'a Path,
}

impl Loader for Stored<'_> {
    fn load(&mut self, from: &str, path: &str) -> Result<Loaded, String> {
        let wanted = files::joined(from, path);
        let mut stored = self.sources.iter().map(|(name, text)| (files::joined_to(self.folder, name), text));
        let found = stored.find(|(name, _)| *name == wanted);
        let (name, text) = found.ok_or_else(|| format!("the artefact does not hold {wanted}"))?;
        Ok(Loaded { name, text: text.clone() })
    }
}

impl Artefact {
    /// An artefact of a model with these weights, and an optimised graph for the sizes of each program.
    pub fn of(model: &Model, weights: Tensors, programs: &[(&Request, &Program)], target: &str) -> Self {
        let folder = model.folder().to_owned();
        // equal texts give equal artefacts, wherever they lie
        let name = |name: &str| files::beside(&folder, name);
        let sources = model.source().sources.iter().map(|(_, s)| (name(s.name()), s.text().to_owned())).collect();
        let arguments = model.arguments().iter().map(|(n, v)| (n.clone(), argument::show(v))).collect();
        let name = model.request(What::Infer).model.unwrap_or_default();
        let graphs = programs
            .iter()
            .map(|(request, program)| (key(request, target, program.math()), program.graph(Stage::Opt)))
            .collect();
        let manifest = Manifest::new(sources, &name, arguments, model.dtype().name());
        Artefact { manifest, weights, graphs, folder }
    }

    /// The model in the artefact's source.
    ///
    /// # Errors
    /// If this dlc does not understand it any more.
    pub fn model(&self) -> Result<Model, Error> {
        let manifest = &self.manifest;
        let (name, text) =
            manifest.sources.first().ok_or_else(|| Error::plain("bad-artefact", "it holds no source"))?;
        let mut imports = Stored { sources: &manifest.sources, folder: &self.folder };
        let name = self.folder.join(name).display().to_string();
        let mut model = Model::load(&name, text, &mut imports, self.folder.clone())?;
        if !manifest.model.is_empty() {
            model = model.named(&manifest.model);
        }
        for (name, value) in &manifest.arguments {
            model = with_argument(model, name, value)?;
        }
        let float: DType = manifest.float.parse().map_err(|e| Error::plain("bad-artefact", format!("{e}")))?;
        model.float(float)
    }

    /// The program for these sizes: from a stored graph if there is one for them, this target and these maths, otherwise from the source.
    ///
    /// # Errors
    /// If the model is wrong for these sizes.
    pub fn program(&self, compiler: &Compiler, sizes: &[(String, usize)]) -> Result<Program, Error> {
        let model = self.model()?;
        let mut request = model.request(What::Infer);
        request.dims.extend(sizes.iter().cloned());
        let wanted = key(&request, compiler.target_name()?, compiler.maths());
        let stored = self.graphs.iter().find(|(key, _)| *key == wanted);
        let program = match stored {
            Some((_, graph)) => compiler.compile_optimized(&model, Some(&request), graph.clone())?,
            None => compiler.build(&model, &request)?.0,
        };
        program.with_weights(self.weights.clone())
    }
}

/// Loads the program of an artefact that holds one graph of the model's outputs, or can make one without being told sizes.
pub(crate) fn open(path: &Path, compiler: &Compiler) -> Result<Program, Error> {
    let artefact = Artefact::read(path)?;
    let stored = artefact.graphs.iter().find(|(key, _)| key.mode == What::Infer.name());
    let sizes: Vec<(String, usize)> = match stored {
        Some((key, _)) => key.dims.iter().map(|(n, &s)| (n.clone(), s)).collect(),
        None => artefact.model()?.source().free_dims(None).unwrap_or_default().into_iter().map(|d| (d, 1)).collect(),
    };
    artefact.program(compiler, &sizes)
}

/// Sets those weights and states that a program has; the others belong to programs of the same model in another mode.
///
/// # Errors
/// If one has another type. One that is missing stays unset, and the run says so.
pub(crate) fn set_weights(session: &mut Session, weights: &Tensors) -> Result<(), SessionError> {
    let signature = session.signature();
    let params: Vec<String> = signature.params().map(|(n, _)| n.to_owned()).collect();
    let states: Vec<String> = signature.states().map(|(n, _)| n.to_owned()).collect();
    for (name, tensor) in params.iter().filter_map(|n| Some((n, weights.get(n)?))) {
        session.set_param(name, tensor)?;
    }
    for (name, tensor) in states.iter().filter_map(|n| Some((n, weights.get(n)?))) {
        session.set_state(name, tensor)?;
    }
    Ok(())
}

fn key(request: &Request, target: &str, math: Math) -> GraphKey {
    GraphKey {
        dims: request.dims.iter().map(|(n, &s)| (n.clone(), s)).collect::<BTreeMap<_, _>>(),
        mode: request.what.name().to_owned(),
        target: target.to_owned(),
        math: math.name().to_owned(),
        compiler: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// A model with an argument set to what a text spells, by the argument's declared type.
///
/// # Errors
/// If the model's text is wrong. Whether it has the argument shows when it is compiled.
pub fn with_argument(model: Model, name: &str, text: &str) -> Result<Model, Error> {
    let chosen = model.request(What::Infer).model;
    let declared = model.source().arguments(chosen.as_deref()).map_err(|d| model.error(d))?;
    let value = argument::parse(text, declared.get(name).copied());
    model.with(name, value)
}
