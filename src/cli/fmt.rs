//! `dlc fmt`: formats models, and converts between the language and RON.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dlc::{Error, Form};

use super::{Exit, Failure, Output, read_text, write_file};

/// Arguments of `dlc fmt`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Model files (.dl or .ron), or folders, whose models are all formatted [default: the current folder]
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
    let (files, left) = files(&arguments.files)?;
    for path in &left {
        output.line(format!("{} is not a model; left unchanged", path.display()));
    }
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
        output.object(&serde_json::json!({ "v": 1, "changed": changed, "files": files.len(), "left": left }));
    }
    Ok(if arguments.check && !changed.is_empty() { Exit::CheckFailed } else { Exit::Done })
}

/// The named files and the models in the named folders; and the other files of these folders with the extension of a model.
fn files(named: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Error> {
    let here = [PathBuf::from(".")];
    let (mut files, mut left) = (vec![], vec![]);
    for path in if named.is_empty() { &here[..] } else { named } {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let (models, others): (Vec<_>, Vec<_>) = candidates(path)?.into_iter().partition(|path| is_model(path));
        files.extend(models);
        left.extend(others);
    }
    Ok((files, left))
}

/// The files of a folder with the extension of a model.
fn candidates(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder)
        .map_err(|e| Error::plain("missing-file", format!("{} cannot be read: {e}", folder.display())))?;
    let named = |p: &PathBuf| p.extension().is_some_and(|e| e == "dl" || e == "ron") && p.is_file();
    let plain = |path: PathBuf| path.strip_prefix(".").map_or(path.clone(), Path::to_owned);
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(named).map(plain).collect();
    files.sort();
    Ok(files)
}

/// Whether a file is a model, with or without errors: a .ron file may be of another program.
fn is_model(path: &Path) -> bool {
    match path.extension() {
        Some(ending) if ending == "ron" => read_text(path).is_ok_and(|text| dlc::is_ron_model(&text)),
        _ => true,
    }
}
