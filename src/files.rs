//! The files that models name: imports, relative to the file that imports.

use std::path::{Component, Path, PathBuf};

use dlc_dsl::{Loaded, Loader};

/// Loads imports from the file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files;

impl Loader for Files {
    fn load(&mut self, from: &str, path: &str) -> Result<Loaded, String> {
        let full = PathBuf::from(joined(from, path));
        let text = std::fs::read_to_string(&full).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => format!("there is no file {}", full.display()),
            _ => format!("{} cannot be read: {e}", full.display()),
        })?;
        Ok(Loaded { name: full.display().to_string(), text })
    }
}

/// A path that a text names, relative to that text's folder.
pub(crate) fn joined(from: &str, path: &str) -> String {
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    tidy(&folder.join(path)).display().to_string()
}

/// The path without `.` and, where that is plain, without `..`: two imports of one file get one name.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(tidy.components().next_back(), Some(Component::Normal(_))) => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_one_name() {
        assert_eq!(tidy(Path::new("a/./b/../c.dl")), Path::new("a/c.dl"));
        assert_eq!(tidy(Path::new("../c.dl")), Path::new("../c.dl"));
        assert_eq!(tidy(Path::new("/x/../c.dl")), Path::new("/c.dl"));
    }
}
