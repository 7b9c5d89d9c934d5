//! The cost of checkpoints: `dlc train` of a small model for 200 epochs into a folder on a disk and into one in memory,
//! alternately.
//!
//! `cargo bench --bench disk [-- FOLDER]`, with a folder on the disk to test, by default that of the build. It fails if the disk
//! makes the whole run take more than 1.5 times as long.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Runs into each of the two folders.
const RUNS: usize = 5;
/// The maximum ratio of the time on a disk to that in memory.
const LIMIT: f64 = 1.5;

/// Seconds of one run: in total, and what it reports of its steps, validation and writing.
type Times = [f64; 4];

fn main() -> ExitCode {
    let named = std::env::args().skip(1).find(|a| !a.starts_with('-')).map(PathBuf::from);
    let disk = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    let memory = PathBuf::from("/dev/shm");
    if !memory.is_dir() {
        println!("this system has no folder in memory to compare with");
        return ExitCode::SUCCESS;
    }
    let mut times: [Vec<Times>; 2] = Default::default();
    for round in 0..=RUNS {
        for (folder, times) in [&disk, &memory].into_iter().zip(&mut times) {
            let found = train(folder);
            // the first run has cold caches
            if round > 0 {
                times.push(found);
            }
        }
    }
    let [disk, memory] = times.map(|times| median_of(&times));
    for (name, [all, steps, validation, writing]) in [("disk", disk), ("memory", memory)] {
        println!("{name:<7} {all:.3} s: steps {steps:.3} s, validation {validation:.3} s, writing {writing:.3} s");
    }
    let ratio = disk[0] / memory[0];
    println!("ratio {ratio:.2} of the medians of {RUNS} runs, at most {LIMIT}");
    if ratio > LIMIT { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// One training into a new folder.
fn train(around: &Path) -> Times {
    let folder = tempfile::Builder::new().prefix("dlc-bench-").tempdir_in(around).expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    command.arg("train").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/diabetes.dl"));
    command.arg("--folder").arg(folder.path().join("run")).arg("-o").arg(folder.path().join("out.dlx"));
    let start = Instant::now();
    let output = command.args(["--epochs", "200", "--json"]).output().expect("dlc starts");
    let all = start.elapsed().as_secs_f64();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    let end: serde_json::Value = serde_json::from_str(said.lines().last().unwrap_or_default()).expect("an event");
    let part = |name: &str| end["times"][name].as_f64().unwrap_or(f64::NAN);
    [all, part("steps"), part("validation"), part("writing")]
}

fn median_of(times: &[Times]) -> Times {
    std::array::from_fn(|i| {
        let mut column: Vec<f64> = times.iter().map(|times| times[i]).collect();
        column.sort_by(f64::total_cmp);
        column[column.len() / 2]
    })
}
