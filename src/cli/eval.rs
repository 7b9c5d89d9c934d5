//! `dlc eval`: loss and metrics of a trained model.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use dlc::Error;
use dlc::artefact::Artefact;
use serde_json::json;

use super::train::{score_json, scores};
use super::{Exit, Failure, MathArguments, Output, table};

/// Arguments of `dlc eval`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A trained model (.dlx)
    file: PathBuf,
    /// The data of the `train` section to use
    #[arg(long, default_value = "test", value_parser = ["train", "test"])]
    data: String,
    #[command(flatten)]
    math: MathArguments,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let start = Instant::now();
    let artefact = Artefact::read(&arguments.file).map_err(Error::from)?;
    let (result, count) = dlc::tools::evaluate(&artefact, &arguments.math.compiler(), arguments.data == "test")?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    output.line(format!("{}   {} examples   {ms:.0} ms", scores(&result), table::count(count)));
    output.object(&json!({ "v": 1, "data": arguments.data, "examples": count, "scores": score_json(&result) }));
    Ok(Exit::Done)
}
