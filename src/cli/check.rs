//! `dlc check`: is the model right?

use std::time::Instant;

use clap::Args;
use dlc::{What, tools};

use super::{Exit, Failure, MathArguments, ModelArguments, Output, table};

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
    let model = arguments.model.open()?;
    let request = arguments.model.request(&model, What::Infer, &compiler)?;
    let details = tools::describe(&model, &request)?;
    if tools::trains(&model)? {
        tools::check_training(&compiler, &model, &arguments.model.settings.size)?;
    }
    // No other program has the first values.
    let request = arguments.model.request(&model, What::Init, &compiler)?;
    tools::lower(&model, &request)?;
    let weights: usize = details.weights.iter().filter(|w| !w.is_state).map(|w| w.ty.shape.elements()).sum();
    let name = details.graph.entry().name.as_str().to_owned();
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let file = arguments.model.file.display();
    output.line(format!("{file} is fine: {name}, {} weights   ({ms:.0} ms)", table::count(weights)));
    output.object(&serde_json::json!({ "v": 1, "ok": true, "model": name, "weights": weights, "diagnostics": [] }));
    Ok(Exit::Done)
}
