//! Replacing files so that a reader, or the next start after a crash, sees the old content or the new, never a mixture.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// How the names of files that are being written end, so that leftovers of a killed process can be told and removed.
pub(crate) const SUFFIX: &str = ".writing";

/// Replaces the content of a file atomically: written to a new file beside it, synced to the disk, renamed over it,
/// and the folder synced. If any step fails, the file is as it was.
///
/// # Errors
/// If the operating system refuses a step.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let mut file = begin(path)?;
    file.write_all(content)?;
    // A temporary file is readable by its owner only; the file that it becomes is an ordinary one.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).map_or(0o644, |old| old.permissions().mode() & 0o777);
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    sync_folder(folder)
}

/// Whether [`write()`] can begin: to be asked before long work whose result goes to this file. Nothing is left behind.
///
/// # Errors
/// If the folder is missing, or no file can be made there, or the path is that of a folder.
pub fn check(path: &Path) -> io::Result<()> {
    begin(path).map(drop)
}

/// The new file beside a path. Errors do not speak of its name, which nobody has heard of.
fn begin(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder = folder_of(path);
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    if !folder.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no folder {}", folder.display())));
    }
    let file = tempfile::Builder::new().prefix(".").suffix(SUFFIX).tempfile_in(folder);
    file.map_err(|e| io::Error::from(e.kind()))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Only Unix lets a folder be opened; elsewhere a rename is durable by itself.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Removes what a killed process left half-written in a folder.
pub(crate) fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|n| n.starts_with('.') && n.ends_with(SUFFIX)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The folder that a path is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
