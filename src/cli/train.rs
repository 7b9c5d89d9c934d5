//! `dlc train`: trains a model by its `train` section.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::Args;
use dlc::artefact::Artefact;
use dlc::runtime::train::{Event, Scores, TrainError};
use dlc::{Compiler, Error, Tensors, TrainOverrides, Training, What, tools};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Exit, Failure, ModelArguments, Output, digits, table};

/// Arguments of `dlc train`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Examples of a step
    #[arg(long, value_name = "N", value_parser = super::count)]
    batch: Option<usize>,
    /// Times through the data
    #[arg(long, value_name = "N", value_parser = super::count)]
    epochs: Option<usize>,
    /// What random draws follow from
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Threads, at most a few for each processor; they never change a result
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Where checkpoints, the best weights and the history go; runs/MODEL-N by default
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Go on from the latest checkpoint of the folder
    #[arg(long, requires = "folder")]
    resume: bool,
    /// Steps between checkpoints within an epoch
    #[arg(long, value_name = "N")]
    checkpoint_steps: Option<u64>,
    /// Where the artefact goes; beside the model by default
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let model = arguments.model.open()?;
    let compiler = arguments.threads.map_or_else(Compiler::new, |n| Compiler::new().threads(n));
    let folder = match &arguments.folder {
        Some(folder) => folder.clone(),
        None => fresh_folder(&arguments.model.stem())?,
    };
    let overrides = TrainOverrides {
        batch: arguments.batch,
        epochs: arguments.epochs,
        seed: arguments.seed,
        folder: Some(folder.clone()),
        checkpoint_steps: arguments.checkpoint_steps,
        resume: arguments.resume,
    };
    let mut training = Training::new(&model, &compiler, &overrides)?;
    announce(&training, output);
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    // a second handler cannot be set; then Ctrl-C kills, which a checkpoint survives as well
    let _ = ctrlc::set_handler(move || raised.store(true, Ordering::Relaxed));
    let start = Instant::now();
    let mut progress = Progress::new(output.is_live(), training.settings().steps);
    let summary = training.run(stop, &mut |event| progress.tell(event, output));
    progress.finish();
    let summary = summary.map_err(|error| Failure {
        exit: if matches!(error, TrainError::NotFinite { .. }) { Exit::Diverged } else { Exit::Wrong },
        error: training.explain(error),
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let test = if summary.interrupted { None } else { training.test()? };
    if let Some(report) = &summary.last {
        let test = test.as_ref().map_or(String::new(), |t| format!("   test: {}", scores(t)));
        output.line(format!("{:>3}/{} {}{test}   {seconds:.1} s", report.epoch, report.epoch, scores(&report.train)));
    }
    let artefact_path = arguments.output.clone().unwrap_or_else(|| arguments.model.file.with_extension("dlx"));
    if !summary.interrupted {
        for line in digits::sample(&training)? {
            output.line(line);
        }
        write_artefact(&training, &compiler, &artefact_path, arguments)?;
        output.line(format!("wrote {}, {}/", artefact_path.display(), folder.display()));
    }
    let last = json!({
        "v": 1,
        "event": "end",
        "interrupted": summary.interrupted,
        "epoch": summary.epoch,
        "step": summary.step,
        "seconds": seconds,
        "train": summary.last.as_ref().map(|r| score_json(&r.train)),
        "validation": summary.last.as_ref().and_then(|r| r.validation.as_ref()).map(score_json),
        "test": test.as_ref().map(score_json),
        "artefact": artefact_path,
        "folder": folder,
    });
    output.object(&last);
    Ok(if summary.interrupted { Exit::Interrupted } else { Exit::Done })
}

fn announce(training: &Training, output: &mut Output) {
    let timings = training.timings();
    let stages: Vec<String> = timings.stages.iter().map(|(name, ms)| format!("{name} {ms:.1}")).collect();
    let (learn, held_out, test) = training.examples();
    let part = |n: usize, what: &str| if n > 0 { format!(", {} {what}", table::count(n)) } else { String::new() };
    output.line(format!("compiled in {:.1} ms ({})", timings.total(), stages.join(", ")));
    output.line(format!(
        "{} examples{}{}",
        table::count(learn),
        part(held_out, "for the validation"),
        part(test, "for the test")
    ));
    let ms: serde_json::Map<String, serde_json::Value> =
        timings.stages.iter().map(|(n, ms)| ((*n).to_owned(), (*ms).into())).collect();
    output.object(&json!({
        "v": 1, "event": "compiled", "ms": ms, "total_ms": timings.total(),
        "examples": { "train": learn, "validation": held_out, "test": test },
    }));
}

fn write_artefact(
    training: &Training,
    compiler: &Compiler,
    path: &std::path::Path,
    arguments: &Arguments,
) -> Result<(), Error> {
    let model = training.model();
    let request = arguments.model.request(model, What::Infer, compiler)?;
    let (program, _) = tools::build(compiler, model, &request)?;
    let weights: Tensors = training.weights();
    let artefact = Artefact::of(model, weights, &[(&request, &program)], &tools::target_name(compiler)?);
    artefact.write(path).map_err(Error::from)
}

/// `runs/model-1`, or the next number that is free.
fn fresh_folder(name: &str) -> Result<PathBuf, Error> {
    let folder = (1..).map(|n| PathBuf::from("runs").join(format!("{name}-{n}"))).find(|f| !f.exists());
    let folder = folder.unwrap_or_else(|| PathBuf::from("runs").join(name));
    std::fs::create_dir_all(&folder)
        .map_err(|e| Error::plain("cannot-write", format!("{} cannot be made: {e}", folder.display())))?;
    Ok(folder)
}

/// Loss and metrics in words; shares as per cent.
pub fn scores(scores: &Scores) -> String {
    let metric = |(name, value): (&String, &f64)| match name.as_str() {
        "accuracy" => format!("{name} {:.1} %", value * 100.0),
        _ => format!("{name} {value:.4}"),
    };
    let metrics: Vec<String> = scores.metrics.iter().map(metric).collect();
    [vec![format!("loss {:.4}", scores.loss)], metrics].concat().join("  ")
}

/// Loss and metrics for machines.
pub fn score_json(scores: &Scores) -> serde_json::Value {
    json!({ "loss": scores.loss, "metrics": scores.metrics })
}

/// The bar, or a line an epoch where nobody watches.
struct Progress {
    live: bool,
    bar: Option<ProgressBar>,
    /// Steps in all, where the section says those and not epochs.
    steps: Option<u64>,
    /// Epochs in all, the one included that the last step ends within.
    epochs: u64,
}

impl Progress {
    fn new(live: bool, steps: Option<usize>) -> Self {
        Progress { live, bar: None, steps: steps.map(|n| n as u64), epochs: 0 }
    }

    fn tell(&mut self, event: &Event<'_>, output: &mut Output) {
        match event {
            Event::Start { step, epochs, steps_per_epoch, from, .. } => {
                let total = self.steps.unwrap_or_else(|| epochs.unwrap_or(0).saturating_mul(*steps_per_epoch));
                self.epochs = total.div_ceil(*steps_per_epoch);
                if let Some(from) = from {
                    output.line(format!("going on from {}", from.display()));
                }
                if self.live {
                    let bar = ProgressBar::new(total);
                    let style = "{prefix:>7} {bar:30.cyan/dim} {msg}  {eta}";
                    bar.set_style(ProgressStyle::with_template(style).expect("a constant").progress_chars("━╸─"));
                    bar.set_position(*step);
                    self.bar = Some(bar);
                }
            }
            Event::Skipped(error) => output.line(format!("skipped a checkpoint: {error}")),
            Event::Step { epoch, step, loss, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(*step);
                    bar.set_prefix(format!("{epoch}/{}", self.epochs));
                    if step % 16 == 0 {
                        bar.set_message(format!("loss {loss:.4}"));
                    }
                }
            }
            Event::Epoch(report) => {
                let validation = report.validation.as_ref().map_or(String::new(), |v| format!("   validation: {}", scores(v)));
                let speed = table::count(report.examples_per_second.round() as usize);
                let line = format!("{:>3}/{} {}{validation}   {speed}/s", report.epoch, self.epochs, scores(&report.train));
                match &self.bar {
                    Some(bar) => bar.set_message(format!("{}  {speed}/s", scores(&report.train))),
                    None => output.line(line),
                }
                output.object(&json!({
                    "v": 1, "event": "epoch", "epoch": report.epoch, "step": report.step, "whole": report.whole,
                    "loss": report.train.loss, "metrics": report.train.metrics,
                    "validation": report.validation.as_ref().map(score_json),
                    "best": report.best, "examples_per_s": report.examples_per_second,
                }));
            }
            _ => {}
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
