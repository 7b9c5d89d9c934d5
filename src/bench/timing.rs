//! Timing: samples of at least a millisecond, and their statistics.

use std::time::{Duration, Instant};

/// The least duration of a sample; shorter calls are grouped.
const SAMPLE: Duration = Duration::from_millis(1);

/// How long, and how often, to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The least time, in seconds. Measuring ends after six times as much even with fewer samples.
    pub seconds: f64,
    /// The least number of samples.
    pub samples: usize,
    /// The largest number of calls.
    pub calls: usize,
}

impl Limits {
    /// The number of calls in a sample, where one takes so long: at least one, and few enough for 20 samples.
    fn grouped(&self, one: Duration) -> usize {
        let fit = SAMPLE.as_nanos() / one.as_nanos().max(100);
        (fit as usize).clamp(1, (self.calls / self.samples.max(20)).max(1))
    }
}

/// Milliseconds of a call in each sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// In the order in which they were taken.
    pub ms: Vec<f64>,
    /// The calls that a sample is the mean of.
    pub calls: usize,
}

/// Times a call, which returns the milliseconds that count if they are not all of it.
///
/// # Errors
/// That of the call.
pub fn measure<E>(limits: Limits, mut call: impl FnMut() -> Result<Option<f64>, E>) -> Result<Samples, E> {
    let start = Instant::now();
    call()?;
    let calls = limits.grouped(start.elapsed());
    let mut ms = vec![];
    let start = Instant::now();
    loop {
        let sample = Instant::now();
        let mut counted = None;
        for _ in 0..calls {
            counted = call()?;
        }
        ms.push(counted.unwrap_or(sample.elapsed().as_secs_f64() * 1e3 / calls as f64));
        let elapsed = start.elapsed().as_secs_f64();
        if ms.len() * calls >= limits.calls
            || (elapsed >= limits.seconds && ms.len() >= limits.samples)
            || (elapsed >= 6.0 * limits.seconds && ms.len() >= 3)
        {
            return Ok(Samples { ms, calls });
        }
    }
}

/// The number below which a fraction of the numbers are; the mean of the middle two for the median of an even number. NaN of none.
pub fn quantile(numbers: &[f64], fraction: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(last), middle) = (sorted.len().checked_sub(1), sorted.len() / 2) else { return f64::NAN };
    if fraction == 0.5 && sorted.len().is_multiple_of(2) {
        return f64::midpoint(sorted[middle - 1], sorted[middle]);
    }
    sorted[(fraction * last as f64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_few_numbers() {
        assert!(quantile(&[], 0.5).is_nan());
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0], 0.5), 2.5);
        assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0], 0.0), 1.0);
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(quantile(&ten, 0.9), 9.0);
    }

    #[test]
    fn short_calls_are_grouped() {
        let limits = Limits { seconds: 0.0, samples: 10, calls: 1 << 30 };
        for (one, calls) in [(0, 10_000), (999, 1001), (400_000, 2), (600_000, 1), (1 << 40, 1)] {
            assert_eq!(limits.grouped(Duration::from_nanos(one)), calls, "{one} ns");
        }
        assert_eq!(Limits { calls: 300, ..limits }.grouped(Duration::ZERO), 15);
    }

    #[test]
    fn calls_are_limited_and_what_counts_is_taken() {
        let mut count = 0;
        let limits = Limits { seconds: 1e9, samples: 10, calls: 300 };
        let samples = measure(limits, || {
            count += 1;
            Ok::<_, std::convert::Infallible>(Some(f64::from(count)))
        })
        .expect("it cannot fail");
        assert!(samples.ms.len() * samples.calls >= 300 && count <= 301, "{count} calls, {samples:?}");
        assert_eq!(samples.ms.last(), Some(&f64::from(count)));
    }
}
