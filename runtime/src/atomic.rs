//! Replacing files so that a reader, or the next start after a crash, sees the old content or the new, never a mixture.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How the names of files that are being written end, so that leftovers of a killed process can be told and removed.
pub(crate) const SUFFIX: &str = ".writing";

/// Links that lead on to each other before they count as a circle, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Replaces the content of a file atomically: written to a new file beside it, synced to the disk, renamed over it,
/// and the folder synced. If any step fails, the file is as it was.
///
/// A link stays one, and the file that it leads to is replaced. What is no file, such as `/dev/null` or a pipe, cannot be
/// replaced and is written to.
///
/// # Errors
/// If the operating system refuses a step.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if is_device(path) {
        return File::options().write(true).open(path)?.write_all(content);
    }
    let path = &followed(path)?;
    let mut file = begin(path)?;
    file.write_all(content)?;
    #[cfg(unix)]
    if let Ok(old) = fs::metadata(path) {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    sync_folder(folder_of(path))
}

/// Whether [`write()`] can begin: to be asked before long work whose result goes to this file. Nothing is left behind.
///
/// # Errors
/// If the folder is missing, or no file can be made there, or the path is that of a folder.
pub fn check(path: &Path) -> io::Result<()> {
    // opening a pipe would wait for its reader
    if is_device(path) { Ok(()) } else { begin(&followed(path)?).map(drop) }
}

/// Whether something lies there that is neither file nor folder.
fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// The path that the links at a path lead to, whether or not there is a file yet.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
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
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(SUFFIX);
    // A temporary file is for its owner only; this one becomes an ordinary file, with what the umask leaves.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder).map_err(|e| io::Error::from(e.kind()))
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    #[test]
    fn links_stay_and_what_they_lead_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        symlink("sub/link", at("link")).unwrap();
        symlink("file", at("sub/link")).unwrap();
        for content in ["made", "replaced"] {
            check(&at("link")).unwrap();
            write(&at("link"), content.as_bytes()).unwrap();
            assert!(at("link").is_symlink() && at("sub/link").is_symlink());
            assert_eq!(fs::read_to_string(at("sub/file")).unwrap(), content);
        }
        symlink("circle", at("circle")).unwrap();
        assert!(write(&at("circle"), b"").unwrap_err().to_string().contains("circle"));
    }

    #[test]
    fn what_is_no_file_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // open for both, so that neither side waits for the other
        let mut reader = File::options().read(true).write(true).open(&pipe).unwrap();
        check(&pipe).unwrap();
        write(&pipe, b"through").unwrap();
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        let mut content = [0; 7];
        reader.read_exact(&mut content).unwrap();
        assert_eq!(&content, b"through");
    }

    #[test]
    fn permissions_are_those_of_the_old_file_or_of_any_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        fs::write(folder.path().join("plain"), "").unwrap();
        write(&folder.path().join("ours"), b"").unwrap();
        assert_eq!(mode("ours"), mode("plain"));
        fs::set_permissions(folder.path().join("ours"), PermissionsExt::from_mode(0o640)).unwrap();
        write(&folder.path().join("ours"), b"again").unwrap();
        assert_eq!(mode("ours") & 0o777, 0o640);
    }
}
