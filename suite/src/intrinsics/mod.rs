//! Workloads written by hand with the intrinsics of x86-64's vectors, as the yardstick of what dlc compiles.

#[cfg(target_arch = "x86_64")]
mod beside;
#[cfg(target_arch = "x86_64")]
mod crew;
#[cfg(target_arch = "x86_64")]
mod hand;
#[cfg(target_arch = "x86_64")]
mod kernels;
#[cfg(target_arch = "x86_64")]
mod set;
#[cfg(target_arch = "x86_64")]
mod vector;

use serde::Serialize;

use crate::Outcome;
use crate::settings::Settings;
use crate::workload::Workload;

/// How often each of the two is timed. They alternate, so that a disturbance of the machine affects both.
const ROUNDS: usize = 10;

/// The times of a workload.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Its name.
    pub workload: &'static str,
    /// Threads of both.
    pub threads: usize,
    /// The instruction set that dlc was asked for.
    pub target: String,
    /// The instructions that are written by hand.
    pub instructions: &'static str,
    /// Milliseconds of a call of dlc: the lowest median of all rounds.
    pub dlc_ms: f64,
    /// The same by hand.
    pub hand_ms: f64,
    /// The second by the first: above 1, dlc is faster.
    pub ratio: f64,
}

/// Whether a workload is written by hand.
#[cfg(target_arch = "x86_64")]
pub fn is_written(workload: &Workload) -> bool {
    beside::is_written(workload)
}

/// Times dlc and what is written by hand, which is checked as dlc is.
///
/// # Errors
/// If either does not run, or is wrong.
#[cfg(target_arch = "x86_64")]
pub fn measure(workload: &Workload, settings: &Settings) -> Outcome<Comparison> {
    beside::run(workload, settings)
}

/// Nothing is, for this processor.
#[cfg(not(target_arch = "x86_64"))]
pub fn is_written(_: &Workload) -> bool {
    false
}

/// Of x86-64 only.
///
/// # Errors
/// Always.
#[cfg(not(target_arch = "x86_64"))]
pub fn measure(workload: &Workload, _: &Settings) -> Outcome<Comparison> {
    Err(format!("{} is written by hand for x86-64 only", workload.name).into())
}
