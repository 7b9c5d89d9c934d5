//! `dlc fmt`: the one formatting, and the other form.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dlc::{Error, Form};

use super::{Exit, Failure, Output, read_text, write_file};

/// Arguments of `dlc fmt`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Model files: .dl or .ron; by default every one of this folder
    files: Vec<PathBuf>,
    /// Change nothing; exit with 3 if something would change
    #[arg(long)]
    check: bool,
    /// Print the model in the other form instead
    #[arg(long, value_enum, value_name = "FORM", conflicts_with = "check")]
    to: Option<To>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum To {
    Dl,
    Ron,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let files = if arguments.files.is_empty() { model_files(Path::new("."))? } else { arguments.files.clone() };
    let mut changed = vec![];
    for path in &files {
        let text = read_text(path)?;
        let name = path.display().to_string();
        if let Some(to) = arguments.to {
            let form = match to {
                To::Dl => Form::Dl,
                To::Ron => Form::Ron,
            };
            let text = dlc::convert(&name, &text, form)?;
            if output.is_json() {
                output.object(&serde_json::json!({ "v": 1, "file": name, "text": text }));
            } else {
                output.raw(&text);
            }
            continue;
        }
        let formatted = dlc::format(&name, &text)?;
        if formatted == text {
            continue;
        }
        if arguments.check {
            let line = text.lines().zip(formatted.lines()).take_while(|(a, b)| a == b).count() + 1;
            output.line(format!("{name}:{line} would change; run `dlc fmt`"));
        } else {
            write_file(path, formatted.as_bytes())?;
            output.line(format!("formatted {name}"));
        }
        changed.push(name);
    }
    if arguments.to.is_none() {
        output.object(&serde_json::json!({ "v": 1, "changed": changed, "files": files.len() }));
    }
    Ok(if arguments.check && !changed.is_empty() { Exit::CheckFailed } else { Exit::Done })
}

fn model_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder)
        .map_err(|e| Error::plain("missing-file", format!("{} cannot be read: {e}", folder.display())))?;
    let is_model = |p: &PathBuf| p.extension().is_some_and(|e| e == "dl" || e == "ron");
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(is_model).collect();
    files.sort();
    Ok(files)
}
