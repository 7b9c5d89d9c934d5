//! `dlc version`: versions, and what this machine can run.

use clap::Args;
use dlc_compiler::machine::Target;
use serde::Serialize;

use super::{Exit, Failure, Output};

/// Arguments of `dlc version`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Also the version of the language, the targets, and the vector features of this machine
    #[arg(long)]
    verbose: bool,
}

#[derive(Serialize)]
struct Version {
    v: u32,
    version: &'static str,
    /// The version of the model language: that of `dlc 1` on the first line of a source.
    language: u32,
    /// Every target that can be compiled for.
    targets: Vec<&'static str>,
    /// The default target, which this machine runs fastest; none if dlc supports no target that this machine can run.
    host: Option<&'static str>,
    /// The targets whose code this machine can run.
    runs: Vec<&'static str>,
    processors: usize,
    features: Vec<&'static str>,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let version = Version {
        v: 1,
        version: env!("CARGO_PKG_VERSION"),
        language: dlc_dsl::parser::VERSION,
        targets: Target::ALL.map(Target::name).to_vec(),
        host: Target::host().map(Target::name),
        runs: Target::ALL.into_iter().filter(|target| target.runs_here()).map(Target::name).collect(),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        features: features(),
    };
    output.object(&version);
    output.line(format!("dlc {}", version.version));
    if arguments.verbose {
        output.line(format!("language    {}", version.language));
        output.line(format!("targets     {}", version.targets.join(", ")));
        output.line(format!("host        {}", version.host.unwrap_or("not supported")));
        output.line(format!("runs        {}", version.runs.join(", ")));
        output.line(format!("processors  {}", version.processors));
        output.line(format!("features    {}", version.features.join(" ")));
    }
    Ok(Exit::Done)
}

/// The vector features of this machine that code generators may use.
fn features() -> Vec<&'static str> {
    macro_rules! detected {
        ($detect:ident: $($feature:tt)*) => {
            [$(($feature, std::arch::$detect!($feature))),*].into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
        };
    }
    #[cfg(target_arch = "x86_64")]
    return detected!(is_x86_feature_detected: "avx" "avx2" "fma" "f16c" "bmi1" "bmi2" "lzcnt" "avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512vnni" "avx512bf16");
    #[cfg(target_arch = "aarch64")]
    return detected!(is_aarch64_feature_detected: "neon" "fp16" "dotprod" "bf16" "i8mm" "sve" "sve2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return vec![];
}
