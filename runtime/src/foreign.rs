//! Files in the folder of a training that no training wrote, and that it would replace or remove.

use std::io;
use std::path::{Path, PathBuf};

use crate::{checkpoint, data, regular};

/// How the lines of a history begin that a training wrote: those for people's tools, and those for programs.
const HISTORIES: [(&str, &str); 2] = [("history.csv", "epoch,step,"), ("history.jsonl", "{\"v\":1,\"epoch\":")];

/// The first file of a folder that a training there would write over though none wrote it; the folder need not be there.
///
/// # Errors
/// If the operating system refuses.
pub fn find(folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut trained = false;
    for (name, start) in HISTORIES {
        let path = folder.join(name);
        match regular::read_text(&path) {
            Ok(text) if text.is_empty() => {}
            Ok(text) if text.starts_with(start) => trained = true,
            Ok(_) => return Ok(Some(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) if e.kind() == io::ErrorKind::InvalidData => return Ok(Some(path)),
            Err(e) => return Err(e),
        }
    }
    let best = folder.join(checkpoint::BEST);
    // those of an earlier dlc do not say whose they are
    if best.exists() && !trained && !data::is_ours(&best).unwrap_or(false) {
        return Ok(Some(best));
    }
    Ok(None)
}

/// Whether a training in a folder writes over files of this name, or removes them.
pub fn is_written(name: &str) -> bool {
    HISTORIES.iter().any(|(history, _)| *history == name) || checkpoint::is_own(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_no_training_wrote_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert_eq!(find(&path("none")).unwrap(), None);
        for (name, theirs, ours) in [
            ("history.csv", "year,king\n", "epoch,step,train.loss\n1,2,0.5\n"),
            ("history.jsonl", "{}\n", "{\"v\":1,\"epoch\":1,\"step\":2}\n"),
        ] {
            fs::write(path(name), theirs).unwrap();
            assert_eq!(find(folder.path()).unwrap(), Some(path(name)));
            fs::write(path(name), ours).unwrap();
            assert_eq!(find(folder.path()).unwrap(), None, "{name}");
            fs::remove_file(path(name)).unwrap();
        }
        fs::write(path("best.safetensors"), "theirs").unwrap();
        assert_eq!(find(folder.path()).unwrap(), Some(path("best.safetensors")));
        crate::Tensors::new().save(path("best.safetensors")).unwrap();
        assert_eq!(find(folder.path()).unwrap(), None);
        assert!(is_written("step-0000000007.safetensors") && is_written("history.csv") && !is_written("data.csv"));
    }
}
