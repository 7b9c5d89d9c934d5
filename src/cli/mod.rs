//! The command line: one file a verb. The only place of dlc that prints.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use dlc::{Compiler, DType, Error, Model, Request, What, tools};

mod digits;
mod exit;
mod output;
mod rows;
mod table;

pub use exit::Exit;
pub use output::Output;

/// Compiles, trains and runs deep-learning models written in a page of text.
#[derive(Parser, Debug)]
#[command(name = "dlc", version, about, max_term_width = 100, after_help = exit::TABLE)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Write JSON: one object, or one a line as things happen
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
    /// Begin a project: a model, its data, and how to go on
    init::Init,
    /// Say whether a model is right
    check::Check,
    /// Compile a model, show any stage, write an artefact
    compile::Compile,
    /// Train a model by its `train` section
    train::Train,
    /// Loss and metrics of a trained model
    eval::Eval,
    /// Outputs from inputs
    run::Run,
    /// Layers, shapes, weights, work and memory
    summary::Summary,
    /// Draw any stage
    graph::Graph,
    /// Say which rule and source line made a node, or what an error code means
    explain::Explain,
    /// Compare compiled numbers with the reference, value by value
    verify::Verify,
    /// Format model files, or convert between .dl and .ron
    fmt::Fmt,
    /// Run passes over a graph in the text form (.dlir)
    opt::Opt,
}

/// What every verb on a model takes.
#[derive(Args, Debug, Clone)]
pub struct ModelArguments {
    /// The model: .dl or .ron
    pub file: PathBuf,
    /// Set an argument of the model: hidden=256
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Set a dimension: B=1
    #[arg(long = "size", value_name = "NAME=SIZE", value_parser = size)]
    pub size: Vec<(String, usize)>,
    /// The floating-point type of the whole model
    #[arg(long, value_name = "DTYPE", default_value = "f32", value_parser = ["f32", "f64"])]
    pub float: String,
    /// The model's name, where the file has several
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
}

impl ModelArguments {
    /// The arguments that name a file and sizes only.
    pub fn of(file: &str, size: &[(String, usize)]) -> Self {
        ModelArguments { file: file.into(), set: vec![], size: size.to_vec(), float: "f32".to_owned(), model: None }
    }

    /// The model, with what is set.
    pub fn open(&self) -> Result<Model, Failure> {
        let mut model = Model::open(&self.file)?;
        if let Some(name) = &self.model {
            model = model.named(name);
            tools::Settable::of(&model).map_err(Failure::usage)?;
        }
        check_names(&model, &self.set, &self.size)?;
        for (name, value) in &self.set {
            model = tools::with_argument(model, name, value)?;
        }
        Ok(model.float(if self.float == "f64" { DType::F64 } else { DType::F32 })?)
    }

    /// What to make of the model, with the sizes that are given.
    pub fn request(&self, model: &Model, what: What, compiler: &Compiler) -> Result<Request, Error> {
        tools::request_for(model, what, &self.size, compiler)
    }

    /// The file's name without its ending.
    pub fn stem(&self) -> String {
        self.file.file_stem().map_or("model".to_owned(), |s| s.to_string_lossy().into_owned())
    }
}

/// Names on the command line that the model does not know make it wrong.
fn check_names(model: &Model, set: &[(String, String)], size: &[(String, usize)]) -> Result<(), Failure> {
    let (arguments, dimensions) = (set.iter().map(|(n, _)| n.as_str()), size.iter().map(|(n, _)| n.as_str()));
    // a model whose text is wrong is no fault of the command line, but a name that the text has not is
    tools::Settable::of(model)?.check(arguments, dimensions).map_err(Failure::usage)
}

/// Reads a text file that the user named.
fn read_text(path: &std::path::Path) -> Result<String, Error> {
    tools::read_text(path)
}

/// Writes a file that the user named.
fn write_file(path: &std::path::Path, content: &[u8]) -> Result<(), Error> {
    tools::write_file(path, content)
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

/// A number of something that there must be one of at least.
fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(n) if n < tools::MAX_COUNT => Ok(n),
        Ok(_) => Err("must be smaller".to_owned()),
        Err(_) => Err("expected a whole number".to_owned()),
    }
}

/// Why a verb did not do what was asked, with the exit code that says so.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What to tell the user.
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
        // a target is named on the command line only
        let exit = if error.code() == "unknown-target" { Exit::Usage } else { Exit::Wrong };
        Failure { exit, error }
    }
}

/// Runs the command line of the process.
pub fn main() -> ExitCode {
    exit::report_panics();
    let cli = Cli::parse();
    let mut output = Output::new(cli.json, cli.color);
    let exit = match cli.verb.run(&mut output) {
        Ok(exit) => exit,
        Err(failure) => {
            output.failure(&failure);
            failure.exit
        }
    };
    exit.into()
}
