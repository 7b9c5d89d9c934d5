//! `dlc graph`: a picture of any stage.

use std::path::PathBuf;

use clap::Args;
use dlc::{Error, Stage, inspect};

use super::target::{Force, Kind};
use super::{Exit, Failure, MathArguments, ModeArguments, ModelArguments, Output, write_file};

/// Arguments of `dlc graph`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// The stage: ir, grad (of the training step, unless --mode names another program) or opt
    #[arg(long, default_value = "opt", value_parser = ["ir", "grad", "opt"])]
    stage: String,
    #[command(flatten)]
    mode: ModeArguments,
    /// Where to write: .svg or .dot
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    math: MathArguments,
    #[command(flatten)]
    force: Force,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let draw = match arguments.output.extension().and_then(|e| e.to_str()) {
        Some("svg") => dlc::draw::svg,
        Some("dot") => dlc::draw::dot,
        _ => return Err(Failure::usage(Error::plain("unknown-format", "the picture is a .svg or a .dot file"))),
    };
    let compiler = arguments.math.compiler();
    let model = arguments.model.open()?;
    arguments.force.expect_free_of(&arguments.output, Kind::Picture, &model)?;
    let stage = Stage::find(&arguments.stage).expect("clap has checked the name");
    let what = arguments.mode.of_stages(&arguments.model.settings, [stage]);
    let request = arguments.model.request(&model, what, &compiler)?;
    let graph = inspect::lower(&model, &request)?;
    if stage == Stage::Grad {
        super::expect_gradient(&graph, what)?;
    }
    let graph = inspect::stage_graph(&compiler, &model, graph, stage)?;
    write_file(&arguments.output, draw(&graph).as_bytes())?;
    let boxes = dlc::draw::boxes(&graph);
    output.line(format!("wrote {}: {boxes} boxes", arguments.output.display()));
    output.object(&serde_json::json!({ "v": 1, "file": arguments.output.display().to_string(), "boxes": boxes }));
    Ok(Exit::Done)
}
