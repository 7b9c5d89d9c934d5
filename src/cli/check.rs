//! `dlc check`: is the model right?

use std::time::Instant;

use clap::Args;
use dlc::{Compiler, Error, Model, What, tools};
use serde_json::json;

use super::{Exit, Failure, MathArguments, ModelArguments, ModelSettings, Output, table};

/// How many models are told of.
const TOLD: usize = 5;

/// Arguments of `dlc check`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    math: MathArguments,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let start = Instant::now();
    let compiler = arguments.math.compiler();
    let models = arguments.model.settings.open_all(&arguments.model.file)?;
    let (mut checked, mut faults) = (vec![], vec![]);
    for (model, settings) in &models {
        match check(model, settings, &compiler) {
            Ok(found) => checked.push(found),
            Err(error) => faults.push(error),
        }
    }
    if let Some(error) = Error::all(faults) {
        return Err(error.into());
    }
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let file = arguments.model.file.display();
    let told = checked.iter().take(TOLD).map(|(name, weights)| format!("{name}, {} weights", table::count(*weights)));
    let more = checked.len().saturating_sub(TOLD);
    let more = if more > 0 { format!("; and {more} more models") } else { String::new() };
    output.line(format!("{file} is fine: {}{more}   ({ms:.0} ms)", told.collect::<Vec<_>>().join("; ")));
    // the one that other verbs take stands for itself
    let taken = if models.len() > 1 { tools::default_model(&models[0].0).ok() } else { None };
    let first = checked.iter().find(|(name, _)| Some(name) == taken.as_ref()).unwrap_or(&checked[0]);
    let all: Vec<_> = checked.iter().map(|(name, weights)| json!({ "model": name, "weights": weights })).collect();
    output
        .object(&json!({ "v": 1, "ok": true, "model": first.0, "weights": first.1, "models": all, "diagnostics": [] }));
    Ok(Exit::Done)
}

/// Checks a model and how it is trained: its name, and how many numbers its weights are.
fn check(model: &Model, settings: &ModelSettings, compiler: &Compiler) -> Result<(String, usize), Error> {
    let request = settings.request(model, What::Infer, compiler)?;
    let details = tools::describe(model, &request)?;
    if tools::trains(model)? {
        tools::check_training(compiler, model, &settings.size)?;
    }
    // No other program has the first values.
    let request = settings.request(model, What::Init, compiler)?;
    tools::lower(model, &request)?;
    let weights = details.weights.iter().filter(|w| !w.is_state).map(|w| w.ty.shape.elements()).sum();
    Ok((details.graph.entry().name.as_str().to_owned(), weights))
}
