//! A training that is killed at any moment, also while it writes a checkpoint, resumes to the same bits.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dlc::Tensors;

/// How often a running training is killed.
const KILLS: usize = 20;
/// How many of these must hit a checkpoint that is being written.
const TORN: usize = 3;
/// Enough steps that the training outlasts any sequence of kills.
const EPOCHS: &str = "40";

/// A pseudo-random generator with a fixed seed, so that failures are as reproducible as timing allows.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

fn train(folder: &Path, extra: &[&str]) -> Child {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/breast_cancer.dl");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    command.arg("train").arg(model).arg("--folder").arg(folder).arg("-o").arg(folder.join("out.dlx"));
    if !extra.contains(&"--epochs") {
        command.args(["--epochs", EPOCHS]);
    }
    command.arg("--json").args(extra);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("dlc starts")
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| e.file_name().to_string_lossy().into_owned())
}

/// The step of the latest checkpoint, if there is one.
fn latest(folder: &Path) -> Option<u64> {
    let step = |name: String| name.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok();
    names(folder).filter_map(step).max()
}

fn is_writing(folder: &Path) -> bool {
    names(folder).any(|name| name.ends_with(".writing"))
}

/// Waits for a condition; false if the training ends before.
fn wait_for(child: &mut Child, reached: impl Fn() -> bool) -> bool {
    while child.try_wait().expect("it is ours").is_none() {
        if reached() {
            return true;
        }
        std::thread::sleep(Duration::from_micros(20));
    }
    false
}

/// Lets a training run for some steps and kills it within another; returns whether it was still running.
fn kill_within(folder: &Path, rng: &mut Rng) -> bool {
    let before = latest(folder);
    let resume: &[&str] = if before.is_some() { &["--resume"] } else { &[] };
    let mut child = train(folder, &[&["--checkpoint-steps", "1"], resume].concat());
    let goal = before.unwrap_or(0) + 1 + rng.below(4);
    let mut runs = wait_for(&mut child, || latest(folder) >= Some(goal));
    if rng.below(2) == 0 {
        // as soon as a file is being written
        runs = runs && wait_for(&mut child, || is_writing(folder));
    } else {
        // anywhere within a step
        std::thread::sleep(Duration::from_micros(rng.below(1000)));
    }
    runs = runs && child.try_wait().expect("it is ours").is_none();
    child.kill().expect("it is there");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    // it may have ended just before
    runs && !output.status.success()
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
    finish(train(undisturbed.path(), &[]));
    let killed = tempfile::tempdir().expect("a folder");
    let (mut rng, mut kills, mut torn) = (Rng(1), 0, 0);
    while kills < KILLS || torn < TORN {
        assert!(
            kill_within(killed.path(), &mut rng),
            "the training has ended after {kills} kills, {torn} of them within a write"
        );
        kills += 1;
        torn += usize::from(is_writing(killed.path()));
    }
    println!("{kills} kills, {torn} within a write, until step {}", latest(killed.path()).unwrap_or(0));
    finish(train(killed.path(), &["--resume"]));
    assert_eq!(weights(killed.path()), weights(undisturbed.path()));
}

#[test]
fn a_training_that_is_killed_before_its_first_checkpoint_starts_again() {
    let undisturbed = tempfile::tempdir().expect("a folder");
    finish(train(undisturbed.path(), &["--epochs", "3"]));
    let killed = tempfile::tempdir().expect("a folder");
    for resume in [&[][..], &["--resume"]] {
        // far more than it comes to
        let mut child = train(killed.path(), &[&["--epochs", "1000000"], resume].concat());
        assert!(wait_for(&mut child, || killed.path().join(".lock").exists()), "it runs");
        child.kill().expect("it is there");
        child.wait().expect("it ends");
    }
    if let Some(step) = latest(killed.path()) {
        // a machine on which a second passes between the two
        println!("it came to a checkpoint in step {step}");
        return;
    }
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/breast_cancer.dl");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    command.arg("train").arg(model).arg("--folder").arg(killed.path()).arg("-o").arg(killed.path().join("out.dlx"));
    let output = command.args(["--epochs", "3", "--resume", "--json"]).output().expect("dlc starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(r#""event":"anew""#), "{said}");
    assert_eq!(weights(killed.path()), weights(undisturbed.path()));
}
