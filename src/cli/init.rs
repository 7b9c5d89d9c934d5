//! `dlc init`: creates a project.

use std::path::{Path, PathBuf};

use clap::Args;
use dlc::Error;

use super::{Exit, Failure, Output, write_file};

/// Arguments of `dlc init`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The folder to create
    folder: PathBuf,
}

/// The files of the project.
const FILES: &[(&str, &[u8])] = &[
    ("mnist.dl", include_bytes!("../../examples/mnist.dl")),
    ("README.md", include_bytes!("init/README.md")),
    (".gitignore", b"runs/\n*.dlx\n"),
    ("data/mnist-train-images.gz", include_bytes!("../../examples/data/mnist-train-images.gz")),
    ("data/mnist-train-labels.gz", include_bytes!("../../examples/data/mnist-train-labels.gz")),
    ("data/mnist-test-images.gz", include_bytes!("../../examples/data/mnist-test-images.gz")),
    ("data/mnist-test-labels.gz", include_bytes!("../../examples/data/mnist-test-labels.gz")),
    ("data/README.md", include_bytes!("../../examples/data/README.md")),
];

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let folder = &arguments.folder;
    let taken = folder.exists() && std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_some());
    if taken {
        let message = format!("{} exists and is not an empty folder", folder.display());
        return Err(Error::plain("cannot-write", message).help("name a folder that does not exist yet").into());
    }
    make(&folder.join("data"))?;
    for (name, content) in FILES {
        write_file(&folder.join(name), content)?;
    }
    output.line(format!(
        "created {} with mnist.dl, README.md and data/; next: cd {} && dlc train mnist.dl",
        folder.display(),
        folder.display()
    ));
    let names: Vec<_> = FILES.iter().map(|(name, _)| name).collect();
    output.object(&serde_json::json!({ "v": 1, "folder": folder.display().to_string(), "files": names }));
    Ok(Exit::Done)
}

fn make(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Error::plain("cannot-write", format!("{} cannot be created: {e}", folder.display())))
}
