//! The peaks of the machine, measured each time by generated kernels on the threads that run the program: multiply-adds in registers, and
//! bandwidth for data that fits into one level of the memory or another.
//!
//! Noise only adds time, so that of many short runs the fastest counts.

use std::time::{Duration, Instant};

use dlc_compiler::peak::{Probe, Traffic, multiply_adds, stream};
use dlc_compiler::program::{Memory, ParallelFor, Workspace};
use dlc_ir::DType;
use serde::Serialize;

use crate::{Compiler, Error};

/// How long the rate of multiply-adds is measured: on a busy machine it takes some time until all threads run at once.
const COMPUTE_TIME: Duration = Duration::from_millis(120);
/// How long each bandwidth is measured.
const STREAM_TIME: Duration = Duration::from_millis(15);
/// Runs of each figure at least.
const RUNS: usize = 4;
/// Turns of the chains of multiply-adds in a run: a fraction of a millisecond, so that all threads are likely to run all the time.
const TURNS: usize = 1 << 15;
/// The data of each thread, in bytes. The first fits into a first-level cache, the last into no cache.
const PARTS: [usize; 7] = [16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 128 << 20];
/// The most memory that is used, in bytes.
const MOST: usize = 1 << 30;
/// Bytes that each thread moves in a run at least, so that launching it costs nothing beside.
const MOVED: usize = 16 << 20;

/// What the machine can do at most.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Peak {
    /// Floating-point operations of the model's type, in 10⁹ a second.
    pub gflops: f64,
    /// Bandwidths by the size of the data, ascending; the last is that of memory.
    pub bandwidth: Vec<Bandwidth>,
}

/// The bandwidth for data of a size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bandwidth {
    /// The size of the data, of all threads together.
    pub bytes: f64,
    /// Bytes that are read and written, in 10⁹ a second: that of a sum or of `a[i] + s * b[i]`, whichever is higher.
    pub gbs: f64,
}

impl Peak {
    /// Measures the peaks for the target, threads and dtype of a model's programs.
    ///
    /// # Errors
    /// If this machine cannot run code for the target, or there is no memory.
    pub fn measure(compiler: &Compiler, dtype: DType) -> Result<Peak, Error> {
        let (target, threads) = (compiler.options()?.target, compiler.pool().threads());
        let failed = |e: dlc_compiler::codegen::EmitError| Error::plain("internal", e.to_string());
        let probe = multiply_adds(target, dtype, threads, TURNS).map_err(failed)?;
        let gflops = best(compiler, &probe, COMPUTE_TIME)?;
        let mut bandwidth = vec![];
        for part in PARTS {
            let bytes = (part * threads).min(MOST);
            let rounds = (MOVED * threads / bytes).max(1);
            let mut gbs: f64 = 0.0;
            for traffic in Traffic::ALL {
                let probe = stream(target, traffic, bytes, threads, rounds).map_err(failed)?;
                gbs = gbs.max(best(compiler, &probe, STREAM_TIME)?);
            }
            bandwidth.push(Bandwidth { bytes: bytes as f64, gbs });
        }
        Ok(Peak { gflops, bandwidth })
    }

    /// The higher of two measurements, each of which something else may have disturbed.
    #[must_use]
    pub fn or(self, other: Peak) -> Peak {
        let better = |(a, b): (Bandwidth, Bandwidth)| Bandwidth { gbs: a.gbs.max(b.gbs), ..a };
        let bandwidth = self.bandwidth.into_iter().zip(other.bandwidth).map(better).collect();
        Peak { gflops: self.gflops.max(other.gflops), bandwidth }
    }

    /// The bandwidth for data of a size, in 10⁹ bytes a second: that of the next smaller and larger sizes, interpolated.
    pub fn gbs(&self, bytes: f64) -> f64 {
        let after = self.bandwidth.partition_point(|point| point.bytes < bytes);
        match (after.checked_sub(1).and_then(|i| self.bandwidth.get(i)), self.bandwidth.get(after)) {
            (Some(low), Some(high)) => {
                let part = (bytes / low.bytes).ln() / (high.bytes / low.bytes).ln();
                low.gbs * (high.gbs / low.gbs).powf(part)
            }
            (Some(only), None) | (None, Some(only)) => only.gbs,
            (None, None) => f64::NAN,
        }
    }

    /// The bandwidth of memory.
    pub fn memory_gbs(&self) -> f64 {
        self.bandwidth.last().map_or(f64::NAN, |point| point.gbs)
    }

    /// The least time of so many operations on so many bytes.
    pub fn bound(&self, flops: f64, bytes: f64) -> Bound {
        let compute = flops / self.gflops / 1e6;
        let memory = if bytes > 0.0 { bytes / self.gbs(bytes) / 1e6 } else { 0.0 };
        if compute >= memory { Bound { ms: compute, by: "compute" } } else { Bound { ms: memory, by: "memory" } }
    }
}

/// The roofline for some work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The least time, in milliseconds.
    pub ms: f64,
    /// What takes it: `compute` or `memory`.
    pub by: &'static str,
}

/// The highest rate of a probe, in 10⁹ a second.
fn best(compiler: &Compiler, probe: &Probe, time: Duration) -> Result<f64, Error> {
    let pool = compiler.pool();
    let no_memory = |e: dlc_compiler::program::OutOfMemory| Error::plain("out-of-memory", e.to_string());
    let mut buffers: Vec<Memory> = probe.program.try_buffers().map_err(no_memory)?;
    // Pages that nobody has written are all the same one. The numbers are normal.
    buffers.iter_mut().for_each(|buffer| buffer.bytes_mut().fill(0x3f));
    let mut workspace = Workspace::try_new(&probe.program, pool.threads()).map_err(no_memory)?;
    let mut run = || -> Result<f64, Error> {
        let start = Instant::now();
        let done = probe.program.run(&mut workspace, &mut buffers, Some(pool as &dyn ParallelFor));
        done.map_err(|e| Error::plain("internal", e.to_string()))?;
        Ok(start.elapsed().as_secs_f64())
    };
    run()?;
    let (start, mut least, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < RUNS || start.elapsed() < time {
        least = least.min(run()?);
        runs += 1;
    }
    Ok(probe.amount as f64 / least / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_computing_and_moving_is_the_bound() {
        let bandwidth = vec![Bandwidth { bytes: 1e3, gbs: 100.0 }, Bandwidth { bytes: 1e5, gbs: 1.0 }];
        let peak = Peak { gflops: 100.0, bandwidth };
        assert_eq!(peak.bound(2e8, 1e3), Bound { ms: 2.0, by: "compute" });
        assert_eq!(peak.bound(0.0, 1e6), Bound { ms: 1.0, by: "memory" });
        assert_eq!(peak.bound(0.0, 0.0).ms, 0.0);
        assert_eq!((peak.gbs(10.0), peak.gbs(1e3), peak.gbs(1e9)), (100.0, 100.0, 1.0));
        assert!((peak.gbs(1e4) - 10.0).abs() < 1e-9);
        assert_eq!(peak.memory_gbs(), 1.0);
        let other =
            Peak { gflops: 50.0, bandwidth: peak.bandwidth.iter().map(|b| Bandwidth { gbs: 2.0, ..*b }).collect() };
        let best = peak.or(other);
        assert_eq!((best.gflops, best.gbs(1e3), best.memory_gbs()), (100.0, 100.0, 2.0));
    }
}
