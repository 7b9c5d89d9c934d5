//! LeNet's training beside another process that keeps one core busy, and alone.

use dlc::bench::timing::quantile;
use serde::Serialize;

use crate::Outcome;
use crate::children::{Busy, run};
use crate::row::Row;
use crate::settings::Settings;
use crate::workload::Workload;

/// Pairs of runs. They alternate, so that a disturbance of the machine affects both.
const PAIRS: usize = 3;
/// How much longer the training may take.
pub const ALLOWED: f64 = 2.0;

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Contention {
    /// What was trained.
    pub workload: &'static str,
    /// Threads of the training.
    pub threads: usize,
    /// Milliseconds of a step alone: the median of the runs' medians.
    pub alone_ms: f64,
    /// The same beside a busy process.
    pub beside_ms: f64,
    /// The second by the first.
    pub ratio: f64,
}

/// Measures it.
///
/// # Errors
/// If the training does not run, or is wrong.
pub fn measure(settings: &Settings) -> Outcome<Contention> {
    let workload = Workload::named("lenet_train").ok_or("there is no such workload")?;
    let median = |row: Row| -> Outcome<f64> {
        row.median_ms.ok_or_else(|| row.err.map_or("no time".to_owned(), |err| err.to_string()).into())
    };
    let (mut alone, mut beside) = (vec![], vec![]);
    for _ in 0..PAIRS {
        alone.push(median(run(workload, settings))?);
        let busy = Busy::start()?;
        beside.push(median(run(workload, settings))?);
        drop(busy);
    }
    let (alone_ms, beside_ms) = (quantile(&alone, 0.5), quantile(&beside, 0.5));
    let (workload, threads) = (workload.name, settings.threads);
    Ok(Contention { workload, threads, alone_ms, beside_ms, ratio: beside_ms / alone_ms })
}
