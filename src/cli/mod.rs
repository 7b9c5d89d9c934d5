//! The command line: one file a verb. The only place of dlc that prints.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use dlc::{Compiler, DType, Error, Graph, Math, Mode, Model, Request, Stage, inspect};

mod digits;
mod exit;
mod inputs;
mod output;
mod rows;
mod table;
mod target;
mod usage;

pub use exit::Exit;
pub use output::Output;

/// Compiles, trains and runs deep-learning models written in a page of text.
#[derive(Parser, Debug)]
#[command(name = "dlc", version, about, max_term_width = 100, after_help = exit::TABLE)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Write JSON: one object, or one per line for each event
    #[arg(long, global = true)]
    json: bool,
    /// When to colour
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    color: output::When,
}

/// Every verb is a file in this folder with a struct of its arguments and `run`.
macro_rules! verbs {
    ($($(#[$doc:meta])* $module:ident :: $name:ident),* $(,)?) => {
        $(mod $module;)*

        #[derive(Subcommand, Debug)]
        enum Verb {
            $($(#[$doc])* $name($module::Arguments)),*
        }

        impl Verb {
            fn run(self, output: &mut Output) -> Result<Exit, Failure> {
                match self {
                    $(Verb::$name(arguments) => $module::run(&arguments, output)),*
                }
            }
        }
    };
}

verbs! {
    /// Create a project: a model, its data, and instructions
    init::Init,
    /// Report errors and warnings of a model
    check::Check,
    /// Compile a model, show any stage, write an artefact
    compile::Compile,
    /// Train a model by its `train` section
    train::Train,
    /// Loss and metrics of a trained model
    eval::Eval,
    /// Outputs from inputs
    run::Run,
    /// Time a program, show where its time goes, compare with an earlier time
    bench::Bench,
    /// Layers, shapes, weights, work and memory
    summary::Summary,
    /// Draw any stage
    graph::Graph,
    /// Explain a node (its rules and source lines), an error code, a name of the library, or a setting
    explain::Explain,
    /// Compare compiled numbers with the reference, value by value
    verify::Verify,
    /// Format model files, or convert between .dl and .ron
    fmt::Fmt,
    /// Run passes over a graph in the text form (.dlir)
    opt::Opt,
    /// Versions, targets, and what this machine can run
    version::Version,
}

/// Arguments of every verb that takes a model.
#[derive(Args, Debug, Clone)]
pub struct ModelArguments {
    /// The model: .dl or .ron
    pub file: PathBuf,
    #[command(flatten)]
    pub settings: ModelSettings,
}

impl ModelArguments {
    /// Opens the model with its settings applied.
    pub fn open(&self) -> Result<Model, Failure> {
        self.settings.open(&self.file)
    }

    /// A request for a program of the model, with the sizes from the command line.
    pub fn request(&self, model: &Model, mode: Mode, compiler: &Compiler) -> Result<Request, Error> {
        self.settings.request(model, mode, compiler)
    }

    /// The file's name without its ending.
    pub fn stem(&self) -> String {
        self.file.file_stem().map_or("model".to_owned(), |s| s.to_string_lossy().into_owned())
    }
}

/// Settings of a model.
#[derive(Args, Debug, Clone)]
pub struct ModelSettings {
    /// Set an argument of the model: hidden=256
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Set a dimension: B=1; for `train`, of the graph in the artefact
    #[arg(long = "size", value_name = "NAME=SIZE", value_parser = size)]
    pub size: Vec<(String, usize)>,
    /// The floating-point type of the whole model
    #[arg(long, value_name = "DTYPE", default_value = "f32", value_parser = ["f32", "f64"])]
    pub float: String,
    /// The model's name, where the file has several
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// The training's name, if the file has several [default: the model's unnamed training, or else the first].
    /// Without a name, short for --mode=train
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    pub train: Option<Option<String>>,
}

impl ModelSettings {
    /// Opens the model of a file with the settings applied.
    pub fn open(&self, file: &Path) -> Result<Model, Failure> {
        let model = self.named(Model::open(file)?)?;
        let training_named = matches!(self.train, Some(Some(_)));
        note_chosen(&model, self.model.is_some() || training_named, training_named);
        self.with_settings(model)
    }

    /// Every training and every model of a file, or the chosen ones, each with the settings that apply to it.
    pub fn open_all(&self, file: &Path) -> Result<Vec<(Model, ModelSettings)>, Failure> {
        let model = self.named(Model::open(file)?)?;
        let names = if self.model.is_some() { vec![inspect::chosen_model(&model)?] } else { inspect::models(&model) };
        let mut models = vec![];
        for model in names.iter().map(|name| model.clone().named(name)) {
            match inspect::trainings(&model) {
                trainings if trainings.len() > 1 => {
                    let each = trainings.iter().map(|training| model.clone().with_training(training));
                    models.extend(each.collect::<Result<Vec<_>, Error>>()?);
                }
                _ => models.push(model),
            }
        }
        if matches!(self.train, Some(Some(_))) || models.len() < 2 {
            return Ok(vec![(self.with_settings(model)?, self.clone())]);
        }
        expect_once(&self.set, &self.size)?;
        let settable = |model| {
            let settable = inspect::Settable::of(&model)?;
            Ok((model, settable))
        };
        let models = models.into_iter().map(settable).collect::<Result<Vec<_>, Error>>()?;
        let all = models.iter().map(|(_, settable)| settable.clone()).reduce(inspect::Settable::or);
        let (set, size) = (self.set.iter().map(|(n, _)| n.as_str()), self.size.iter().map(|(n, _)| n.as_str()));
        // a setting is valid if any of the models has it
        all.map_or(Ok(()), |all| all.check(set, size)).map_err(Failure::usage)?;
        let mine = |(model, settable): (Model, inspect::Settable)| {
            let mut settings = self.clone();
            settings.set.retain(|(name, _)| settable.has_argument(name));
            settings.size.retain(|(name, _)| settable.has_dimension(name));
            Ok((settings.with_settings(model)?, settings))
        };
        models.into_iter().map(mine).collect()
    }

    /// The chosen model and training.
    fn named(&self, mut model: Model) -> Result<Model, Failure> {
        if let Some(name) = &self.model {
            model = model.named(name);
            inspect::Settable::of(&model).map_err(Failure::usage)?;
        }
        match &self.train {
            Some(Some(name)) => model.with_training(name).map_err(Failure::usage),
            Some(None) | None => Ok(model),
        }
    }

    /// Refuses `--train` without a name for a verb without `--mode`, for which it would be short.
    pub fn expect_name_of_training(&self) -> Result<(), Failure> {
        if self.train != Some(None) {
            return Ok(());
        }
        let message = "`--train` needs the name of a training";
        Err(Failure::usage(Error::plain("missing-argument", message).help("write `--train=NAME`")))
    }

    fn with_settings(&self, mut model: Model) -> Result<Model, Failure> {
        check_names(&model, &self.set, &self.size)?;
        for (name, value) in &self.set {
            model = inspect::with_argument(model, name, value)?;
        }
        Ok(model.float(if self.float == "f64" { DType::F64 } else { DType::F32 })?)
    }

    /// A request for a program of the model, with the sizes from the command line.
    pub fn request(&self, model: &Model, mode: Mode, compiler: &Compiler) -> Result<Request, Error> {
        inspect::request_for(model, mode, &self.size, compiler)
    }
}

/// How numbers are computed.
#[derive(Args, Debug, Clone)]
pub struct MathArguments {
    /// What rewrites may assume of values: nothing, every bit as written (strict); what is proved (safe); that they are finite and
    /// of moderate magnitude (fast)
    #[arg(long, value_name = "MATH", default_value = Math::default().name(),
        value_parser = PossibleValuesParser::new(Math::ALL.map(Math::name)).try_map(|name| name.parse::<Math>()))]
    pub math: Math,
}

impl MathArguments {
    /// A compiler for this machine with this math mode.
    pub fn compiler(&self) -> Compiler {
        Compiler::new().math(self.math)
    }
}

/// Chooses one of the programs of a model.
#[derive(Args, Debug, Clone)]
pub struct ModeArguments {
    /// The program: inference, the training step, the evaluation, or the initial weights
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(Mode::ALL.map(Mode::name)).try_map(|name| name.parse::<Mode>()))]
    mode: Option<Mode>,
}

impl ModeArguments {
    /// The requested program, if any: by `--mode`, or by `--train` without a name.
    pub fn given(&self, settings: &ModelSettings) -> Option<Mode> {
        self.mode.or((settings.train == Some(None)).then_some(Mode::Train))
    }

    /// The requested program; inference by default.
    pub fn mode(&self, settings: &ModelSettings) -> Mode {
        self.given(settings).unwrap_or(Mode::Infer)
    }

    /// The program whose stages are shown: by default one that has them, so the training step for `grad`.
    pub fn of_stages(&self, settings: &ModelSettings, stages: impl IntoIterator<Item = Stage>) -> Mode {
        let differentiated = stages.into_iter().any(|stage| stage == Stage::Grad);
        self.given(settings).unwrap_or(if differentiated { Mode::Train } else { Mode::Infer })
    }
}

/// Refuses to show the differentiated stage of a program without gradients.
fn expect_gradient(graph: &Graph, mode: Mode) -> Result<(), Failure> {
    if inspect::has_gradient(graph) {
        return Ok(());
    }
    let message = format!("`--mode={}` has no gradients", mode.name());
    Err(Failure::usage(Error::plain("no-gradient", message).help("use `--mode=train`")))
}

/// Notes which of several models and trainings is used when the command line names none.
fn note_chosen(model: &Model, model_named: bool, training_named: bool) {
    let Ok(name) = inspect::chosen_model(model) else { return };
    let models = inspect::models(model).len();
    if !model_named && models > 1 {
        output::note(&format!("using model `{name}` of {models}; choose another with --model"));
    }
    let trainings = inspect::trainings(&model.clone().named(&name)).len();
    if let Ok(Some(training)) = inspect::chosen_training(model)
        && !training_named
        && trainings > 1
    {
        output::note(&format!("using training `{training}` of {trainings}; choose another with --train"));
    }
}

/// Refuses an option that is set twice, since one value would be dropped silently.
fn expect_once(set: &[(String, String)], size: &[(String, usize)]) -> Result<(), Failure> {
    let twice = |option: &str, names: Vec<&str>| {
        let mut seen = std::collections::BTreeSet::new();
        match names.into_iter().find(|name| !seen.insert(*name)) {
            None => Ok(()),
            Some(name) => {
                let message = format!("`{name}` is set twice by {option}");
                Err(Failure::usage(Error::plain("duplicate-argument", message)))
            }
        }
    };
    twice("--set", set.iter().map(|(name, _)| name.as_str()).collect())?;
    twice("--size", size.iter().map(|(name, _)| name.as_str()).collect())
}

/// Refuses names on the command line that the model does not have, or that occur twice.
fn check_names(model: &Model, set: &[(String, String)], size: &[(String, usize)]) -> Result<(), Failure> {
    expect_once(set, size)?;
    let (arguments, dimensions) = (set.iter().map(|(n, _)| n.as_str()), size.iter().map(|(n, _)| n.as_str()));
    // errors of the source are not usage errors; unknown names are
    inspect::Settable::of(model)?.check(arguments, dimensions).map_err(Failure::usage)
}

/// Reads a text file that the user named.
fn read_text(path: &Path) -> Result<String, Error> {
    inspect::read_text(path)
}

/// Writes a file that the user named.
fn write_file(path: &Path, content: &[u8]) -> Result<(), Error> {
    inspect::write_file(path, content)
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    if name.is_empty() { Err("the name is missing".to_owned()) } else { Ok((name.to_owned(), value.to_owned())) }
}

fn size(text: &str) -> Result<(String, usize), String> {
    let (name, value) = assignment(text)?;
    let size = value.parse().map_err(|_| format!("`{value}` is not a size"))?;
    if size == 0 { Err("a size is at least 1".to_owned()) } else { Ok((name, size)) }
}

/// A positive count.
fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(n) if n < inspect::MAX_COUNT => Ok(n),
        Ok(_) => Err("is too large".to_owned()),
        Err(_) => Err("expected a whole number".to_owned()),
    }
}

/// Why a verb failed, with its exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The error to report.
    pub error: dlc::Error,
}

impl Failure {
    /// A mistake on the command line.
    pub fn usage(error: dlc::Error) -> Self {
        Failure { exit: Exit::Usage, error }
    }
}

impl From<dlc::Error> for Failure {
    fn from(error: dlc::Error) -> Self {
        // only the command line can name a target
        let exit = if matches!(error.code(), "unknown-target" | "wrong-target") { Exit::Usage } else { Exit::Wrong };
        Failure { exit, error }
    }
}

/// Runs the command line of the process.
pub fn main() -> ExitCode {
    exit::report_panics();
    let cli = Cli::try_parse().unwrap_or_else(|error| usage::end(&error));
    let mut output = Output::new(cli.json, cli.color);
    let exit = match cli.verb.run(&mut output) {
        // requested output was lost
        Ok(Exit::Done) if output.is_lost() => Exit::Wrong,
        Ok(exit) => exit,
        Err(failure) => {
            output.failure(&failure);
            failure.exit
        }
    };
    exit.into()
}
