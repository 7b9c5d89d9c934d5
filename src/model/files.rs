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

/// A path that a text names, relative to that text's folder.
pub(crate) fn joined(from: &str, path: &str) -> String {
    joined_to(Path::new(from).parent().unwrap_or(Path::new("")), path)
}

/// A path relative to a folder.
pub(crate) fn joined_to(folder: &Path, path: &str) -> String {
    tidy(&folder.join(path)).display().to_string()
}

/// The way from one folder to another, with `/` on every system; the whole path where there is none.
pub(crate) fn between(from: &Path, to: &Path) -> String {
    let whole = |path: &Path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        // what does not exist yet has no links either
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

/// The name of a text relative to the folder of another one.
pub(crate) fn beside(folder: &Path, name: &str) -> String {
    match Path::new(name).strip_prefix(folder) {
        Ok(inner) => inner.display().to_string().replace('\\', "/"),
        Err(_) => {
            let path = Path::new(name);
            let way = between(folder, path.parent().unwrap_or(Path::new("")));
            let file = path.file_name().map_or_else(|| name.to_owned(), |f| f.to_string_lossy().into_owned());
            if way.is_empty() { file } else { format!("{way}/{file}") }
        }
    }
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

    #[test]
    fn the_way_from_folder_to_folder() {
        let way = |from: &str, to: &str| between(Path::new(from), Path::new(to));
        assert_eq!(way("nowhere/a", "nowhere/a"), "");
        assert_eq!(way("nowhere", "nowhere/a/b"), "a/b");
        assert_eq!(way("nowhere/a/b", "nowhere/c"), "../../c");
        assert_eq!(beside(Path::new("a"), "a/m.dl"), "m.dl");
        assert_eq!(beside(Path::new("nowhere/a"), "nowhere/m.dl"), "../m.dl");
    }
}
