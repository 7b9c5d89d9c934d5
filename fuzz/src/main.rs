//! Runs fuzz targets for some seconds each and reports the counts.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use dlc_fuzz::{TARGETS, Target};

/// Runs fuzz targets on seeded mutations of the repository's own files.
#[derive(Parser)]
struct Cli {
    /// A target, or `all`
    target: String,
    /// Seconds for each target
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The seed of the mutations
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Runs the target on this file only, unchanged
    #[arg(long)]
    input: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let chosen: Vec<&Target> = TARGETS.iter().filter(|t| cli.target == "all" || t.name == cli.target).collect();
    if chosen.is_empty() {
        eprintln!("the targets are all, {}", TARGETS.iter().map(|t| t.name).collect::<Vec<_>>().join(", "));
        return ExitCode::from(2);
    }
    if let Some(path) = &cli.input {
        return replay(&chosen, path);
    }
    // panics are expected, and reported below with their input
    std::panic::set_hook(Box::new(|_| {}));
    let queue = std::sync::Mutex::new(chosen.into_iter());
    let failed = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let work = || {
                while let Some(target) = next(&queue) {
                    let start = Instant::now();
                    let report = target.search(cli.seed, |_| start.elapsed() >= Duration::from_secs(cli.seconds));
                    println!("{:<12} {:>9} runs, {:>9} valid", target.name, report.runs, report.valid);
                    if let Some((input, message)) = report.crash {
                        failed.store(true, std::sync::atomic::Ordering::Relaxed);
                        let path = std::env::temp_dir().join(format!("dlc-crash-{}", target.name));
                        let place = std::fs::write(&path, &input)
                            .map_or_else(|e| e.to_string(), |()| path.display().to_string());
                        println!("{:<12} crashed; the input is in {place}\n{message}", target.name);
                    }
                }
            };
            std::thread::Builder::new().stack_size(8 << 20).spawn_scoped(scope, work).expect("a thread");
        }
    });
    if failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs targets on one file; a panic is not caught.
fn replay(targets: &[&Target], path: &std::path::Path) -> ExitCode {
    let input = match std::fs::read(path) {
        Ok(input) => input,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return ExitCode::from(2);
        }
    };
    for target in targets {
        println!("{:<12} {}", target.name, if (target.run)(&input) { "valid" } else { "refused" });
    }
    ExitCode::SUCCESS
}

fn next(queue: &std::sync::Mutex<impl Iterator<Item = &'static Target>>) -> Option<&'static Target> {
    queue.lock().ok()?.next()
}
