//! How workloads are run.

use crate::data::Folder;

/// How a workload is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The files of the workloads.
    pub folder: Folder,
    /// Threads, and cores.
    pub threads: usize,
    /// The instruction set.
    pub target: String,
    /// Seconds of timing at least.
    pub seconds: f64,
    /// Seconds after which a process is stopped.
    pub timeout: f64,
}
