//! `dlc explain`: which rules and which source lines made a node; or what an error code means.

use std::path::Path;

use clap::Args;
use dlc::{Compiler, Error, What, tools};

use super::{Exit, Failure, ModelArguments, Output};

/// Arguments of `dlc explain`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// An error code, or a model file
    subject: String,
    /// A node of the optimised graph: %1, or @block %1, or @kernel
    #[arg(num_args = 0..=2)]
    node: Vec<String>,
    /// Explain the training step instead of the model's outputs
    #[arg(long)]
    train: bool,
    /// Set a dimension: B=1
    #[arg(long = "size", value_name = "NAME=SIZE", value_parser = super::size)]
    size: Vec<(String, usize)>,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    if let Some(entry) = tools::explain_code(&arguments.subject) {
        output.line(format!("{}\n\n{}\n\nfor example\n    {}", entry.code, entry.explanation, entry.example));
        output.object(&serde_json::json!({ "v": 1, "code": entry.code, "explanation": entry.explanation, "example": entry.example }));
        return Ok(Exit::Done);
    }
    if !Path::new(&arguments.subject).exists() {
        let message = format!("`{}` is neither an error code nor a file", arguments.subject);
        return Err(Failure::usage(Error::plain("unknown-name", message)));
    }
    let compiler = Compiler::new();
    let model = ModelArguments::of(&arguments.subject, &arguments.size);
    let opened = model.open()?;
    let what = if arguments.train { What::Train } else { What::Infer };
    let request = model.request(&opened, what, &compiler)?;
    let node = Some(arguments.node.join(" ")).filter(|node| !node.is_empty());
    let story = tools::explain(&compiler, &opened, &request, node.as_deref())?;
    output.line(story.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    output.object(&serde_json::json!({ "v": 1, "nodes": story }));
    Ok(Exit::Done)
}
