//! Where a verb writes: never over a file that it reads, and over another one only if dlc wrote it, or with `--force`.
//!
//! This is checked once, before any work; files that appear later are not looked for.

use std::path::{Path, PathBuf};

use clap::Args;
use dlc::artefact::Artefact;
use dlc::runtime::{data, foreign};
use dlc::{Error, Model, inspect};

use super::Failure;

/// Arguments of every verb with `-o`.
#[derive(Args, Debug, Clone, Copy)]
pub struct Force {
    /// Overwrite files that dlc did not write; never one that this run reads
    #[arg(long)]
    force: bool,
}

/// What is written.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// An artefact.
    Artefact,
    /// Named tensors.
    Tensors,
    /// A picture.
    Picture,
    /// A report of a benchmark.
    Report,
    /// A trace of launches.
    Trace,
}

impl Kind {
    /// The name for messages, with its article.
    fn name(self) -> &'static str {
        match self {
            Kind::Artefact => "an artefact",
            Kind::Tensors => "a file of outputs",
            Kind::Picture => "a picture",
            Kind::Report => "a report",
            Kind::Trace => "a trace",
        }
    }

    /// Whether a file is one of the kind that dlc wrote.
    fn is(self, path: &Path) -> bool {
        match self {
            Kind::Artefact => Artefact::is_one(path).unwrap_or(false),
            Kind::Tensors => data::is_ours(path).unwrap_or(false),
            Kind::Picture => inspect::read_text(path).is_ok_and(|text| dlc::draw::is_ours(&text)),
            Kind::Report => inspect::read_text(path).is_ok_and(|text| dlc::bench::report::is_ours(&text)),
            Kind::Trace => inspect::read_text(path).is_ok_and(|text| dlc::bench::trace::is_ours(&text)),
        }
    }
}

impl Force {
    /// Checks that a file of a kind can be written to a path without overwriting what must be kept.
    pub fn expect_free(self, path: &Path, kind: Kind, reads: &[PathBuf]) -> Result<(), Failure> {
        expect_unread(path, reads)?;
        let length = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map_or(0, |found| found.len());
        if length > 0 && !self.force && !kind.is(path) {
            let message = format!("{} exists and is not {} written by dlc", path.display(), kind.name());
            let error = Error::plain("would-overwrite", message);
            return Err(Failure::usage(error.help("choose another file, or overwrite it with --force")));
        }
        Ok(inspect::check_writable(path)?)
    }

    /// As [`Force::expect_free`], for the files that a model is read from.
    pub fn expect_free_of(self, path: &Path, kind: Kind, model: &Model) -> Result<(), Failure> {
        self.expect_free(path, kind, &inspect::files_of(model))
    }

    /// Checks that a training can write to a folder without overwriting what must be kept.
    pub fn expect_folder(self, folder: &Path, model: &Model) -> Result<(), Failure> {
        for read in inspect::files_of(model) {
            let inside = read.parent().is_some_and(|parent| is_same(parent, folder));
            if inside && read.file_name().and_then(|name| name.to_str()).is_some_and(foreign::is_written) {
                return Err(would_lose(&read));
            }
        }
        let found = foreign::find(folder);
        let found = found.map_err(|e| Error::plain("cannot-write", format!("{}: {e}", folder.display())))?;
        match found {
            Some(path) if !self.force => {
                let message = format!("{} exists and was not written by a training of dlc", path.display());
                let error = Error::plain("would-overwrite", message);
                Err(Failure::usage(error.help("choose another --folder, or overwrite the file with --force")))
            }
            _ => Ok(()),
        }
    }
}

/// Checks that a file is not one of those that are read.
fn expect_unread(path: &Path, reads: &[PathBuf]) -> Result<(), Failure> {
    match reads.iter().find(|read| is_same(read, path)) {
        Some(_) => Err(would_lose(path)),
        None => Ok(()),
    }
}

fn would_lose(path: &Path) -> Failure {
    let message = format!("{} is read by this run and would be overwritten", path.display());
    Failure::usage(Error::plain("would-overwrite", message).help("choose another path for the output"))
}

/// Whether two paths name the same file or folder, through links, `.` and `..`, or hard links.
fn is_same(a: &Path, b: &Path) -> bool {
    let whole = |path: &Path| (if path.as_os_str().is_empty() { Path::new(".") } else { path }).canonicalize();
    let (Ok(a), Ok(b)) = (whole(a), whole(b)) else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let number = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino()));
        if let (Ok(a), Ok(b)) = (number(&a), number(&b)) {
            return a == b;
        }
    }
    a == b
}
