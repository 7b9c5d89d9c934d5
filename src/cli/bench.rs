//! `dlc bench`: the time of a program, and its part of what the machine could do.

use std::path::{Path, PathBuf};

use clap::Args;
use dlc::artefact::Artefact;
use dlc::bench::baseline::{Baseline, Comparison};
use dlc::bench::peak::Peak;
use dlc::bench::profile::{Profile, Row};
use dlc::bench::report::{MARK, Rates, Report, Setup, Times, VERSION};
use dlc::bench::timing::Limits;
use dlc::bench::trace::Trace;
use dlc::bench::{Subject, SubjectOptions};
use dlc::{Compiler, Error, Mode, Model, Request, Tensors, inspect};

use super::inputs::{self, Inputs};
use super::target::{Force, Kind};
use super::{Exit, Failure, MathArguments, ModeArguments, ModelSettings, Output, table};

/// Arguments of `dlc bench`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The model: .dl or .ron, or an artefact (.dlx)
    file: PathBuf,
    /// Inputs, as for `run`: name=file, or a .npz or .safetensors file; drawn if none are given, with indices in their range
    inputs: Vec<String>,
    #[command(flatten)]
    settings: ModelSettings,
    #[command(flatten)]
    mode: ModeArguments,
    /// The instruction set, as for `compile` [default: native]
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Threads that run the program [default: all processors]
    #[arg(long, value_name = "N", value_parser = super::count)]
    threads: Option<usize>,
    #[command(flatten)]
    math: MathArguments,
    /// The seed of drawn weights and inputs
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Seconds to measure at least
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    min_time: f64,
    /// Show where the time goes: each kernel with its source lines, time, rates and part of the roofline
    #[arg(long)]
    profile: bool,
    /// Write a trace of a few steps for chrome://tracing or Perfetto: each launch on each thread
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the report to this file, as --json prints it
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Compare with an earlier report; exit code 3 if the median is longer by more than the tolerance
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// How much longer than that of the baseline the median may be, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent, requires = "baseline")]
    tolerance: f64,
    #[command(flatten)]
    force: Force,
}

/// The least number of samples.
const SAMPLES: usize = 10;
/// Rows of the table of kernels; those with less time are summed up.
const ROWS: usize = 30;
/// The longest text of the first two columns of that table.
const LABEL: usize = 30;
/// Times are measured again so often before they count as a regression, since what disturbs the machine passes.
const AGAIN: usize = 2;

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let baseline = arguments.baseline.as_deref().map(read_baseline).transpose()?;
    let compiler = compiler(arguments)?;
    let (model, artefact) = open(arguments)?;
    let reads = inputs::files(&arguments.inputs).chain([arguments.file.clone()]).chain(arguments.baseline.clone());
    let reads: Vec<PathBuf> = reads.chain(inspect::files_of(&model)).collect();
    if let Some(path) = &arguments.save {
        arguments.force.expect_free(path, Kind::Report, &reads)?;
    }
    if let Some(path) = &arguments.trace {
        let written: Vec<PathBuf> = reads.iter().chain(&arguments.save).cloned().collect();
        arguments.force.expect_free(path, Kind::Trace, &written)?;
    }
    output.warnings(&model.warnings());
    let given = inspect::prepare(
        &compiler,
        &model,
        &artefact.as_ref().map_or_else(Tensors::new, |artefact| artefact.weights.clone()),
        Inputs::read(&arguments.inputs)?.of(&model),
    )?;
    let request = request(arguments, &compiler, &model, &given)?;
    let setup = Setup::of(&compiler, &model, &request)?;
    if let (Some(baseline), Some(path)) = (&baseline, &arguments.baseline) {
        baseline.expect_same(&path.display().to_string(), &setup).map_err(Failure::usage)?;
    }
    let with_lines = arguments.profile || arguments.trace.is_some();
    let options = SubjectOptions { artefact: artefact.as_ref(), inputs: &given, seed: arguments.seed, with_lines };
    let mut subject = Subject::new(&compiler, &model, &request, &options)?;
    let peak = || Peak::measure(&compiler, model.dtype());
    let (report, comparison) = measure(arguments, &mut subject, setup, &peak, baseline.as_ref())?;
    if !subject.is_finite() {
        output.note("note: an output is NaN or infinite, which may change the time of a step");
    }
    output.line(headline(&report));
    let mut object = serde_json::to_value(&report).expect("our own types serialise");
    if arguments.profile {
        let profile = Profile::measure(&mut subject, &report.peak, arguments.min_time)?;
        output.line(kernels(&profile));
        object["profile"] = serde_json::to_value(&profile).expect("our own types serialise");
    }
    if let (Some(comparison), Some(path)) = (&comparison, &arguments.baseline) {
        output.line(compared(comparison, &report.ms, path));
    }
    if let Some(comparison) = &comparison {
        object["baseline"] = serde_json::to_value(comparison).expect("our own types serialise");
    }
    object["diagnostics"] = serde_json::json!(model.warnings().to_json());
    if let Some(path) = &arguments.trace {
        let trace = Trace::record(&mut subject)?;
        super::write_file(path, trace.json.to_string().as_bytes())?;
        let (steps, events) = (trace.steps, table::count(trace.events));
        output.line(format!("wrote {}: {steps} steps, {events} events", path.display()));
    }
    if let Some(path) = &arguments.save {
        super::write_file(path, format!("{object}\n").as_bytes())?;
        output.line(format!("wrote {}", path.display()));
    }
    output.object(&object);
    Ok(if comparison.is_some_and(|comparison| comparison.regressed) { Exit::CheckFailed } else { Exit::Done })
}

/// Times steps; again, if they seem to have become slower than the baseline.
fn measure(
    arguments: &Arguments,
    subject: &mut Subject<'_>,
    setup: Setup,
    peak: &dyn Fn() -> Result<Peak, Error>,
    baseline: Option<&Baseline>,
) -> Result<(Report, Option<Comparison>), Error> {
    let before = peak()?;
    let limits = |seconds| Limits { seconds, samples: SAMPLES, calls: usize::MAX };
    // caches, branch predictors, threads and the clock of the processor are as in the middle of a long run
    subject.measure(Limits { samples: 1, ..limits(arguments.min_time / 10.0) })?;
    let compare = |times: &Times| baseline.map(|baseline| baseline.compare(times, arguments.tolerance / 100.0));
    let mut samples = subject.measure(limits(arguments.min_time))?;
    let mut times = Times::of(&samples);
    for _ in 0..AGAIN {
        if !compare(&times).is_some_and(|comparison| comparison.regressed) {
            break;
        }
        let again = subject.measure(limits(arguments.min_time))?;
        let of_these = Times::of(&again);
        if of_these.median < times.median {
            (samples, times) = (again, of_these);
        }
    }
    let peak = before.or(peak()?);
    let work = subject.work();
    let flops = if work.products > 0 { work.products } else { work.flops };
    let bytes = work.read.saturating_add(work.written);
    let rates = Rates::of(peak.bound(flops as f64, bytes as f64), flops, bytes, times.median);
    let compile_ms = subject.timings().stages.iter().map(|(name, ms)| ((*name).to_owned(), *ms)).collect();
    let report = Report {
        v: VERSION,
        report: MARK,
        setup,
        compile_ms,
        ms: times,
        samples: samples.ms.len(),
        steps_per_sample: samples.calls,
        rates,
        peak,
    };
    Ok((report, compare(&times)))
}

fn compiler(arguments: &Arguments) -> Result<Compiler, Failure> {
    let mut compiler = arguments.math.compiler();
    if let Some(threads) = arguments.threads {
        compiler = compiler.threads(threads);
    }
    let Some(target) = &arguments.target else { return Ok(compiler) };
    let compiler = compiler.target(target);
    inspect::target_name(&compiler).map_err(Failure::usage)?;
    Ok(compiler)
}

/// The model, and the artefact that it is in.
fn open(arguments: &Arguments) -> Result<(Model, Option<Artefact>), Failure> {
    let settings = &arguments.settings;
    if arguments.file.extension().is_none_or(|ending| ending != "dlx") {
        return Ok((settings.open(&arguments.file)?, None));
    }
    let fixed = [
        ("--set", !settings.set.is_empty()),
        ("--model", settings.model.is_some()),
        ("--train=NAME", matches!(settings.train, Some(Some(_)))),
        ("--float", settings.float != "f32"),
    ];
    if let Some((option, _)) = fixed.into_iter().find(|(_, given)| *given) {
        let error = Error::plain("usage", format!("{option} cannot change what is in an artefact"));
        return Err(Failure::usage(error.help("use it with the source of the model")));
    }
    let artefact = Artefact::read(&arguments.file).map_err(Error::from)?;
    let model = artefact.model()?;
    super::check_names(&model, &[], &settings.size)?;
    Ok((model, Some(artefact)))
}

/// The program that is measured, for the sizes of the inputs that are given.
fn request(arguments: &Arguments, compiler: &Compiler, model: &Model, given: &Tensors) -> Result<Request, Error> {
    let mode = arguments.mode.mode(&arguments.settings);
    if mode != Mode::Infer || given.is_empty() {
        return arguments.settings.request(model, mode, compiler);
    }
    let sizes = inspect::sizes_by_inputs(model, given, &arguments.settings.size)?;
    inspect::request_for(model, mode, &sizes, compiler)
}

fn read_baseline(path: &Path) -> Result<Baseline, Error> {
    Baseline::parse(&path.display().to_string(), &super::read_text(path)?)
}

/// The time of a step, and how it was measured.
fn headline(report: &Report) -> String {
    let Report { setup, ms, rates, peak, .. } = report;
    let mut of = vec![match &*setup.mode {
        "infer" => setup.model.clone(),
        mode => format!("{} {mode}", setup.model),
    }];
    of.extend(setup.sizes.iter().map(|(name, size)| format!("{name} = {size}")));
    of.extend(setup.arguments.iter().map(|(name, value)| format!("{name} = {value}")));
    of.push(format!("{} thread{}", setup.threads, if setup.threads == 1 { "" } else { "s" }));
    let rate = match rates.bound {
        "compute" => format!("{} GFLOP/s", table::three_digits(rates.gflops)),
        _ => format!("{} GB/s", table::three_digits(rates.gbs)),
    };
    let (median, p95) = (table::time(ms.median), table::time(ms.p95));
    let times = format!("median {median}, p95 {p95}, {rate} = {}", table::percent(rates.roofline));
    let of = of.join(", ");
    let fits = of.chars().count() + times.chars().count() + 2 <= table::WIDTH;
    let steps = if report.steps_per_sample == 1 {
        format!("{} steps", table::count(report.samples))
    } else {
        format!("{} samples of {} steps", table::count(report.samples), table::count(report.steps_per_sample))
    };
    let (most, memory) = (table::three_digits(peak.gflops), table::three_digits(peak.memory_gbs()));
    let measured = [
        format!("min {}", table::time(ms.min)),
        format!("compiled in {}", table::time(report.compile_ms.values().sum())),
        steps,
        format!("{} roofline; peak {most} GFLOP/s, memory {memory} GB/s ({})", rates.bound, setup.target),
    ];
    format!("{of}:{}{times}\n{}", if fits { " " } else { "\n  " }, table::wrapped(" ", &measured))
}

/// The table of the kernels.
fn kernels(profile: &Profile) -> String {
    let head = ["  kernel", "from", "calls", "time", "share", "GFLOP/s", "GB/s", "roofline"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let (shown, others) = profile.rows.split_at(profile.rows.len().min(ROWS));
    rows.extend(shown.iter().map(cells));
    let part = |name: String, ms: f64| {
        let share = table::percent(ms / profile.step_ms);
        [format!("  {name}"), String::new(), String::new(), table::time(ms), share].to_vec()
    };
    if !others.is_empty() {
        let ms = others.iter().map(|row| row.ms).sum();
        rows.push(part(format!("({} others)", table::count(others.len())), ms));
    }
    rows.push(part("(outside of kernels)".to_owned(), profile.outside_ms.max(0.0)));
    rows.push(part("total".to_owned(), profile.step_ms));
    table::aligned(&rows)
}

fn cells(row: &Row) -> Vec<String> {
    let rate = |rate: f64| if rate == 0.0 { String::new() } else { table::three_digits(rate) };
    vec![
        format!("  {}", cut(&row.what)),
        cut(&row.place),
        format!("x{}", row.calls),
        table::time(row.ms),
        table::percent(row.share),
        rate(row.rates.gflops),
        rate(row.rates.gbs),
        format!("{} {}", table::percent(row.rates.roofline), row.rates.bound),
    ]
}

/// The begin of a text that is too long for its column.
fn cut(text: &str) -> String {
    match text.chars().count() {
        0..=LABEL => text.to_owned(),
        _ => text.chars().take(LABEL - 1).chain(['…']).collect(),
    }
}

fn compared(comparison: &Comparison, now: &Times, path: &Path) -> String {
    let Comparison { median_ms, ratio, tolerance, regressed } = comparison;
    let change = (ratio - 1.0) * 100.0;
    let change = if change < 0.0 { format!("{:.1} % faster", -change) } else { format!("{change:.1} % slower") };
    let verdict = if *regressed { "REGRESSION" } else { "ok" };
    let times = format!("{verdict}: {} before, {} now", table::time(*median_ms), table::time(now.median));
    let beyond = format!("{change}, tolerance {} %", tolerance * 100.0);
    table::wrapped(" ", &[times, beyond, path.display().to_string()])
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds, at most a day".to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent),
        _ => Err("expected a percentage, at least 0".to_owned()),
    }
}
