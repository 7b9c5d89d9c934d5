//! `dlc verify`: compares compiled values with the reference interpreter.

use clap::Args;
use dlc::inspect;
use serde_json::json;

use super::{Exit, Failure, MathArguments, ModeArguments, ModelArguments, Output, table};

/// Arguments of `dlc verify`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    mode: ModeArguments,
    /// The seed of the weights and inputs, which are drawn several times
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    math: MathArguments,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let compiler = arguments.math.compiler();
    let model = arguments.model.open()?;
    let request = arguments.model.request(&model, arguments.mode.mode(&arguments.model.settings), &compiler)?;
    let values = inspect::verify(&compiler, &model, &request, arguments.seed)?;
    let bad = values.iter().filter(|v| v.is_wrong()).count();
    let worst = values.iter().max_by(|a, b| a.fraction().total_cmp(&b.fraction()));
    let span = |v: &inspect::Deviation| v.from.as_deref().map_or(String::new(), |f| format!(" from {f}"));
    for value in values.iter().filter(|v| v.is_wrong()) {
        let off = format!("off by {:.3e}, allowed {:.3e}", value.largest, value.allowed);
        output.line(table::wrapped("", &[format!("{}{}:", value.value, span(value)), off]));
    }
    if bad == 0 {
        let fraction =
            |w: &inspect::Deviation| format!("; the worst, {} of what rounding allows:", table::percent(w.fraction()));
        output.line(format!("{} values within tolerance{}", values.len(), worst.map_or(String::new(), fraction)));
        if let Some(worst) = worst {
            output.line(table::wrapped(" ", &[format!("{}{}", worst.value, span(worst))]));
        }
    }
    output.object(&json!({ "v": 1, "ok": bad == 0, "values": values }));
    Ok(if bad == 0 { Exit::Done } else { Exit::CheckFailed })
}
