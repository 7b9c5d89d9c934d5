//! Conversion of a model to an artefact and back.

use std::collections::BTreeMap;
use std::path::Path;

use dlc_compiler::options::Math;
use dlc_compiler::pipeline::Stage;
use dlc_dsl::{Loaded, Loader, Mode, Request};
use dlc_ir::DType;
use dlc_runtime::Tensors;

use crate::artefact::{Artefact, GraphKey, Manifest};
use crate::model::argument;
use crate::model::files;
use crate::model::settable::with_argument;
use crate::{Compiler, Error, Model, Program};

/// The imports of an artefact: its sources, by name relative to its folder.
struct Stored<'a> {
    sources: &'a [(String, String)],
    folder: &'a Path,
}

impl Loader for Stored<'_> {
    fn load(&mut self, from: &str, path: &str) -> Result<Loaded, String> {
        let requested = files::joined(from, path);
        let mut stored = self.sources.iter().map(|(name, text)| (files::joined_to(self.folder, name), text));
        let found = stored.find(|(name, _)| *name == requested);
        let (name, text) = found.ok_or_else(|| format!("the artefact has no source {requested}"))?;
        Ok(Loaded { name, text: text.clone() })
    }
}

impl Artefact {
    /// An artefact of a model with these weights, and an optimised graph for the sizes of each program.
    pub fn of(model: &Model, weights: Tensors, programs: &[(&Request, &Program)], target: &str) -> Self {
        let folder = model.folder().to_owned();
        // names relative to the folder, so that an artefact does not depend on its location
        let name = |name: &str| files::beside(&folder, name);
        let sources = model.source().sources.iter().map(|(_, s)| (name(s.name()), s.text().to_owned())).collect();
        let arguments = model.arguments().iter().map(|(n, v)| (n.clone(), argument::show(v))).collect();
        let Request { model: name, training, .. } = model.request(Mode::Infer);
        let chosen = model.source().chosen_training(name.as_deref(), training.as_deref());
        let training = chosen.ok().flatten().map(|(training, _)| training);
        let name = name.unwrap_or_default();
        let graphs = programs
            .iter()
            .map(|(request, program)| (key(request, target, program.math()), program.graph(Stage::Opt)))
            .collect();
        let manifest = Manifest { training, ..Manifest::new(sources, &name, arguments, model.dtype().name()) };
        Artefact { manifest, weights, graphs, folder }
    }

    /// The model in the artefact's source.
    ///
    /// # Errors
    /// If this version of dlc cannot compile it.
    pub fn model(&self) -> Result<Model, Error> {
        let manifest = &self.manifest;
        let (name, text) =
            manifest.sources.first().ok_or_else(|| Error::plain("bad-artefact", "the artefact has no source"))?;
        let mut imports = Stored { sources: &manifest.sources, folder: &self.folder };
        let name = self.folder.join(name).display().to_string();
        let mut model = Model::load(&name, text, &mut imports, self.folder.clone())?;
        if !manifest.model.is_empty() {
            model = model.named(&manifest.model);
        }
        if let Some(training) = &manifest.training {
            model = model.with_training(training)?;
        }
        for (name, value) in &manifest.arguments {
            model = with_argument(model, name, value)?;
        }
        let float: DType = manifest.float.parse().map_err(|e| Error::plain("bad-artefact", format!("{e}")))?;
        model.float(float)
    }

    /// The program for these sizes: from a stored graph if there is one for these sizes, target and math mode, otherwise from the source.
    ///
    /// # Errors
    /// If the model has errors for these sizes.
    pub fn program(&self, compiler: &Compiler, sizes: &[(String, usize)]) -> Result<Program, Error> {
        let model = self.model()?;
        let mut request = model.request(Mode::Infer);
        request.dims.extend(sizes.iter().cloned());
        let requested = key(&request, compiler.target_name()?, compiler.maths());
        let stored = self.graphs.iter().find(|(key, _)| *key == requested);
        let program = match stored {
            Some((_, graph)) => compiler.compile_optimized(&model, Some(&request), graph.clone())?,
            None => compiler.build(&model, &request)?.0,
        };
        program.with_weights(self.weights.clone())
    }
}

impl Program {
    /// Loads an artefact (`.dlx`) and compiles its verified graph, in milliseconds. Sessions start with its weights.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dlc::{Compiler, Model, artefact::Artefact};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("mnist.dlx");
    /// # let model = Model::parse("model m(image: [B, 28, 28]) -> logits: [B, 10] { return image |> flatten |> linear(10) }")?;
    /// # Artefact::of(&model, Compiler::new().initial_weights(&model, [], 0)?, &[], "any").write(&path)?;
    /// use dlc::{Program, Tensor};
    ///
    /// let program = Program::open(path)?;
    /// let image = Tensor::new([1, 28, 28], vec![0.5f32; 784])?;
    /// let out = program.session().run([("image", &image)])?;
    /// assert_eq!(out["logits"].shape()[..], [1, 10]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the file is missing, corrupted or of another version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let compiler = &Compiler::new();
        let artefact = Artefact::read(path.as_ref())?;
        let stored = artefact.graphs.iter().find(|(key, _)| key.mode == Mode::Infer.name());
        let sizes: Vec<(String, usize)> = match stored {
            Some((key, _)) => key.dims.iter().map(|(n, &s)| (n.clone(), s)).collect(),
            None => {
                let model = artefact.model()?;
                let name = model.request(Mode::Infer).model;
                let dims = model.source().free_dims(name.as_deref()).unwrap_or_default();
                dims.into_iter().map(|dim| (dim, 1)).collect()
            }
        };
        artefact.program(compiler, &sizes)
    }
}

fn key(request: &Request, target: &str, math: Math) -> GraphKey {
    GraphKey {
        dims: request.dims.iter().map(|(n, &s)| (n.clone(), s)).collect::<BTreeMap<_, _>>(),
        mode: request.mode.name().to_owned(),
        target: target.to_owned(),
        math: math.name().to_owned(),
        compiler: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
