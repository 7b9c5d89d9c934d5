//! Detects files in the folder of a training that dlc did not write, but would replace or remove.

use std::io;
use std::path::{Path, PathBuf};

use crate::{checkpoint, data, regular};

/// The first bytes of histories that dlc wrote, as CSV and as JSON lines.
const HISTORIES: [(&str, &str); 2] = [("history.csv", "epoch,step,"), ("history.jsonl", "{\"v\":1,\"epoch\":")];

/// The first file of a folder that a training there would overwrite though dlc did not write it; the folder need not exist.
///
/// # Errors
/// If the operating system reports one.
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
    // best weights of earlier versions of dlc have no mark
    if best.exists() && !trained && !data::is_ours(&best).unwrap_or(false) {
        return Ok(Some(best));
    }
    Ok(None)
}

/// Whether a training in a folder overwrites or removes files of this name.
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
