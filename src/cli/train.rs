//! `dlc train`: trains a model by its `train` section.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use dlc::artefact::Artefact;
use dlc::runtime::train::{Scores, Summary, Times, TrainError};
use dlc::{Compiler, Error, Kept, Mode, Model, Tensor, Tensors, TrainOverrides, Training, inspect};
use serde_json::json;

use super::target::{Force, Kind};
use super::{Exit, Failure, MathArguments, ModelArguments, Output, digits, rows, table};

mod folder;
mod interrupt;
mod progress;

use folder::Folder;
use interrupt::Interrupt;
use progress::{Progress, validation};

/// Arguments of `dlc train`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Examples per step
    #[arg(long, value_name = "N", value_parser = super::count)]
    batch: Option<usize>,
    /// Epochs to train for
    #[arg(long, value_name = "N", value_parser = super::count)]
    epochs: Option<usize>,
    /// The seed of random draws
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Threads, at most a few for each processor; they never change a result
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The folder for checkpoints, the best weights and the history [default: runs/NAME-N, where NAME is that of the training, or else of
    /// the file]. Those of an earlier training are replaced by the first new ones, unless --resume continues from them
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Resume from the latest checkpoint of --folder, also for more --epochs than before
    #[arg(long, requires = "folder")]
    resume: bool,
    /// Steps between checkpoints, besides those every few seconds and at the end
    #[arg(long, value_name = "N")]
    checkpoint_steps: Option<u64>,
    /// The artefact [default: beside the model, named like the folder]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    math: MathArguments,
    #[command(flatten)]
    force: Force,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    arguments.model.settings.expect_name_of_training()?;
    let model = arguments.model.open()?;
    let name = name_of(&model, arguments)?;
    let artefact =
        arguments.output.clone().unwrap_or_else(|| arguments.model.file.with_file_name(format!("{name}.dlx")));
    // to fail before hours of training, not after
    arguments.force.expect_free_of(&artefact, Kind::Artefact, &model)?;
    if let Some(folder) = &arguments.folder {
        arguments.force.expect_folder(folder, &model)?;
    }
    let folder = match &arguments.folder {
        Some(path) => Folder::named(path),
        None => Folder::fresh(&name)?,
    };
    let interrupt = Interrupt::listen();
    let unused = folder.clone();
    interrupt.end_with(move || unused.discard());
    let result = train(&model, arguments, folder.path().to_owned(), artefact, &interrupt, output);
    result.inspect_err(|_| folder.discard())
}

/// The base name of the files of the training: its own name, or else that of the file.
fn name_of(model: &Model, arguments: &Arguments) -> Result<String, Error> {
    let (training, trained) = (inspect::chosen_training(model)?, inspect::chosen_model(model)?);
    Ok(training.filter(|name| *name != trained).unwrap_or_else(|| arguments.model.stem()))
}

/// Trains, and reports the result.
fn train(
    model: &Model,
    arguments: &Arguments,
    folder: PathBuf,
    artefact: PathBuf,
    interrupt: &Interrupt,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let compiler =
        arguments.threads.map_or_else(|| arguments.math.compiler(), |n| arguments.math.compiler().threads(n));
    let overrides = TrainOverrides {
        batch: arguments.batch,
        epochs: arguments.epochs,
        seed: arguments.seed,
        folder: Some(folder.clone()),
        checkpoint_steps: arguments.checkpoint_steps,
        resume: arguments.resume,
    };
    let mut training = Training::new(model, &compiler, &overrides)?;
    announce(&training, output);
    let start = Instant::now();
    let mut progress = Progress::new(output.is_live(), training.settings().steps);
    let summary = training.run(interrupt.stop_flag(), &mut |event| progress.report(event, output));
    progress.finish();
    let summary = summary.map_err(|error| Failure {
        exit: if matches!(error, TrainError::NotFinite { .. }) { Exit::Diverged } else { Exit::Wrong },
        error: training.explain(error),
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let mut end = End { seconds, epochs: progress.epochs, folder, artefact, summary, kept: training.kept().cloned() };
    if end.summary.interrupted {
        end.interrupted(&training, arguments, output);
        return Ok(Exit::Interrupted);
    }
    // the artefact first, so that a later failure does not lose the training
    end.summary.times.writing += write_artefact(&training, &compiler, &end.artefact, arguments)?;
    // the rest only reports, so that an interruption loses nothing
    let (mut last_output, wrote, object) = (output.clone(), end.wrote(), end.json(None));
    let last = move || {
        last_output.line(wrote);
        last_output.object(&object);
    };
    interrupt.end_with(last.clone());
    if interrupt.is_requested() {
        last();
        return Ok(Exit::Interrupted);
    }
    end.finished(&training, output)?;
    Ok(Exit::Done)
}

/// The end of a training, and the paths of its results.
struct End {
    summary: Summary,
    /// Epochs in all.
    epochs: u64,
    seconds: f64,
    folder: PathBuf,
    artefact: PathBuf,
    /// Which weights the artefact has.
    kept: Option<Kept>,
}

impl End {
    /// Reports the test scores and the files that were written.
    fn finished(&self, training: &Training, output: &mut Output) -> Result<(), Failure> {
        let test = training.test().inspect_err(|_| output.line(self.wrote()))?;
        let tested = test.as_ref().map_or(String::new(), |t| format!("test: {}", scores(t)));
        let seconds = format!("{:.1} s", self.seconds);
        let times = self.times();
        output.line(match &self.summary.last {
            // the bar that showed it is gone
            Some(report) if output.is_live() => {
                let epoch = format!("{:>3}/{}", report.epoch, self.epochs);
                table::wrapped(&epoch, &[scores(&report.train), validation(report), tested, seconds, times])
            }
            Some(_) => table::wrapped("", &[tested, format!("trained in {seconds}"), times]),
            None => table::wrapped("", &[tested, "no steps were left to train".to_owned()]),
        });
        test.iter().flat_map(tables).for_each(|line| output.line(line));
        if !output.is_json() {
            match digits::sample(training) {
                Ok(lines) => lines.iter().for_each(|line| output.line(line)),
                // not an error: a model may take batches of one size only
                Err(error) => output.note(&format!("no predictions are shown: {}", first_message(&error))),
            }
        }
        output.line(self.wrote());
        output.object(&self.json(test.as_ref()));
        Ok(())
    }

    /// The breakdown of the time.
    fn times(&self) -> String {
        let Times { steps, validation, writing } = self.summary.times;
        let validated = self.summary.last.as_ref().is_some_and(|report| report.validation.is_some());
        let validation = if validated { format!("validation {validation:.2} s, ") } else { String::new() };
        format!("steps {steps:.2} s, {validation}writing {writing:.2} s")
    }

    /// Reports which weights the artefact has, and the files that were written.
    fn wrote(&self) -> String {
        let kept =
            self.kept.as_ref().map_or(String::new(), |kept| table::wrapped("", &[format!("kept {kept}")]) + "\n");
        format!("{kept}wrote {}, {}/", self.artefact.display(), self.folder.display())
    }

    /// Reports the position, the checkpoint, and the command that resumes.
    fn interrupted(&self, training: &Training, arguments: &Arguments, output: &mut Output) {
        let step = self.summary.step;
        let position = match training.settings().steps {
            Some(steps) => format!("step {step} of {steps}"),
            None => format!("epoch {} of {}, step {step}", self.summary.epoch + 1, self.epochs),
        };
        if let Some(report) = self.summary.last.as_ref().filter(|_| output.is_live()) {
            // the bar that showed it is gone
            let epoch = format!("{:>3}/{}", report.epoch, self.epochs);
            output.line(table::wrapped(&epoch, &[scores(&report.train), validation(report)]));
        }
        output.line(format!("interrupted in {position}; checkpoint in {}/", self.folder.display()));
        output.line(format!("resume with: {}", resume_command(arguments, &self.folder)));
        output.object(&self.json(None));
    }

    fn json(&self, test: Option<&Scores>) -> serde_json::Value {
        let Summary { epoch, step, interrupted, stopped_early, last, best, examples, times, .. } = &self.summary;
        json!({
            "v": 1,
            "event": "end",
            "interrupted": interrupted,
            "stopped_early": stopped_early,
            "epoch": epoch,
            "step": step,
            "seconds": self.seconds,
            "times": { "steps": times.steps, "validation": times.validation, "writing": times.writing },
            "examples": examples,
            "best": best.map(|best| json!({ "epoch": best.epoch, "value": best.value })),
            "train": last.as_ref().map(|r| score_json(&r.train)),
            "validation": last.as_ref().and_then(|r| r.validation.as_ref()).map(score_json),
            "test": test.map(score_json),
            "weights": self.kept.as_ref().filter(|_| !interrupted).map(Kept::json),
            "artefact": (!interrupted).then(|| self.artefact.display().to_string()),
            "folder": self.folder.display().to_string(),
        })
    }
}

/// The command line of this run, with what resumes it.
fn resume_command(arguments: &Arguments, folder: &Path) -> String {
    let quoted = |word: String| {
        let plain = |c: char| c.is_alphanumeric() || "-_./=:,@+%".contains(c);
        if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    let given = std::env::args_os().skip(1).map(|word| quoted(word.to_string_lossy().into_owned()));
    let mut words: Vec<String> = std::iter::once("dlc".to_owned()).chain(given).collect();
    if arguments.folder.is_none() {
        words.extend(["--folder".to_owned(), quoted(folder.display().to_string())]);
    }
    if !arguments.resume {
        words.push("--resume".to_owned());
    }
    words.join(" ")
}

/// The first message of an error, in one line.
fn first_message(error: &Error) -> String {
    error.diagnostics().first().map_or(String::new(), |d| d.message.lines().next().unwrap_or_default().to_owned())
}

fn announce(training: &Training, output: &mut Output) {
    let timings = training.timings();
    let stages: Vec<String> =
        timings.stages.iter().map(|(name, ms)| format!("{} {ms:.1}", table::stage(name))).collect();
    let (train, validation, test) = training.examples();
    let part = |n: usize, what: &str| if n > 0 { format!(", {} {what}", table::count(n)) } else { String::new() };
    output.line(format!("compiled in {:.1} ms ({})", timings.total(), stages.join(", ")));
    let remainder = training.remainder();
    output.line(format!(
        "{} examples{}{}",
        table::count(train),
        part(validation, "for validation"),
        part(test, "for testing")
    ));
    let left_out = training.left_out();
    let warnings = training.model().warnings().and(training.warnings().clone());
    output.warnings(&warnings);
    let ms: serde_json::Map<String, serde_json::Value> =
        timings.stages.iter().map(|(n, ms)| ((*n).to_owned(), (*ms).into())).collect();
    output.object(&json!({
        "v": 1, "event": "compiled", "training": training.settings().name, "ms": ms, "total_ms": timings.total(),
        "examples": { "train": train, "validation": validation, "test": test },
        "remainder": remainder.map(|(count, timings)| json!({ "examples": count, "total_ms": timings.total() })),
        "left_out": left_out.map(|(count, why)| json!({ "examples": count, "why": why })),
        "diagnostics": warnings.to_json(),
    }));
}

/// Writes the artefact; returns the seconds of writing, without compilation.
fn write_artefact(training: &Training, compiler: &Compiler, path: &Path, arguments: &Arguments) -> Result<f64, Error> {
    let model = training.model();
    let request = arguments.model.request(model, Mode::Infer, compiler)?;
    let (program, _) = inspect::build(compiler, model, &request)?;
    let weights: Tensors = training.weights();
    let mut artefact = Artefact::of(model, weights, &[(&request, &program)], &inspect::target_name(compiler)?);
    artefact.manifest.seed = Some(training.settings().seed);
    let start = Instant::now();
    artefact.write(path).map_err(Error::from)?;
    Ok(start.elapsed().as_secs_f64())
}

/// Loss and metrics as text; the accuracy in per cent.
pub fn scores(scores: &Scores) -> String {
    let metric = |(name, value): (&String, &f64)| match name.as_str() {
        "accuracy" => format!("{name} {:.1} %", value * 100.0),
        _ => format!("{name} {value:.4}"),
    };
    let metrics: Vec<String> = scores.metrics.iter().map(metric).collect();
    [vec![format!("loss {:.4}", scores.loss)], metrics].concat().join("  ")
}

/// Loss and metrics as JSON.
pub fn score_json(scores: &Scores) -> serde_json::Value {
    let numbers = scores.metrics.iter().map(|(name, value)| (name.clone(), json!(value)));
    let tables = scores.tables.iter().map(|(name, table)| (name.clone(), nested(table)));
    json!({ "loss": scores.loss, "metrics": numbers.chain(tables).collect::<serde_json::Map<_, _>>() })
}

/// A tensor as nested lists.
fn nested(tensor: &Tensor) -> serde_json::Value {
    fn within(shape: &[usize], elements: &[f64]) -> serde_json::Value {
        match shape {
            [] => json!(elements[0]),
            [_, inner @ ..] => {
                let size = inner.iter().product::<usize>();
                elements.chunks(size.max(1)).map(|part| within(inner, part)).collect()
            }
        }
    }
    within(tensor.shape(), &tensor.to_f64s())
}

/// The metrics that are tables, a line for each of their rows.
pub fn tables(scores: &Scores) -> Vec<String> {
    scores.tables.iter().flat_map(|(name, table)| rows::lines(name, table, "")).collect()
}
