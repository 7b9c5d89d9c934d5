//! Fuzz targets: functions of bytes that must not panic, and return whether the input passed the first check.
//!
//! `cargo run --release -p dlc-fuzz -- all --seconds 60` runs them on stable Rust with seeded mutations of the repository's own
//! files. On nightly, `cargo fuzz` can drive the same functions: a target is `fn(&[u8]) -> bool`.

mod artefact;
mod data;
mod graph;
mod jit;
pub mod language;
mod mutate;

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use mutate::mutate;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// The property that it tests.
    pub doc: &'static str,
    /// Runs one input; returns whether it was valid. Panics if dlc is wrong.
    pub run: fn(&[u8]) -> bool,
    /// The initial corpus.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Statistics of a target.
#[derive(Debug)]
pub struct Report {
    /// Inputs tried.
    pub runs: u64,
    /// How many of them passed the first check.
    pub valid: u64,
    /// The input that made it panic, with the message of the panic.
    pub crash: Option<(Vec<u8>, String)>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "dl",
        doc: "any text parses or says why; what parses is formatted to the same tree, and comes back from RON",
        run: language::dl,
        seeds: || files(&["examples", "dsl/tests"], &["dl"]),
    },
    Target {
        name: "ron",
        doc: "any RON parses or says why; what parses is formatted, and comes back from both forms, as the same tree",
        run: language::ron,
        seeds: || files(&["examples", "dsl/tests"], &["ron"]),
    },
    Target {
        name: "lower",
        doc: "any model of either form becomes well-formed graphs or says why",
        run: language::lower,
        seeds: || files(&["examples", "dsl/tests"], &["dl", "ron"]),
    },
    Target {
        name: "dlir",
        doc: "any .dlir parses or says why; what parses prints to what parses to the same graph",
        run: graph::round_trip,
        seeds: graph_seeds,
    },
    Target {
        name: "optimise",
        doc: "passes that must keep every bit do, by the interpreter",
        run: graph::optimise,
        seeds: graph_seeds,
    },
    Target {
        name: "jit-matches",
        doc: "any .dlir compiles, and runs to the bits of the kernel interpreter and, where arithmetic is exact, of the graph's",
        run: jit::matches,
        seeds: graph_seeds,
    },
    Target {
        name: "dlx",
        doc: "any bytes load as an artefact or are refused; what loads is written as the same bytes",
        run: artefact::load,
        seeds: artefact::seeds,
    },
    Target {
        name: "dlx-runs",
        doc: "any .dlir in an artefact with right hashes is refused, or runs within its buffers",
        run: artefact::run,
        seeds: graph_seeds,
    },
    Target {
        name: "data",
        doc: "any bytes read as IDX, CSV, NPY, NPZ or safetensors or are refused",
        run: data::read,
        seeds: data::seeds,
    },
];

impl Target {
    /// Runs the target on its corpus and then on mutations of it, until it panics or `enough` holds of the number of runs.
    pub fn search(&self, seed: u64, mut enough: impl FnMut(u64) -> bool) -> Report {
        let mut seeds = (self.seeds)();
        seeds.extend(self.regressions().into_iter().map(|(_, input)| input));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut report = Report { runs: 0, valid: 0, crash: None };
        let mut unchanged = seeds.clone().into_iter();
        while !enough(report.runs) {
            let input = unchanged.next().unwrap_or_else(|| mutate(&mut rng, &seeds, 1 << 14));
            report.runs += 1;
            match std::panic::catch_unwind(|| (self.run)(&input)) {
                Ok(valid) => report.valid += u64::from(valid),
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().map(String::as_str);
                    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it said nothing");
                    report.crash = Some((input, text.to_owned()));
                    break;
                }
            }
        }
        report
    }

    /// Inputs that once made it panic, by the names of their files in `fuzz/regressions/`.
    pub fn regressions(&self) -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions").join(self.name);
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        paths.sort();
        let read = |path: PathBuf| Some((path.file_name()?.to_string_lossy().into_owned(), std::fs::read(&path).ok()?));
        paths.into_iter().filter_map(read).collect()
    }
}

fn graph_seeds() -> Vec<Vec<u8>> {
    files(&["tests/ir", "compiler/tests", "examples"], &["dlir"])
}

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("fuzz/ lies in the root").to_owned()
}

/// The content of every file with one of the extensions below the folders, in the order of their paths.
fn files(folders: &[&str], extensions: &[&str]) -> Vec<Vec<u8>> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut paths = vec![];
    for folder in folders {
        walk(&root().join(folder), &mut paths);
    }
    paths.sort();
    let wanted = |p: &&PathBuf| p.extension().is_some_and(|e| extensions.iter().any(|x| e == *x));
    paths.iter().filter(wanted).filter_map(|p| std::fs::read(p).ok()).collect()
}
