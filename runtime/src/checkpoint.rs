//! Checkpoints: the whole state of a training in one file, and the folder that holds the latest of them.
//!
//! A checkpoint is a safetensors file that any reader of weights can open. Its metadata entry `dlc.checkpoint` is JSON:
//! `{"v":1,"blake3":"...","meta":{...}}`. The hash covers the metadata as written and all names, types, shapes and bytes of the
//! tensors. The file is written by [`crate::atomic`], so a killed process leaves the previous checkpoint or the next one, and the
//! hash detects corruption on disk.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

mod identity;

pub use identity::{Difference, RunIdentity, TEXT};

use crate::data::{DataError, safetensors};
use crate::history::History;
use crate::shuffle::Cursor;
use crate::{Tensors, atomic};

const VERSION: u32 = 2;
const KEY: &str = "dlc.checkpoint";
const PREFIX: &str = "step-";
const EXTENSION: &str = ".safetensors";
/// The file of the best weights.
pub(crate) const BEST: &str = "best.safetensors";
const LOCK: &str = ".lock";

/// The metadata of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// The next batch.
    pub cursor: Cursor,
    /// The planned length of the training.
    pub length: Length,
    /// The identity of the training: it can only be resumed with the same.
    #[serde(rename = "origin")]
    pub identity: RunIdentity,
    /// The best epoch so far, with the value that was compared.
    pub best: Option<Best>,
}

impl Meta {
    /// Whether all batches of the current epoch are done, so that only its end remains: the cursor runs ahead.
    pub(crate) fn has_all_batches(&self) -> bool {
        self.cursor.epoch > self.epoch
    }
}

/// The length of a training: epochs or steps. It may be resumed with a longer or shorter one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Length {
    /// Total number of epochs.
    pub epochs: Option<u64>,
    /// Total number of steps.
    pub steps: Option<u64>,
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.epochs, self.steps) {
            (Some(epochs), Some(steps)) => write!(f, "epochs = {epochs}, steps = {steps}"),
            (Some(epochs), None) => write!(f, "epochs = {epochs}"),
            (None, Some(steps)) => write!(f, "steps = {steps}"),
            (None, None) => write!(f, "no end"),
        }
    }
}

/// The best epoch of a training so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// From 1.
    pub epoch: u64,
    /// The value that was compared.
    pub value: f64,
}

/// The state of a training between two steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    pub meta: Meta,
    /// Parameters, optimiser and batch-norm state, sums of the current epoch.
    pub tensors: Tensors,
}

/// Why a checkpoint cannot be written, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file is missing or not a safetensors file.
    #[error(transparent)]
    File(#[from] DataError),
    /// The file has weights, but is not a checkpoint.
    #[error("{}: this holds tensors, but it is not a checkpoint: {why}", .path.display())]
    NotCheckpoint { path: PathBuf, why: String },
    #[error("{}: this is a checkpoint of version {found}; this dlc reads version {VERSION}", .path.display())]
    Version { path: PathBuf, found: u32 },
    #[error("{}: the checkpoint is damaged: its checksum does not match", .path.display())]
    Damaged { path: PathBuf },
    /// The checkpoint belongs to another training.
    #[error("{}: the checkpoint belongs to another run: {}", .path.display(), listed(.differences))]
    Other { path: PathBuf, differences: Vec<Difference> },
    /// Another process is training in the folder.
    #[error("{}: another training is writing here", .path.display())]
    InUse { path: PathBuf },
    /// An error of the operating system.
    #[error("{}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
}

impl CheckpointError {
    /// The code in `error[...]`.
    pub fn code(&self) -> &'static str {
        match self {
            CheckpointError::File(e) => e.code(),
            CheckpointError::NotCheckpoint { .. } | CheckpointError::Version { .. } => "wrong-format",
            CheckpointError::Damaged { .. } => "damaged-file",
            CheckpointError::Other { .. } => "other-training",
            CheckpointError::InUse { .. } => "folder-in-use",
            CheckpointError::Io { .. } => "io",
        }
    }
}

fn listed(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[derive(Deserialize)]
struct Envelope<'a> {
    v: u32,
    blake3: String,
    #[serde(borrow)]
    meta: &'a RawValue,
}

impl Checkpoint {
    /// Writes the checkpoint to a file, atomically; equal checkpoints give equal bytes.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        atomic::write(path, &self.to_bytes(path)?).map_err(io_error(path))
    }

    /// The content of its file.
    fn to_bytes(&self, path: &Path) -> Result<Vec<u8>, CheckpointError> {
        let meta = serde_json::to_string(&self.meta).map_err(io::Error::other).map_err(io_error(path))?;
        let hash = digest(&meta, &self.tensors);
        let text = format!("{{\"v\":{VERSION},\"blake3\":\"{hash}\",\"meta\":{meta}}}");
        Ok(safetensors::to_bytes(&self.tensors, &BTreeMap::from([(KEY.to_owned(), text)])))
    }

    /// Reads a checkpoint and verifies its checksum.
    ///
    /// # Errors
    /// If the file is missing, damaged, or not a checkpoint.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let content = safetensors::read(path)?;
        let not = |why: String| CheckpointError::NotCheckpoint { path: path.to_owned(), why };
        let text = content.metadata.get(KEY).ok_or_else(|| not(format!("it has no text `{KEY}`")))?;
        let envelope: Envelope = serde_json::from_str(text).map_err(|e| not(e.to_string()))?;
        if envelope.v != VERSION {
            return Err(CheckpointError::Version { path: path.to_owned(), found: envelope.v });
        }
        if envelope.blake3 != digest(envelope.meta.get(), &content.tensors) {
            return Err(CheckpointError::Damaged { path: path.to_owned() });
        }
        let meta = serde_json::from_str(envelope.meta.get()).map_err(|e| not(e.to_string()))?;
        Ok(Checkpoint { meta, tensors: content.tensors })
    }
}

fn digest(meta: &str, tensors: &Tensors) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(meta.len() as u64).to_le_bytes());
    hasher.update(meta.as_bytes());
    hasher.update(&safetensors::to_bytes(tensors, &BTreeMap::new()));
    hasher.finalize().to_hex().to_string()
}

/// The checkpoints of one training: a folder with the last few. While this value exists, the folder is locked against others, in
/// this process or another; the lock of a killed process is released.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    keep: usize,
    _lock: File,
}

/// The checkpoint to resume from.
#[derive(Debug, Default)]
pub struct Latest {
    /// The latest intact checkpoint, and its file.
    pub found: Option<(PathBuf, Checkpoint)>,
    /// Later files that could not be used, the latest first: worth a warning.
    pub skipped: Vec<CheckpointError>,
}

impl Store {
    /// Opens a folder, creates it if necessary, and removes half-written files of a killed process. `keep` is how many
    /// checkpoints are kept, at least 1; older ones are removed as new ones are written.
    ///
    /// # Errors
    /// If another training has the folder open, or the operating system reports an error.
    pub fn open(folder: &Path, keep: usize) -> Result<Self, CheckpointError> {
        fs::create_dir_all(folder).map_err(io_error(folder))?;
        let lock = lock(folder)?;
        atomic::remove_leftovers(folder).map_err(io_error(folder))?;
        Ok(Store { folder: folder.to_owned(), keep: keep.max(1), _lock: lock })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of the best weights.
    pub fn best(&self) -> PathBuf {
        self.folder.join(BEST)
    }

    /// Adds a checkpoint, then removes surplus ones. Files of later steps are removed first: they belong to an abandoned
    /// continuation.
    ///
    /// # Errors
    /// If the operating system reports one. If removing fails, the new checkpoint is safe already.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<PathBuf, CheckpointError> {
        self.save_with(checkpoint, None, None)
    }

    /// The same together with the best weights, if they are new, and the history so far: the checkpoint only appears once those
    /// are on the disk.
    pub(crate) fn save_with(
        &self,
        checkpoint: &Checkpoint,
        best: Option<&Tensors>,
        history: Option<&History>,
    ) -> Result<PathBuf, CheckpointError> {
        let step = checkpoint.meta.step;
        let path = self.folder.join(format!("{PREFIX}{step:010}{EXTENSION}"));
        let best = best.map(|tensors| (self.best(), safetensors::to_bytes(tensors, &BTreeMap::new())));
        let files: Vec<_> = best.into_iter().chain([(path.clone(), checkpoint.to_bytes(&path)?)]).collect();
        let lines: Vec<_> = history.into_iter().flat_map(History::files).collect();
        atomic::write_all(&self.folder, &files, &lines).map_err(|(path, error)| CheckpointError::Io { path, error })?;
        let files = self.files()?;
        let (later, mut kept): (Vec<_>, Vec<_>) = files.into_iter().partition(|(s, _)| *s > step);
        let too_many = kept.len().saturating_sub(self.keep);
        for (_, old) in later.into_iter().chain(kept.drain(..too_many)) {
            fs::remove_file(&old).map_err(io_error(&old))?;
        }
        Ok(path)
    }

    /// The latest checkpoint that can be read.
    ///
    /// # Errors
    /// If the folder cannot be listed; damaged files are skipped and reported in the result.
    pub fn latest(&self) -> Result<Latest, CheckpointError> {
        let mut latest = Latest::default();
        for (_, path) in self.files()?.into_iter().rev() {
            match Checkpoint::read(&path) {
                Ok(checkpoint) => {
                    latest.found = Some((path, checkpoint));
                    break;
                }
                Err(e) => latest.skipped.push(e),
            }
        }
        Ok(latest)
    }

    /// Whether there are neither checkpoints nor best weights.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn is_empty(&self) -> Result<bool, CheckpointError> {
        Ok(!self.best().exists() && self.files()?.is_empty())
    }

    /// Removes all checkpoints and the best weights, for a training that starts from scratch in the folder.
    ///
    /// # Errors
    /// If the operating system reports one.
    pub fn clear(&self) -> Result<(), CheckpointError> {
        let best = Some(self.best()).filter(|path| path.exists());
        let old: Vec<PathBuf> = self.files()?.into_iter().map(|(_, path)| path).chain(best).collect();
        if old.is_empty() {
            return Ok(());
        }
        for path in old {
            fs::remove_file(&path).map_err(io_error(&path))?;
        }
        atomic::sync_folder(&self.folder).map_err(io_error(&self.folder))
    }

    /// The files of checkpoints, by step.
    fn files(&self) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(io_error(&self.folder))? {
            let name = entry.map_err(io_error(&self.folder))?.file_name();
            files.extend(name.to_str().and_then(step_of).map(|step| (step, self.folder.join(&name))));
        }
        files.sort();
        Ok(files)
    }
}

/// The step of a checkpoint, by the name of its file.
fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.strip_suffix(EXTENSION)?.parse().ok()
}

/// Whether a folder of checkpoints may contain a file of this name.
pub(crate) fn is_own(name: &str) -> bool {
    name == BEST || step_of(name).is_some()
}

/// Whether a training was started in a folder, however far it came: one that was killed early has no checkpoint yet.
pub fn is_begun(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.into_iter().any(|name| name == LOCK || (name.starts_with(PREFIX) && name.ends_with(EXTENSION)))
}

/// Removes a folder in which no training has kept anything and none is running; returns whether it is gone.
///
/// # Errors
/// If the operating system reports one, or another training has the folder open.
pub fn remove_unused(folder: &Path) -> Result<bool, CheckpointError> {
    let mut entries = fs::read_dir(folder).map_err(io_error(folder))?.flatten();
    if entries.any(|entry| entry.file_name() != LOCK) {
        return Ok(false);
    }
    let _lock = lock(folder)?;
    let path = folder.join(LOCK);
    fs::remove_file(&path).map_err(io_error(&path))?;
    fs::remove_dir(folder).map_err(io_error(folder))?;
    Ok(true)
}

/// Locks a folder until the file is closed, at the latest by the end of the process.
fn lock(folder: &Path) -> Result<File, CheckpointError> {
    let path = folder.join(LOCK);
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(io_error(&path))?;
    // A process that another thread is just spawning has a copy of every open file until it executes its own program: for that
    // moment a lock outlives its owner.
    let mut attempts = (0..20).map(|attempt| {
        std::thread::sleep(Duration::from_millis(if attempt == 0 { 0 } else { 5 }));
        lock.try_lock()
    });
    let taken = attempts.find(|taken| !matches!(taken, Err(TryLockError::WouldBlock)));
    match taken.unwrap_or(Err(TryLockError::WouldBlock)) {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(CheckpointError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(CheckpointError::Io { path, error }),
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    |error| CheckpointError::Io { path, error }
}
