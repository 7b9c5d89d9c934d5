//! What a benchmark found, as a value that is printed, saved, and compared with another one.

use dlc_dsl::Request;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::peak::{Bound, Peak};
use super::timing::{Samples, quantile};
use crate::model::argument;
use crate::{Compiler, Error, Model, inspect};

/// The version of the report's JSON form.
pub const VERSION: u32 = 1;

/// What a benchmark is of: reports are comparable if all of this is equal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The model's name.
    pub model: String,
    /// The program: `infer`, `train`, `eval` or `init`.
    pub mode: String,
    /// The sizes of the dimensions.
    pub sizes: IndexMap<String, usize>,
    /// The arguments of the model that were set.
    pub arguments: IndexMap<String, String>,
    /// The float type of the model.
    pub float: String,
    /// The math mode.
    pub math: String,
    /// The instruction set.
    pub target: String,
    /// The number of threads.
    pub threads: usize,
}

impl Setup {
    /// That of a request.
    ///
    /// # Errors
    /// If there is no such model, or the target is unknown.
    pub fn of(compiler: &Compiler, model: &Model, request: &Request) -> Result<Setup, Error> {
        let arguments = model.arguments().iter().map(|(name, value)| (name.clone(), argument::show(value)));
        Ok(Setup {
            model: inspect::chosen_model(model)?,
            mode: request.mode.name().to_owned(),
            sizes: model.lower(request)?.dims.into_iter().collect(),
            arguments: arguments.collect(),
            float: model.dtype().name().to_owned(),
            math: compiler.maths().name().to_owned(),
            target: compiler.target_name()?.to_owned(),
            threads: compiler.pool().threads(),
        })
    }

    /// What differs from another setup: `threads: 1 there, 2 here`.
    pub fn differences(&self, here: &Setup) -> Vec<String> {
        let list = |pairs: Vec<String>| if pairs.is_empty() { "none".to_owned() } else { pairs.join(", ") };
        let sizes = |setup: &Setup| {
            let mut pairs: Vec<String> = setup.sizes.iter().map(|(name, size)| format!("{name}={size}")).collect();
            pairs.sort();
            list(pairs)
        };
        let arguments = |setup: &Setup| {
            let mut pairs: Vec<String> =
                setup.arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
            pairs.sort();
            list(pairs)
        };
        let rows = |setup: &Setup| {
            [
                ("model", setup.model.clone()),
                ("mode", setup.mode.clone()),
                ("sizes", sizes(setup)),
                ("arguments", arguments(setup)),
                ("float", setup.float.clone()),
                ("math", setup.math.clone()),
                ("target", setup.target.clone()),
                ("threads", setup.threads.to_string()),
            ]
        };
        let pairs = rows(self).into_iter().zip(rows(here));
        pairs.filter(|(a, b)| a != b).map(|((name, a), (_, b))| format!("{name}: {a} there, {b} here")).collect()
    }
}

/// Times of a step, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Half of the samples are below.
    pub median: f64,
    /// 95 of 100 samples are below.
    pub p95: f64,
    /// A quarter of the samples are below.
    pub p25: f64,
    /// The least.
    pub min: f64,
    /// The mean.
    pub mean: f64,
}

impl Times {
    /// The statistics of samples.
    pub fn of(samples: &Samples) -> Times {
        let quantile = |fraction| quantile(&samples.ms, fraction);
        let mean = samples.ms.iter().sum::<f64>() / samples.ms.len() as f64;
        Times { median: quantile(0.5), p95: quantile(0.95), p25: quantile(0.25), min: quantile(0.0), mean }
    }
}

/// Rates, and what part of the machine's they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Floating-point operations, two for each multiplication and addition.
    pub flops: u64,
    /// These in 10⁹ a second.
    pub gflops: f64,
    /// Bytes that are read and written.
    pub bytes: u64,
    /// These in 10⁹ a second.
    pub gbs: f64,
    /// The part of the roofline: the least time that the machine could take for these operations and bytes, by the time that it took.
    pub roofline: f64,
    /// What the roofline is: `compute` or `memory`.
    pub bound: &'static str,
}

impl Rates {
    /// For what took so many milliseconds; zero if it took none.
    pub fn of(bound: Bound, flops: u64, bytes: u64, ms: f64) -> Rates {
        let per_ms = |x: f64| if ms > 0.0 { x / ms } else { 0.0 };
        let rate = |count: u64| per_ms(count as f64) / 1e6;
        Rates { flops, gflops: rate(flops), bytes, gbs: rate(bytes), roofline: per_ms(bound.ms), bound: bound.by }
    }
}

/// The result of a benchmark, without its profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`VERSION`].
    pub v: u32,
    /// Marks the file as one of dlc.
    pub report: &'static str,
    /// What was measured.
    #[serde(flatten)]
    pub setup: Setup,
    /// Milliseconds of each stage of the compilation.
    pub compile_ms: IndexMap<String, f64>,
    /// Milliseconds of a step.
    pub ms: Times,
    /// The number of samples.
    pub samples: usize,
    /// Steps in each sample, which is their mean.
    pub steps_per_sample: usize,
    /// Rates of a step at the median: of the operations of products and convolutions of the model as it is written, as `dlc summary`
    /// counts them, or without these of all its operations; and of the bytes that it has to read and write.
    pub rates: Rates,
    /// What the machine can do at most.
    pub peak: Peak,
}

/// The mark of a report.
pub const MARK: &str = "dlc bench";

/// Whether a text is a report of dlc, which may be overwritten.
pub fn is_ours(text: &str) -> bool {
    let object: Option<serde_json::Value> = serde_json::from_str(text).ok();
    object.is_some_and(|object| object["report"] == MARK)
}
