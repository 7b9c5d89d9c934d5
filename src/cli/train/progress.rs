//! The progress of a training: a bar, lines of text, or JSON events.

use dlc::runtime::checkpoint::Length;
use dlc::runtime::train::{EpochReport, Event};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::super::{Output, table};
use super::{score_json, scores};

/// The validation scores as text, if there are any.
pub fn validation(report: &EpochReport) -> String {
    report.validation.as_ref().map_or(String::new(), |v| format!("validation: {}", scores(v)))
}

/// A progress bar, or a line per epoch if the output is not interactive.
pub struct Progress {
    live: bool,
    bar: Option<ProgressBar>,
    /// The total number of steps, if the section sets `steps` and not `epochs`.
    steps: Option<u64>,
    /// The total number of epochs, including one that the last step ends within.
    pub epochs: u64,
    /// The scores of the latest validation, as text.
    validation: String,
}

impl Progress {
    /// Shows a bar if `live`.
    pub fn new(live: bool, steps: Option<usize>) -> Self {
        Progress { live, bar: None, steps: steps.map(|n| n as u64), epochs: 0, validation: String::new() }
    }

    /// Reports an event.
    pub fn report(&mut self, event: &Event<'_>, output: &mut Output) {
        match event {
            Event::Start { step, epochs, steps_per_epoch, from, .. } => {
                let total = self.steps.unwrap_or_else(|| epochs.unwrap_or(0).saturating_mul(*steps_per_epoch));
                self.epochs = total.div_ceil(*steps_per_epoch);
                if let Some(from) = from {
                    output.line(format!("resuming from {}", from.display()));
                }
                if self.live {
                    let bar = ProgressBar::new(total);
                    // the message last, since validation scores continue on a second line
                    let style = "{prefix:>7} {bar:30.cyan/dim} {eta:>4}  {msg}";
                    bar.set_style(ProgressStyle::with_template(style).expect("a constant").progress_chars("━╸─"));
                    bar.set_position(*step);
                    self.bar = Some(bar);
                }
            }
            Event::FromScratch { folder } => {
                let folder = folder.display();
                output.line(format!("{folder} has no checkpoint yet; starting from the beginning"));
                output.object(&json!({ "v": 1, "event": "anew", "folder": folder.to_string() }));
            }
            Event::Length { was, is, scheduled, step } => {
                let steps = format!("; the schedule depends on it: the first {step} steps used the one for {was}");
                let schedule = if *scheduled { steps } else { String::new() };
                output.line(table::wrapped("", &[format!("resuming with {is}, was {was}{schedule}")]));
                let length = |l: &Length| json!({ "epochs": l.epochs, "steps": l.steps });
                output.object(&json!({
                    "v": 1, "event": "length", "was": length(was), "is": length(is), "scheduled": scheduled, "step": step,
                }));
            }
            Event::Skipped(error) => output.line(format!("skipped a checkpoint: {error}")),
            Event::Step { epoch, step, loss, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(*step);
                    bar.set_prefix(format!("{epoch}/{}", self.epochs));
                    if step % 16 == 0 {
                        bar.set_message(format!("loss {loss:.4}{}", self.validation));
                    }
                }
            }
            Event::Epoch(report) => {
                let validation = validation(report);
                let speed = format!("{}/s", table::count(report.examples_per_second.round() as usize));
                match &self.bar {
                    Some(bar) => {
                        let below = if validation.is_empty() { "" } else { "\n        " };
                        self.validation = format!("{below}{validation}");
                        bar.set_message(format!("{}  {speed}{}", scores(&report.train), self.validation));
                    }
                    None => {
                        let epoch = format!("{:>3}/{}", report.epoch, self.epochs);
                        let parts = [scores(&report.train), validation, speed];
                        let whole = table::wrapped(&epoch, &parts);
                        // one line per epoch: without the speed if it does not fit
                        let short = || table::wrapped(&epoch, &parts[..2]);
                        output.line(if whole.contains('\n') { short() } else { whole });
                    }
                }
                output.object(&json!({
                    "v": 1, "event": "epoch", "epoch": report.epoch, "step": report.step, "whole": report.whole,
                    "loss": report.train.loss, "metrics": super::score_json(&report.train)["metrics"],
                    "validation": report.validation.as_ref().map(score_json),
                    "best": report.best, "examples_per_s": report.examples_per_second,
                }));
            }
            Event::EarlyStop { epoch, patience, monitor, best } => {
                let epochs = if *patience == 1 { "epoch" } else { "epochs" };
                let score = monitor.column();
                let last = best.map_or_else(
                    || format!("{score} was not finite in any epoch"),
                    |best| format!("{score} was best in epoch {}: {:.4}", best.epoch, best.value),
                );
                let why = format!("stopped after epoch {epoch}: no improvement for {patience} {epochs}; {last}");
                output.line(table::wrapped("", &[why]));
                output.object(&json!({
                    "v": 1, "event": "early_stop", "epoch": epoch, "patience": patience, "score": score,
                    "best": best.map(|best| json!({ "epoch": best.epoch, "value": best.value })),
                }));
            }
            _ => {}
        }
    }

    /// Removes the bar.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
