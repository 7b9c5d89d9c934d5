//! What the machine can do at most: multiplications and additions by the width of vectors, and memory bandwidth.

mod fma;

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use serde::Serialize;

/// How often each figure is measured, of which the best counts: noise only adds time.
const TRIES: usize = 5;
/// Seconds of a measurement, about.
const SECONDS: f64 = 0.1;
/// Bytes that each thread reads: more than fits into the caches of any processor.
const BYTES: usize = 1 << 28;

/// A figure of the machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Peak {
    /// `fma` by vector width, `read` or `copy`.
    pub what: String,
    /// Threads that work at the same time.
    pub threads: usize,
    /// 10⁹ a second: floating-point operations, or bytes read and written.
    pub rate: f64,
    /// The unit of the rate.
    pub unit: &'static str,
}

/// Measures everything for one thread, and for `threads`.
pub fn measure(threads: usize) -> Vec<Peak> {
    let mut counts = vec![1, threads];
    counts.dedup();
    let mut peaks = vec![];
    for &threads in &counts {
        for fma in fma::available() {
            let rate = flops(&fma, threads);
            peaks.push(Peak { what: format!("fma, {} bits", fma.bits), threads, rate, unit: "GFLOP/s" });
        }
    }
    for &threads in &counts {
        peaks.push(Peak { what: "read".to_owned(), threads, rate: read(threads), unit: "GB/s" });
        peaks.push(Peak { what: "copy".to_owned(), threads, rate: copy(threads), unit: "GB/s" });
    }
    peaks
}

fn flops(fma: &fma::Fma, threads: usize) -> f64 {
    let time = |rounds: u64, threads| seconds(threads, || (), |_| fma.run(rounds));
    let short: u32 = 1 << 16;
    let rounds = (f64::from(short) * SECONDS / time(short.into(), 1)) as u64;
    (0..TRIES).map(|_| (fma.flops(rounds) * threads as f64) / time(rounds, threads) / 1e9).fold(0.0, f64::max)
}

fn read(threads: usize) -> f64 {
    let words = BYTES / size_of::<u64>();
    let sum = |data: &mut Vec<u64>| {
        black_box(data.iter().fold(0, |sum: u64, x| sum.wrapping_add(*x)));
    };
    best_rate(BYTES, threads, || vec![1u64; words], sum)
}

fn copy(threads: usize) -> f64 {
    let words = BYTES / size_of::<u64>();
    let copy = |(from, to): &mut (Vec<u64>, Vec<u64>)| {
        to.copy_from_slice(from);
        black_box(to);
    };
    best_rate(2 * BYTES, threads, || (vec![1u64; words], vec![2u64; words]), copy)
}

/// The highest rate of work on so many bytes by each thread.
fn best_rate<T>(bytes: usize, threads: usize, make: impl Fn() -> T + Sync, work: impl Fn(&mut T) + Sync) -> f64 {
    let rate = |_| (bytes * threads) as f64 / seconds(threads, &make, &work) / 1e9;
    (0..TRIES).map(rate).fold(0.0, f64::max)
}

/// Seconds until the last of the threads, which begin at once, has done its work on what it made before.
fn seconds<T>(threads: usize, make: impl Fn() -> T + Sync, work: impl Fn(&mut T) + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let one = || {
        let mut data = make();
        barrier.wait();
        let start = Instant::now();
        work(&mut data);
        // Not with the time that giving back the memory takes, which is longer than reading it.
        start.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        started.into_iter().map(|thread| thread.join().expect("it does not panic")).fold(0.0, f64::max)
    })
}
