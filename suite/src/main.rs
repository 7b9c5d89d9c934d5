//! Benchmarks of dlc: runs the workloads, each in a process of its own, compares results with references, and prints times and memory.
//!
//! `cargo run --release -p dlc-suite -- mlp_infer lenet_train --threads 2 --json`

mod check;
mod child;
mod children;
mod compare;
mod contention;
mod data;
mod draw;
mod generate;
mod host;
mod intrinsics;
mod peak;
mod reference;
mod row;
mod settings;
mod subject;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};

use crate::data::Folder;
use crate::row::Row;
use crate::settings::Settings;
use crate::workload::{ALL, Workload};

/// A value, or why there is none.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The exit code if a row has become worse, as that of dlc's checks.
const REGRESSED: u8 = 3;

/// Runs workloads on dlc, each in a process of its own; a time is given only where the result is right.
#[derive(Parser, Debug)]
#[command(name = "dlc-suite", max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The workloads [default: all]
    #[arg(value_name = "NAME", value_parser = workload_named)]
    workloads: Vec<&'static Workload>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args, Clone, Debug)]
struct Options {
    /// The folder with weights, inputs and references; missing files are made
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/suite"))]
    data: PathBuf,
    /// Threads, and cores that the processes may use [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The instruction set: `portable`, `x86-64-v3`, `x86-64-v4`, …
    #[arg(long, value_name = "NAME", default_value = "native")]
    target: String,
    /// Seconds of timing for each workload
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    min_time: f64,
    /// Seconds after which a workload is stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0)]
    timeout: f64,
    /// Write one JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Make weights, inputs and references of workloads, where they are missing
    Gen {
        /// The workloads [default: all]
        #[arg(value_name = "NAME", value_parser = workload_named)]
        workloads: Vec<&'static Workload>,
        /// Also references that take minutes
        #[arg(long)]
        slow: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Name every row of the second file of results that is slower than in the first, wrong, or missing
    Compare {
        /// The results before
        before: PathBuf,
        /// The results now
        after: PathBuf,
    },
    /// Time LeNet's training beside a process that keeps one core busy, and alone
    Contention {
        #[command(flatten)]
        options: Options,
    },
    /// Measure what the machine can do: multiplications and additions by the width of vectors, and memory bandwidth
    Peak {
        #[command(flatten)]
        options: Options,
    },
    /// Time elementwise functions and layer norm beside the same written by hand with AVX-512 or AVX2, on one thread and on all
    Intrinsics {
        /// The workloads [default: all that are written by hand]
        #[arg(value_name = "NAME", value_parser = workload_named)]
        workloads: Vec<&'static Workload>,
        #[command(flatten)]
        options: Options,
    },
    /// The names of all workloads
    List,
    #[command(hide = true)]
    Child {
        #[arg(value_parser = workload_named)]
        workload: &'static Workload,
        #[command(flatten)]
        options: Options,
    },
    #[command(hide = true)]
    Spin,
}

fn workload_named(name: &str) -> Result<&'static Workload, String> {
    Workload::named(name).ok_or_else(|| "no such workload; `dlc-suite list` names them".to_owned())
}

impl Options {
    fn settings(&self) -> Settings {
        let threads = self.threads.unwrap_or_else(host::cores);
        let (folder, target) = (Folder::new(&self.data), self.target.clone());
        Settings { folder, threads, target, seconds: self.min_time, timeout: self.timeout }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.verb {
        None => run(&cli.workloads, &cli.options),
        Some(Verb::Gen { workloads, slow, options }) => generate(&workloads, slow, &options),
        Some(Verb::Compare { before, after }) => compare(&before, &after),
        Some(Verb::Contention { options }) => contention(&options),
        Some(Verb::Peak { options }) => peak(&options),
        Some(Verb::Intrinsics { workloads, options }) => intrinsics(&workloads, &options),
        Some(Verb::List) => {
            ALL.iter().for_each(|workload| println!("{}", workload.name));
            Ok(ExitCode::SUCCESS)
        }
        Some(Verb::Child { workload, options }) => child(workload, &options),
        Some(Verb::Spin) => spin(),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn or_all(workloads: &[&'static Workload]) -> Vec<&'static Workload> {
    if workloads.is_empty() { ALL.iter().collect() } else { workloads.to_vec() }
}

/// Prints a row for each workload; fails if one is wrong.
fn run(workloads: &[&'static Workload], options: &Options) -> Outcome<ExitCode> {
    let settings = options.settings();
    if !options.json {
        println!("{}", Row::headings());
    }
    let mut wrong = false;
    for workload in or_all(workloads) {
        let row = match generate::complete(workload, &settings.folder, false) {
            Ok(_) => children::run(workload, &settings),
            Err(error) => Row::failed(workload.name, &settings, format!("its data: {error}")),
        };
        wrong |= row.ok == Some(false);
        if options.json {
            println!("{}", serde_json::to_string(&row)?);
        } else {
            println!("{row}");
        }
    }
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn generate(workloads: &[&'static Workload], slow: bool, options: &Options) -> Outcome<ExitCode> {
    let folder = options.settings().folder;
    for workload in or_all(workloads) {
        let start = Instant::now();
        let made = generate::complete(workload, &folder, slow).map_err(|e| format!("{}: {e}", workload.name))?;
        let done = if made { format!("made in {:.1} s", start.elapsed().as_secs_f64()) } else { "is there".to_owned() };
        println!("{:<21} {done}", workload.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(before: &std::path::Path, after: &std::path::Path) -> Outcome<ExitCode> {
    let changes = compare::changes(&compare::read(before)?, &compare::read(after)?);
    let regressed: Vec<_> = changes.iter().filter_map(|c| Some((&c.name, c.regression.as_ref()?))).collect();
    for (name, regression) in &regressed {
        println!("{name}: {regression}");
    }
    let faster = changes.iter().filter(|c| c.ratio.is_some_and(|ratio| ratio < 1.0 / compare::ALLOWED)).count();
    println!("{} rows: {} regressed, {faster} faster", changes.len(), regressed.len());
    Ok(if regressed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REGRESSED) })
}

fn contention(options: &Options) -> Outcome<ExitCode> {
    let settings = options.settings();
    if let Some(workload) = Workload::named("lenet_train") {
        generate::complete(workload, &settings.folder, false)?;
    }
    let result = contention::measure(&settings)?;
    if options.json {
        println!("{}", serde_json::to_string(&result)?);
    } else {
        let contention::Contention { workload, threads, alone_ms, beside_ms, ratio } = result;
        println!("{workload}, {threads} threads: {alone_ms:.2} ms alone, {beside_ms:.2} ms beside a busy process");
        println!("ratio {ratio:.2}, of which at most {} is allowed", contention::ALLOWED);
    }
    Ok(ExitCode::SUCCESS)
}

fn peak(options: &Options) -> Outcome<ExitCode> {
    let threads = options.settings().threads;
    if threads < host::cores() {
        host::pin(threads);
    }
    for peak in peak::measure(threads) {
        if options.json {
            println!("{}", serde_json::to_string(&peak)?);
        } else {
            println!("{:<14} {} threads {:>8.1} {}", peak.what, peak.threads, peak.rate, peak.unit);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn intrinsics(workloads: &[&'static Workload], options: &Options) -> Outcome<ExitCode> {
    let settings = options.settings();
    if settings.threads < host::cores() {
        host::pin(settings.threads);
    }
    let mut chosen = or_all(workloads);
    chosen.retain(|workload| !workloads.is_empty() || intrinsics::is_written(workload));
    let mut counts = vec![1, settings.threads];
    counts.dedup();
    if !options.json {
        println!(
            "{:<21} {:>7} {:>10} {:>10}  hand / dlc: above 1, dlc is faster",
            "workload", "threads", "dlc ms", "hand ms"
        );
    }
    for workload in chosen {
        generate::complete(workload, &settings.folder, false)?;
        for &threads in &counts {
            let result = intrinsics::measure(workload, &Settings { threads, ..settings.clone() })?;
            if options.json {
                println!("{}", serde_json::to_string(&result)?);
            } else {
                let intrinsics::Comparison { workload, instructions, dlc_ms, hand_ms, ratio, .. } = result;
                println!("{workload:<21} {threads:>7} {dlc_ms:>10.4} {hand_ms:>10.4}  {ratio:.2} ({instructions})");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn child(workload: &Workload, options: &Options) -> Outcome<ExitCode> {
    println!("{}", serde_json::to_string(&child::run(workload, &options.settings()))?);
    Ok(ExitCode::SUCCESS)
}

/// Keeps a core busy until the process is stopped.
fn spin() -> Outcome<ExitCode> {
    host::pin_to_last();
    let start = Instant::now();
    let mut turns = 0u64;
    // the limit is for a parent that was stopped and could not stop this process
    while start.elapsed().as_secs() < 600 {
        (0..1 << 20).for_each(|i| turns = std::hint::black_box(turns.wrapping_add(i)));
    }
    Ok(ExitCode::SUCCESS)
}
