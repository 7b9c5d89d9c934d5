//! `dlc check`: reports errors and warnings of a model.

use std::time::Instant;

use clap::Args;
use dlc::{Compiler, Error, Mode, Model, Warnings, inspect};
use serde_json::json;

use super::{Exit, Failure, MathArguments, ModelArguments, ModelSettings, Output, table};

/// How many models and trainings are listed.
const LISTED: usize = 5;

/// Arguments of `dlc check`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    math: MathArguments,
    /// Exit with 3 if there is a warning
    #[arg(long)]
    deny_warnings: bool,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let start = Instant::now();
    let compiler = arguments.math.compiler();
    arguments.model.settings.expect_name_of_training()?;
    let models = arguments.model.settings.open_all(&arguments.model.file)?;
    let (mut checked, mut errors) = (vec![], vec![]);
    let mut warnings = models.first().map_or_else(Warnings::default, |(model, _)| model.warnings());
    for (model, settings) in &models {
        match check(model, settings, &compiler) {
            Ok((one, more)) => {
                checked.push(one);
                warnings = warnings.and(more);
            }
            Err(error) => errors.push(error),
        }
    }
    if let Some(error) = Error::all(errors) {
        return Err(error.into());
    }
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let file = arguments.model.file.display();
    let listed = checked.iter().take(LISTED).map(Checked::text);
    let more = checked.len().saturating_sub(LISTED);
    let more = if more > 0 { format!("; and {more} more models") } else { String::new() };
    let (denied, count) = (arguments.deny_warnings && !warnings.is_empty(), warnings.len());
    let counted = format!("{count} warning{}", if count == 1 { "" } else { "s" });
    output.warnings(&warnings);
    if denied {
        output.line(format!("{file} has {counted}, denied by --deny-warnings"));
    } else {
        let counted = if warnings.is_empty() { String::new() } else { format!("; {counted}") };
        output.line(format!("{file} is fine: {}{more}{counted}   ({ms:.0} ms)", listed.collect::<Vec<_>>().join("; ")));
    }
    // the model that other verbs would choose, for readers of a single one
    let taken = if models.len() > 1 { inspect::default_model(&models[0].0).ok() } else { None };
    let first = checked.iter().find(|one| Some(&one.model) == taken.as_ref()).unwrap_or(&checked[0]);
    let all: Vec<_> = checked.iter().map(Checked::json).collect();
    let mut object = json!({
        "v": 1, "ok": !denied, "model": first.model, "weights": first.weights, "models": all, "diagnostics": warnings.to_json(),
    });
    if warnings.more() > 0 {
        object["more"] = warnings.more().into();
    }
    output.object(&object);
    Ok(if denied { Exit::CheckFailed } else { Exit::Done })
}

/// A model without errors, with one of its trainings.
struct Checked {
    model: String,
    training: Option<String>,
    /// The number of its parameters.
    weights: usize,
}

impl Checked {
    /// `resnet, 11,000 weights`; for a named training `finetune = resnet, …`.
    fn text(&self) -> String {
        let training = self.training.as_ref().filter(|name| **name != self.model);
        let training = training.map(|name| format!("{name} = ")).unwrap_or_default();
        format!("{training}{}, {} weights", self.model, table::count(self.weights))
    }

    fn json(&self) -> serde_json::Value {
        json!({ "model": self.model, "training": self.training, "weights": self.weights })
    }
}

/// Checks a model and its training; the warnings are those that depend on data.
fn check(model: &Model, settings: &ModelSettings, compiler: &Compiler) -> Result<(Checked, Warnings), Error> {
    let request = settings.request(model, Mode::Infer, compiler)?;
    let details = inspect::describe(model, &request)?;
    let warnings = match inspect::trains(model)? {
        true => inspect::check_training(compiler, model, &settings.size)?,
        false => Warnings::default(),
    };
    // Only this program computes the initial values.
    let request = settings.request(model, Mode::Init, compiler)?;
    inspect::lower(model, &request)?;
    let weights = details.weights.iter().filter(|w| !w.is_state).map(|w| w.ty.shape.elements()).sum();
    let (model, training) = (details.graph.entry().name.as_str().to_owned(), inspect::chosen_training(model)?);
    Ok((Checked { model, training, weights }, warnings))
}
