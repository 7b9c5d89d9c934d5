//! Opens files for reading. Only regular files are read: a pipe or a device may never end, and a folder has no bytes.

use std::fs::{self, File, FileType};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use dlc_ir::Memory;

/// Opens a regular file. A link is followed.
///
/// # Errors
/// If there is none, it is something else, or the operating system reports an error.
pub fn open(path: &Path) -> io::Result<File> {
    // checked before it is opened, since opening a pipe waits for a writer
    expect(fs::metadata(path)?.file_type())?;
    let file = File::open(path)?;
    expect(file.metadata()?.file_type())?;
    Ok(file)
}

/// The bytes of a regular file.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The bytes of a regular file, in memory of their own.
///
/// # Errors
/// As [`open`], and if there is no memory for them.
pub fn memory(path: &Path) -> io::Result<Memory> {
    let mut file = open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
    let mut memory = Memory::try_new(length).map_err(|e| io::Error::new(ErrorKind::OutOfMemory, e))?;
    file.read_exact(memory.bytes_mut())?;
    Ok(memory)
}

/// The text of a regular file.
///
/// # Errors
/// As [`open`], and if it is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// A description of what is not a regular file, with its article.
fn irregular(kind: FileType) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Some("a pipe");
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
    }
    if kind.is_dir() {
        return Some("a folder");
    }
    (!kind.is_file()).then_some("something else")
}

fn expect(kind: FileType) -> io::Result<()> {
    let Some(what) = irregular(kind) else { return Ok(()) };
    let error = if kind.is_dir() { ErrorKind::IsADirectory } else { ErrorKind::InvalidInput };
    Err(io::Error::new(error, format!("this is {what}, not a regular file")))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_may_never_end_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, what) in [
            (pipe.as_path(), "a pipe"),
            (link.as_path(), "a pipe"),
            (socket.as_path(), "a socket"),
            (folder.path(), "a folder"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            for error in [read(path).unwrap_err(), read_text(path).unwrap_err()] {
                assert_eq!(error.to_string(), format!("this is {what}, not a regular file"));
            }
        }
        assert_eq!(read(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
