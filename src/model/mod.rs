//! The model: its source, its imports, and its arguments.

pub(crate) mod argument;
pub(crate) mod failure;
pub(crate) mod files;
pub(crate) mod loaded;
pub(crate) mod programs;
pub(crate) mod settable;
pub(crate) mod sizes;
pub(crate) mod text;
pub(crate) mod warnings;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dlc_dsl::diagnostic::has_errors;
use dlc_dsl::{Argument, Errors, Loader, Lowered, Mode, NoFiles, Program as Source, Request};
use dlc_dsl::{SourceId, Span};
use dlc_ir::{DType, Loc, Type};
use indexmap::IndexMap;

use crate::Error;
use crate::error::read_text;
use crate::model::files::Files;
use crate::model::loaded::Loaded;
use crate::model::programs::Programs;
use crate::model::settable::Settable;
use crate::model::warnings::Warnings;

/// A model: its source and everything that it imports, with the arguments that are set so far. Data of its `train` section is read once,
/// when it is first needed, and kept as long as the model or a clone of it.
///
/// ```
/// # fn main() -> Result<(), dlc::Error> {
/// let model = dlc::Model::parse(
///     "model perceptron(image: [B, 28, 28], hidden: int = 128) -> logits: [B, 10] {
///        return image |> flatten |> linear(hidden) |> relu |> linear(10)
///      }",
/// )?
/// .with("hidden", 256)?;
/// let graph = model.graph([("B", 64)])?;
/// assert!(graph.to_string().contains("f32[256,784] param \"linear_1.weight\""));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    source: Arc<Source>,
    folder: PathBuf,
    name: Option<String>,
    training: Option<String>,
    arguments: IndexMap<String, Argument>,
    float: DType,
    loaded: Arc<Loaded>,
    programs: Arc<Programs>,
}

impl Model {
    /// Reads a `.dl` or `.ron` file and the files that it imports.
    ///
    /// # Errors
    /// If a file is missing or the source has errors.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = read_text(path)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::load(&path.display().to_string(), &text, &mut Files, folder)
    }

    /// Parses a model in the language, without files beside it.
    ///
    /// # Errors
    /// If the source has errors.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::load("model.dl", text, &mut NoFiles, PathBuf::new())
    }

    /// Parses a model in RON, without files beside it.
    ///
    /// # Errors
    /// If the source has errors.
    pub fn from_ron(text: &str) -> Result<Self, Error> {
        Self::load("model.ron", text, &mut NoFiles, PathBuf::new())
    }

    /// Parses a model in a source of that name, whose imports `loader` finds; paths of its data are relative to `folder`.
    pub(crate) fn load(name: &str, text: &str, loader: &mut dyn Loader, folder: PathBuf) -> Result<Self, Error> {
        let source = Source::load(name, text, loader)?;
        let (source, arguments) = (Arc::new(source), IndexMap::new());
        let (loaded, programs) = (Arc::default(), Arc::default());
        Ok(Model { source, folder, name: None, training: None, arguments, float: DType::F32, loaded, programs })
    }

    /// Chooses the model of that name, if a file has several.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Chooses the training of that name, if a file has several, and the model that it trains. The default is the unnamed training of
    /// the model, or else its first one.
    ///
    /// ```
    /// # fn main() -> Result<(), dlc::Error> {
    /// let model = dlc::Model::parse(
    ///     "model line(x: [B, 3], bias: bool = true) -> y: [B, 2] = linear(x, 2, bias: bias)
    ///      dataset points { x = npy(\"x.npy\") }
    ///      train line                     { data = points(), epochs = 9, loss = mean(y ** 2), optimizer = adam(lr: 1e-3) }
    ///      train short = line(bias: false) { data = points(), epochs = 1, loss = mean(y ** 2), optimizer = adam(lr: 1e-3) }",
    /// )?;
    /// assert!(model.graph([("B", 1)])?.to_string().contains("linear_1.bias"));
    /// assert!(!model.with_training("short")?.graph([("B", 1)])?.to_string().contains("linear_1.bias"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If there is no such training, or it trains another model than the one that [`Model::named`] has chosen.
    pub fn with_training(mut self, name: &str) -> Result<Self, Error> {
        let chosen = self.source.chosen_training(self.name.as_deref(), Some(name)).map_err(|d| self.error(d))?;
        if let Some((training, model)) = chosen {
            (self.training, self.name) = (Some(training), Some(model));
        }
        Ok(self)
    }

    /// Sets an argument: a number, a boolean, or a string. If a file has several models, call [`Model::named`] or [`Model::with_training`] first.
    ///
    /// # Errors
    /// If the model has no such argument.
    pub fn with(mut self, name: &str, value: impl Into<Argument>) -> Result<Self, Error> {
        Settable::of(&self)?.check([name], [])?;
        self.arguments.insert(name.to_owned(), value.into());
        Ok(self)
    }

    /// Sets the dtype of all floating-point values.
    ///
    /// # Errors
    /// If it is not a floating-point dtype.
    pub fn float(mut self, dtype: DType) -> Result<Self, Error> {
        if !dtype.is_float() {
            return Err(Error::plain("bad-argument", format!("expected a floating-point type, found `{dtype}`")));
        }
        self.float = dtype;
        Ok(self)
    }

    /// The graph that computes the outputs from the inputs, before any optimisation, for these sizes of its dimensions.
    ///
    /// # Errors
    /// If the model has errors for these sizes, or a size is missing.
    pub fn graph<'a>(&self, sizes: impl IntoIterator<Item = (&'a str, usize)>) -> Result<dlc_ir::Graph, Error> {
        let mut request = self.request(Mode::Infer);
        request.dims.extend(sizes.into_iter().map(|(n, s)| (n.to_owned(), s)));
        Ok(self.lower(&request)?.graph)
    }

    /// Warnings about its source, such as an unused value.
    #[doc(hidden)]
    pub fn warnings(&self) -> Warnings {
        Warnings::new(self, self.source.warnings.clone())
    }

    /// The sources with their resolved tree.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// The folder that the paths of the data are relative to.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The same model with an empty cache of data.
    pub(crate) fn without_data(&self) -> Self {
        Model { loaded: Arc::default(), ..self.clone() }
    }

    /// The datasets that were read so far.
    pub(crate) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// The cache of compiled programs.
    pub(crate) fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The arguments that are set.
    pub(crate) fn arguments(&self) -> &IndexMap<String, Argument> {
        &self.arguments
    }

    /// The float type.
    #[doc(hidden)]
    pub fn dtype(&self) -> DType {
        self.float
    }

    /// A request with the settings of this model.
    pub(crate) fn request(&self, mode: Mode) -> Request {
        let mut request = Request::new(mode);
        request.model = self.name.clone();
        request.training = self.training.clone();
        request.args = self.arguments.clone();
        request.float = self.float;
        request
    }

    /// The graph that a request describes.
    pub(crate) fn lower(&self, request: &Request) -> Result<Lowered, Error> {
        self.source.lower(request).map_err(|d| self.error(d))
    }

    /// The position of a span in this model's sources: `mnist.dl:4:30`.
    pub(crate) fn locate(&self, span: dlc_dsl::Span) -> String {
        self.source.sources.locate(span)
    }

    /// Diagnostics about this model's sources as an error.
    pub(crate) fn error(&self, diagnostics: Vec<dlc_dsl::Diagnostic>) -> Error {
        debug_assert!(has_errors(&diagnostics));
        Error::new(self.source.sources.clone(), diagnostics)
    }
}

impl From<Errors> for Error {
    fn from(errors: Errors) -> Self {
        Error::new(errors.sources, errors.diagnostics)
    }
}

/// The type of a field for another batch size.
pub(crate) fn batched(ty: &Type, batch: usize) -> Type {
    let mut shape = ty.shape.to_vec();
    if let Some(first) = shape.first_mut() {
        *first = batch;
    }
    ty.with_shape(shape)
}

/// The span in the model's sources: those of a graph have the same order.
pub(crate) fn span(loc: Loc) -> Span {
    Span { source: SourceId(loc.file.saturating_sub(1)), start: loc.start, end: loc.end }
}
