//! `dlc explain`: the provenance of a node, an error code, a name of the library, or a setting.

use std::path::Path;

use clap::Args;
use dlc::inspect::SettingDoc;
use dlc::{Error, inspect};

use super::{Exit, Failure, MathArguments, ModeArguments, ModelSettings, Output, table};

/// Arguments of `dlc explain`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// An error code, a name of the library such as conv2d, `train` or one of its settings, or a model file
    subject: String,
    /// A node of the optimised graph: %1, or @block %1, or @kernel
    #[arg(num_args = 0..=2)]
    node: Vec<String>,
    #[command(flatten)]
    mode: ModeArguments,
    #[command(flatten)]
    settings: ModelSettings,
    #[command(flatten)]
    math: MathArguments,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let Arguments { subject, node, mode, settings, math } = arguments;
    if let Some(entry) = inspect::explain_code(subject) {
        output.line(format!("{}\n\n{}\n\nfor example\n    {}", entry.code, entry.explanation, entry.example));
        output.object(&serde_json::json!({ "v": 1, "code": entry.code, "explanation": entry.explanation, "example": entry.example }));
        return Ok(Exit::Done);
    }
    if let Some(entry) = inspect::library_entry(subject) {
        output.line(format!(
            "{}\n\n{}\n\n{}, of the library's part `{}`",
            entry.signature, entry.doc, entry.kind, entry.family
        ));
        output.object(&serde_json::json!({ "v": 1, "name": entry.name, "kind": entry.kind, "signature": entry.signature, "doc": entry.doc }));
        return Ok(Exit::Done);
    }
    let settings_of_train: Vec<&SettingDoc> =
        inspect::train_settings().iter().filter(|setting| subject == "train" || subject == setting.name).collect();
    if !settings_of_train.is_empty() {
        let width = settings_of_train.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
        for SettingDoc { name, doc, values, default, example } in &settings_of_train {
            output.line(table::wrapped(&format!("{name:<width$} "), &[(*doc).to_owned()]));
            for (what, text) in [("values", values), ("default", default), ("example", example)] {
                output.line(table::wrapped(&format!("{:<width$}   {what:<8}", ""), &[(*text).to_owned()]));
            }
        }
        let settings = settings_of_train.iter().map(|setting| {
            let SettingDoc { name, doc, values, default, example } = setting;
            serde_json::json!({ "name": name, "doc": doc, "values": values, "default": default, "example": example })
        });
        output.object(&serde_json::json!({ "v": 1, "settings": settings.collect::<Vec<_>>() }));
        return Ok(Exit::Done);
    }
    if !Path::new(subject).exists() {
        let message = format!("`{subject}` is neither an error code, nor a name of the library, nor a file");
        let error = Error::plain("unknown-name", message);
        return Err(Failure::usage(match inspect::explainable_like(subject) {
            Some(meant) => error.help(format!("do you mean `{meant}`?")),
            None => error,
        }));
    }
    let compiler = math.compiler();
    let model = settings.open(Path::new(subject))?;
    let request = settings.request(&model, mode.mode(settings), &compiler)?;
    let node = Some(node.join(" ")).filter(|node| !node.is_empty());
    let provenance = inspect::explain(&compiler, &model, &request, node.as_deref())?;
    output.line(provenance.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    output.object(&serde_json::json!({ "v": 1, "nodes": provenance }));
    Ok(Exit::Done)
}
