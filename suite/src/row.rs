//! What is known of a workload after its run: an object of JSON, or a line for people.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// The deviation from the reference, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Deviation {
    /// In the unit of the workload's tolerance.
    Number(f64),
    /// Infinite, not computed, or not compared.
    Reason(String),
}

impl From<f64> for Deviation {
    /// JSON has no infinity.
    fn from(deviation: f64) -> Self {
        if deviation.is_finite() {
            Deviation::Number(deviation)
        } else {
            Deviation::Reason("the result is not finite, or has another size".to_owned())
        }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Deviation::Number(deviation) => write!(f, "{deviation:.1e}"),
            Deviation::Reason(reason) => f.write_str(reason),
        }
    }
}

/// A workload's figures. A row whose result is not known to be right has no times of calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// Its name.
    pub workload: String,
    /// What ran it: `dlc`, or another system.
    pub peer: String,
    /// The system's version.
    pub version: String,
    /// The instruction set, as it was asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// Threads and cores.
    pub threads: usize,
    /// Whether the result is right; unknown without a reference.
    pub ok: Option<bool>,
    /// The deviation from the reference, or why there is none.
    pub err: Option<Deviation>,
    /// Seconds to read the weights and the model.
    pub load_s: Option<f64>,
    /// Seconds from there to the first result, compilation included.
    pub first_s: Option<f64>,
    /// Seconds to the first result altogether.
    pub ttfr_s: Option<f64>,
    /// Milliseconds of a call.
    pub median_ms: Option<f64>,
    /// Milliseconds of the fastest call.
    pub min_ms: Option<f64>,
    /// Milliseconds that nine tenths of the calls stay below.
    pub p90_ms: Option<f64>,
    /// Samples.
    pub n: usize,
    /// Calls that a sample is the mean of.
    pub calls_per_sample: usize,
    /// Milliseconds to read a prompt, for a generated text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill_ms: Option<f64>,
    /// 10⁹ operations in products and convolutions a second, in the fastest call of an inference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gflops_best: Option<f64>,
    /// Processor time by elapsed time; well below what is usual for the workload if something else had the cores.
    pub cpu_util: Option<f64>,
    /// How often a core was given to another process while timing.
    pub nivcsw: Option<i64>,
    /// The largest resident memory, in MiB: of the process until its results were there, of the timed calls, and of both.
    pub rss_load_mb: Option<f64>,
    /// See `rss_load_mb`.
    pub rss_steady_mb: Option<f64>,
    /// See `rss_load_mb`.
    pub rss_peak_mb: Option<f64>,
}

impl Row {
    /// A row of dlc without figures.
    pub fn new(workload: &str, Settings { threads, target, .. }: &Settings) -> Self {
        let (workload, peer, version) = (workload.to_owned(), "dlc".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        Row { workload, peer, version, target: target.clone(), threads: *threads, ..Row::default() }
    }

    /// The row of a workload that did not run.
    pub fn failed(workload: &str, settings: &Settings, why: impl Into<String>) -> Self {
        Row { ok: Some(false), err: Some(Deviation::Reason(why.into())), ..Row::new(workload, settings) }
    }

    /// The headings of [`Row`]'s line for people.
    pub fn headings() -> String {
        format!(
            "{:<21} {:<9} {:>10} {:>10} {:>10} {:>7} {:>7} {:>8} {:>8}  deviation",
            "workload", "", "median ms", "min ms", "p90 ms", "load s", "first s", "RSS MB", "GFLOP/s"
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: Option<f64>, digits: usize| value.map_or(String::new(), |v| format!("{v:.digits$}"));
        let ms = |value: Option<f64>| number(value, if value.is_some_and(|ms| ms < 1.0) { 4 } else { 2 });
        let right = match self.ok {
            Some(true) => "right",
            Some(false) => "WRONG",
            None => "unchecked",
        };
        write!(
            f,
            "{:<21} {right:<9} {:>10} {:>10} {:>10} {:>7} {:>7} {:>8} {:>8}  {}",
            self.workload,
            ms(self.median_ms),
            ms(self.min_ms),
            ms(self.p90_ms),
            number(self.load_s, 2),
            number(self.first_s, 2),
            number(self.rss_peak_mb, 0),
            number(self.gflops_best, 1),
            self.err.as_ref().map(ToString::to_string).unwrap_or_default()
        )?;
        self.prefill_ms.map_or(Ok(()), |ms| write!(f, "  (prompt {ms:.1} ms)"))
    }
}
