//! Atomic replacement of files: a reader, or the next start after a crash, sees the old content or the new, never a mixture.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;

/// The suffix of files that are being written, so that leftovers of a killed process can be recognised and removed.
pub(crate) const SUFFIX: &str = ".writing";

/// Links that are followed before they count as a cycle, as many as on Linux.
const MAX_LINKS: usize = 40;

/// Replaces the content of a file atomically: writes a new file beside it, syncs it, renames it over the old one, and syncs the
/// folder. If a step fails, the file is unchanged.
///
/// A link stays a link, and its target is replaced. A path that is not a regular file, such as `/dev/null` or a pipe, cannot be
/// replaced and is written to.
///
/// # Errors
/// If the operating system reports one.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if is_device(path) {
        return File::options().write(true).open(path)?.write_all(content);
    }
    let written = Written::new(path, content)?;
    written.file.as_file().sync_all()?;
    sync_folder(folder_of(&written.persist()?))
}

/// Replaces several files of one folder, each as [`write()`] does, but none before all new ones and what was appended to `others`
/// are on the disk; files are replaced in their order. All are synced concurrently.
///
/// # Errors
/// If the operating system reports one: with the file.
pub(crate) fn write_all(
    folder: &Path,
    files: &[(PathBuf, Vec<u8>)],
    others: &[(&Path, &File)],
) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    let written = files.iter().map(|(path, content)| Written::new(path, content).map_err(at(path)));
    let written = written.collect::<Result<Vec<Written>, _>>()?;
    let new = written.iter().zip(files).map(|(w, (path, _))| (path.as_path(), w.file.as_file()));
    let all: Vec<(&Path, &File)> = new.chain(others.iter().copied()).collect();
    sync_at_once(&all)?;
    for (written, (path, _)) in written.into_iter().zip(files) {
        written.persist().map_err(at(path))?;
    }
    sync_folder(folder).map_err(at(folder))
}

/// Syncs all files concurrently, so that the file system can group the waits.
fn sync_at_once(files: &[(&Path, &File)]) -> Result<(), (PathBuf, io::Error)> {
    let sync = |(path, file): (&Path, &File)| file.sync_all().map_err(|error| (path.to_owned(), error));
    let Some((&last, rest)) = files.split_last() else { return Ok(()) };
    thread::scope(|scope| {
        let started: Vec<_> =
            rest.iter().map(|&file| (file, thread::Builder::new().spawn_scoped(scope, move || sync(file)))).collect();
        let mut done = sync(last);
        for (file, started) in started {
            let this = match started {
                Ok(handle) => handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // without a thread, sync sequentially
                Err(_) => sync(file),
            };
            done = done.and(this);
        }
        done
    })
}

/// A new file beside the one that it will replace.
struct Written {
    file: tempfile::NamedTempFile,
    path: PathBuf,
}

impl Written {
    fn new(path: &Path, content: &[u8]) -> io::Result<Self> {
        let path = followed(path)?;
        let mut file = begin(&path)?;
        file.write_all(content)?;
        #[cfg(unix)]
        if let Ok(old) = fs::metadata(&path) {
            file.as_file().set_permissions(old.permissions())?;
        }
        Ok(Written { file, path })
    }

    /// Renames the synced file over the old one; the name is durable once the folder is synced.
    fn persist(self) -> io::Result<PathBuf> {
        self.file.persist(&self.path).map_err(|e| e.error)?;
        Ok(self.path)
    }
}

/// Whether [`write()`] can begin: to be checked before a long computation whose result goes to this file. Leaves nothing behind.
///
/// # Errors
/// If the folder is missing, or no file can be created in it, or the path is a folder.
pub fn check(path: &Path) -> io::Result<()> {
    // opening a pipe would wait for its reader
    if is_device(path) { Ok(()) } else { begin(&followed(path)?).map(drop) }
}

/// Whether there is something that is neither file nor folder.
fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// The target of the links at a path, whether or not it exists.
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

/// Creates the new file beside a path. Errors do not mention its name, which users do not know.
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
    // Temporary files are private to their owner; this one gets ordinary permissions, restricted by the umask.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder).map_err(|e| io::Error::from(e.kind()))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Only Unix can open a folder; elsewhere a rename is durable by itself.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Removes files that a killed process left half-written.
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
