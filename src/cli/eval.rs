//! `dlc eval`: loss and metrics of a trained model.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use dlc::Error;
use dlc::artefact::Artefact;
use dlc::inspect::Part;
use serde_json::json;

use super::train::{score_json, scores, tables};
use super::{Exit, Failure, MathArguments, Output, table};

/// Arguments of `dlc eval`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A trained model (.dlx)
    file: PathBuf,
    /// The examples to evaluate on: the training, validation or test data
    #[arg(long, default_value = "test")]
    data: Data,
    #[command(flatten)]
    math: MathArguments,
}

/// The parts of the data of a `train` section.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Data {
    Train,
    Validation,
    Test,
}

impl Data {
    fn part(self) -> Part {
        match self {
            Data::Train => Part::Train,
            Data::Validation => Part::Validation,
            Data::Test => Part::Test,
        }
    }
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let start = Instant::now();
    let artefact = Artefact::read(&arguments.file).map_err(Error::from)?;
    let part = arguments.data.part();
    let warnings = artefact.model()?.warnings();
    output.warnings(&warnings);
    let (result, count) = dlc::inspect::evaluate(&artefact, &arguments.math.compiler(), part)?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    output.line(format!("{}   {} examples   {ms:.0} ms", scores(&result), table::count(count)));
    tables(&result).into_iter().for_each(|line| output.line(line));
    output.object(&json!({
        "v": 1, "data": part.name(), "examples": count, "scores": score_json(&result), "diagnostics": warnings.to_json(),
    }));
    Ok(Exit::Done)
}
