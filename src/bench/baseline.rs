//! Comparison with an earlier report.

use serde::{Deserialize, Serialize};

use super::report::{MARK, Setup, Times, VERSION};
use crate::Error;

/// The part of an earlier report that a comparison needs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Baseline {
    v: u32,
    report: String,
    #[serde(flatten)]
    setup: Setup,
    ms: Median,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
struct Median {
    median: f64,
}

/// A time beside that of the baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The median of the baseline, in milliseconds.
    pub median_ms: f64,
    /// The median now by that one.
    pub ratio: f64,
    /// How much larger than 1 the ratio may be.
    pub tolerance: f64,
    /// Whether it has become slower: see [`Baseline::compare`].
    pub regressed: bool,
}

impl Baseline {
    /// Reads a report: the output of `--json`, or a file of `--save`.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let bad = |why: String| {
            Error::plain("bad-baseline", format!("{name} is not a report of `dlc bench`: {why}"))
                .help("write one with `dlc bench … --save FILE`")
        };
        let object: serde_json::Value = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
        if object["report"] != MARK {
            return Err(bad(format!("expected \"report\": \"{MARK}\"")));
        }
        if object["v"] != VERSION {
            return Err(bad(format!("expected version {VERSION}, found {}", object["v"])));
        }
        let baseline: Baseline = serde_json::from_value(object).map_err(|e| bad(e.to_string()))?;
        if !(baseline.ms.median.is_finite() && baseline.ms.median > 0.0) {
            return Err(bad(format!("its median is {} ms", baseline.ms.median)));
        }
        Ok(baseline)
    }

    /// Checks that it is of the same program on the same target with the same threads.
    ///
    /// # Errors
    /// With all differences.
    pub fn expect_same(&self, name: &str, here: &Setup) -> Result<(), Error> {
        let differences = self.setup.differences(here);
        if differences.is_empty() {
            return Ok(());
        }
        let message = format!("the baseline {name} is of something else: {}", differences.join("; "));
        Err(Error::plain("other-baseline", message).help("measure the same, or write a new baseline with --save"))
    }

    /// Compares times. They have regressed if all but the fastest quarter of the samples took longer than the median of
    /// the baseline by more than the tolerance: where only the slower ones did, something else was going on.
    pub fn compare(&self, now: &Times, tolerance: f64) -> Comparison {
        let median_ms = self.ms.median;
        let regressed = now.p25 > median_ms * (1.0 + tolerance);
        Comparison { median_ms, ratio: now.median / median_ms, tolerance, regressed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> Setup {
        Setup {
            model: "m".to_owned(),
            mode: "infer".to_owned(),
            sizes: [("B".to_owned(), 2)].into_iter().collect(),
            arguments: Default::default(),
            float: "f32".to_owned(),
            math: "safe".to_owned(),
            target: "x86-64-v3".to_owned(),
            threads: 2,
        }
    }

    fn baseline(median: f64) -> Result<Baseline, Error> {
        let mut object = serde_json::to_value(setup()).expect("it serialises");
        object["v"] = VERSION.into();
        object["report"] = MARK.into();
        object["ms"] = serde_json::json!({ "median": median });
        Baseline::parse("b.json", &object.to_string())
    }

    fn times(p25: f64, median: f64) -> Times {
        Times { median, p95: 9.0, p25, min: 0.1, mean: median }
    }

    #[test]
    fn slower_samples_alone_are_noise() {
        let baseline = baseline(1.0).expect("it is one");
        let regressed = |p25, median| baseline.compare(&times(p25, median), 0.05).regressed;
        assert!(!regressed(0.9, 1.04) && !regressed(1.02, 1.5) && !regressed(0.5, 0.6));
        assert!(regressed(1.06, 1.07) && regressed(2.0, 3.0));
        assert_eq!(baseline.compare(&times(1.0, 1.5), 0.05).ratio, 1.5);
    }

    #[test]
    fn everything_that_differs_is_named() {
        let baseline = baseline(1.0).expect("it is one");
        assert!(baseline.expect_same("b.json", &setup()).is_ok());
        let sizes = [("B".to_owned(), 3), ("A".to_owned(), 1)].into_iter().collect();
        let other = Setup { sizes, threads: 1, ..setup() };
        let error = baseline.expect_same("b.json", &other).expect_err("it differs").to_string();
        assert!(error.contains("sizes: B=2 there, A=1, B=3 here; threads: 2 there, 1 here"), "{error}");
        for name in ["model", "mode", "float", "math", "target"] {
            let mut object = serde_json::to_value(setup()).expect("it serialises");
            object[name] = "other".into();
            let other: Setup = serde_json::from_value(object).expect("a setup");
            assert_eq!(setup().differences(&other).len(), 1, "{name}");
        }
        let other = Setup { arguments: [("n".to_owned(), "3".to_owned())].into_iter().collect(), ..setup() };
        assert_eq!(setup().differences(&other), ["arguments: none there, n=3 here"]);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for text in ["", "{}", "[1]", "{\"v\":1,\"report\":\"dlc bench\"}", "{\"v\":2,\"report\":\"dlc bench\"}"] {
            assert!(Baseline::parse("b.json", text).is_err(), "{text}");
        }
        assert!(baseline(0.0).is_err() && baseline(1e-9).is_ok());
    }
}
