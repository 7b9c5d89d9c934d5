//! The folder that a training writes to.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use dlc::Error;
use dlc::runtime::checkpoint;

/// The parent of the default folders.
const RUNS: &str = "runs";

/// A folder for one training.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    /// Whether this process created the folder, and its parent.
    made: bool,
    made_runs: bool,
}

impl Folder {
    /// The folder of `--folder`.
    pub fn named(path: &Path) -> Self {
        Folder { path: path.to_owned(), made: false, made_runs: false }
    }

    /// `runs/mnist-1` for `mnist.dl`, or the next free number. Created here, so that no other process takes it.
    pub fn fresh(name: &str) -> Result<Self, Error> {
        let made_runs = !Path::new(RUNS).exists();
        let mut number = 1;
        loop {
            let path = Path::new(RUNS).join(format!("{name}-{number}"));
            match fs::create_dir_all(RUNS).and_then(|()| fs::create_dir(&path)) {
                Ok(()) => return Ok(Folder { path, made: true, made_runs }),
                Err(e) if e.kind() == ErrorKind::AlreadyExists && path.exists() => number += 1,
                // another process has just removed the empty parent
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(cannot_make(&path, &e)),
            }
        }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder of a training that failed before it wrote anything.
    pub fn discard(&self) {
        if self.made && checkpoint::remove_unused(&self.path).unwrap_or(false) && self.made_runs {
            // fails for a folder that is not empty, which is kept
            let _ = fs::remove_dir(RUNS);
        }
    }
}

fn cannot_make(path: &Path, error: &io::Error) -> Error {
    Error::plain("cannot-write", format!("{} cannot be created: {error}", path.display()))
}
