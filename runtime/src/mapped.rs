//! Files that are mapped: their bytes are read when they are used, and only those that are.

#![allow(unsafe_code, reason = "the bytes of a mapped file")]

use std::io;
use std::path::Path;

use dlc_ir::Memory;

use crate::regular;

/// Smaller files are read: for them a mapping costs more than a copy.
#[cfg(unix)]
const SMALL: u64 = 1 << 20;

/// The bytes of a regular file, mapped if there are many.
///
/// A mapped file must not be overwritten in place while its bytes are used: they would change, and if the file became shorter, the
/// system would end the process. One that is replaced by another file of its name, as dlc and most tools do, stays what it was. Windows
/// replaces no file that is mapped, so none is mapped there.
///
/// # Errors
/// If there is none, it is something else, or the operating system reports an error.
pub fn bytes(path: &Path) -> io::Result<Memory> {
    #[cfg(unix)]
    {
        let file = regular::open(path)?;
        if file.metadata()?.len() >= SMALL {
            // SAFETY: nobody changes the file, which is what everyone who maps one has to rely upon.
            let map = unsafe { memmap2::Mmap::map(&file)? };
            let length = map.len();
            return Ok(Memory::lent(std::sync::Arc::new(map), 0..length));
        }
    }
    regular::memory(path)
}
