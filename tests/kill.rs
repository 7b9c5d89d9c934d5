//! A training that is killed at any moment, also while it writes a checkpoint, goes on to the very same bits.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dlc::Tensors;

/// How often the training is killed.
const KILLS: u64 = 20;

fn train(folder: &Path, resume: bool) -> Child {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/breast_cancer.dl");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    command.arg("train").arg(model).arg("--folder").arg(folder).arg("-o").arg(folder.join("out.dlx"));
    command.args(["--checkpoint-steps", "1", "--epochs", "20", "--json"]);
    if resume {
        command.arg("--resume");
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("dlc starts")
}

/// Whether a training came far enough to be gone on with.
fn has_checkpoint(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with("step-"))
}

fn finish(child: Child) {
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn weights(folder: &Path) -> Tensors {
    dlc::artefact::Artefact::read(&folder.join("out.dlx")).expect("it was written").weights
}

#[test]
fn a_killed_training_resumes_to_the_same_bits() {
    let undisturbed = tempfile::tempdir().expect("a folder");
    let start = std::time::Instant::now();
    finish(train(undisturbed.path(), false));
    let whole = start.elapsed();
    let expected = weights(undisturbed.path());
    let killed = tempfile::tempdir().expect("a folder");
    for i in 0..KILLS {
        let mut child = train(killed.path(), has_checkpoint(killed.path()));
        // spread over the time that a whole training takes
        std::thread::sleep(Duration::from_micros((whole.as_micros() as u64 * (2 * i + 1)) / (2 * KILLS)));
        child.kill().expect("it is there");
        child.wait().expect("it ends");
    }
    finish(train(killed.path(), has_checkpoint(killed.path())));
    assert_eq!(weights(killed.path()), expected);
}
