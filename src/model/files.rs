//! The files that models name: imports, relative to the file that imports.

use std::path::{Component, Path, PathBuf};

use dlc_dsl::{Loaded, Loader};
use dlc_runtime::regular;

/// Loads imports from the file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files;

impl Loader for Files {
    fn load(&mut self, from: &str, path: &str) -> Result<Loaded, String> {
        let full = PathBuf::from(joined(from, path));
        let text = regular::read_text(&full).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => format!("there is no file {}", full.display()),
            _ => format!("{} cannot be read: {e}", full.display()),
        })?;
        Ok(Loaded { name: full.display().to_string(), text })
    }
}

/// A path in a source, relative to the folder of that source.
pub(crate) fn joined(from: &str, path: &str) -> String {
    joined_to(Path::new(from).parent().unwrap_or(Path::new("")), path)
}

/// A path relative to a folder.
pub(crate) fn joined_to(folder: &Path, path: &str) -> String {
    normalized(&folder.join(path)).display().to_string()
}

/// The relative path from one folder to another, with `/` on every system; the absolute path if there is none.
pub(crate) fn between(from: &Path, to: &Path) -> String {
    let whole = |path: &Path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        // a path that does not exist yet contains no links
        path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
    };
    let (from, to) = (whole(from), whole(to));
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    if common == 0 {
        return to.display().to_string();
    }
    let up = from.components().skip(common).map(|_| "..".to_owned());
    let down = to.components().skip(common).map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// The name of a source relative to the folder of another one.
pub(crate) fn beside(folder: &Path, name: &str) -> String {
    match Path::new(name).strip_prefix(folder) {
        Ok(inner) => inner.display().to_string().replace('\\', "/"),
        Err(_) => {
            let path = Path::new(name);
            let relative = between(folder, path.parent().unwrap_or(Path::new("")));
            let file = path.file_name().map_or_else(|| name.to_owned(), |f| f.to_string_lossy().into_owned());
            if relative.is_empty() { file } else { format!("{relative}/{file}") }
        }
    }
}

/// Normalises a path: without `.` and, after a plain component, without `..`, so that two imports of a file get one name.
fn normalized(path: &Path) -> PathBuf {
    let mut normalized = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(normalized.components().next_back(), Some(Component::Normal(_))) => {
                normalized.pop();
            }
            part => normalized.push(part),
        }
    }
    normalized
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_one_name() {
        assert_eq!(normalized(Path::new("a/./b/../c.dl")), Path::new("a/c.dl"));
        assert_eq!(normalized(Path::new("../c.dl")), Path::new("../c.dl"));
        assert_eq!(normalized(Path::new("/x/../c.dl")), Path::new("/c.dl"));
    }

    #[test]
    fn relative_paths_of_folders() {
        let relative = |from: &str, to: &str| between(Path::new(from), Path::new(to));
        assert_eq!(relative("nowhere/a", "nowhere/a"), "");
        assert_eq!(relative("nowhere", "nowhere/a/b"), "a/b");
        assert_eq!(relative("nowhere/a/b", "nowhere/c"), "../../c");
        assert_eq!(beside(Path::new("a"), "a/m.dl"), "m.dl");
        assert_eq!(beside(Path::new("nowhere/a"), "nowhere/m.dl"), "../m.dl");
    }
}
