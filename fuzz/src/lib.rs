//! Fuzz targets: functions on bytes that must not panic, and whose input counts as valid if it got past the first check.
//!
//! `cargo run --release -p dlc-fuzz -- all --seconds 60` runs them on stable Rust with seeded mutations of the repository's own files.
//! Where there is a nightly, `cargo fuzz` can drive the same functions: a target is `fn(&[u8]) -> bool`.

mod artefact;
mod data;
mod graph;
mod jit;
mod language;
pub mod mutate;

use std::path::{Path, PathBuf};

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it holds dlc to.
    pub doc: &'static str,
    /// Runs one input; whether it was valid. Panics if dlc is wrong.
    pub run: fn(&[u8]) -> bool,
    /// The inputs that mutation begins with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "dl",
        doc: "any text parses or says why; what parses is formatted to the same tree, and formatting again changes nothing",
        run: language::dl,
        seeds: || files(&["examples", "dsl/tests"], &["dl"]),
    },
    Target {
        name: "ron",
        doc: "any RON parses or says why; what parses comes back from both forms as the same tree",
        run: language::ron,
        seeds: || files(&["examples", "dsl/tests"], &["ron"]),
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
        name: "data",
        doc: "any bytes read as IDX, CSV, NPY, NPZ or safetensors or are refused",
        run: data::read,
        seeds: data::seeds,
    },
];

impl Target {
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
