//! What is said of a training: its end, its interruption, and what keeps it from beginning.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{classifier, complaint, dlc, json, text};

/// Runs `dlc` in a folder, so that `runs/` lies there.
fn dlc_in(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    command.current_dir(folder).args(arguments).output().expect("dlc starts")
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_says_where_it_is_and_how_to_go_on() {
    let (folder, _) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    for more in [&["--json"][..], &[]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
        command.current_dir(folder.path()).args(["train", "m.dl", "--epochs", "1000000"]).args(more);
        let child = command.stdout(Stdio::piped()).spawn().expect("dlc starts");
        let runs = if more.is_empty() { "runs/m-2" } else { "runs/m-1" };
        while !folder.path().join(runs).join("history.csv").exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("it is there");
        assert!(killed.success());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(130));
        if more.is_empty() {
            let said = text(&output);
            let end: Vec<&str> = said.lines().rev().take(2).collect();
            assert!(end[1].starts_with("interrupted in epoch ") && end[1].contains(" of 1000000, step "), "{said}");
            assert!(end[1].ends_with("; checkpoint in runs/m-2/"), "{said}");
            assert_eq!(end[0], "to go on: dlc train m.dl --epochs 1000000 --folder runs/m-2 --resume");
        } else {
            let end = json(&output);
            assert_eq!((&end["interrupted"], &end["artefact"]), (&true.into(), &serde_json::Value::Null), "{end}");
            assert_eq!(end["folder"], runs);
        }
    }
    assert!(!folder.path().join("m.dlx").exists());
}

#[test]
fn epochs_are_counted_also_where_steps_are_said() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    let model = std::fs::read_to_string(&path).expect("it was written");
    std::fs::write(&path, model.replace("epochs    = 1", "steps     = 5")).expect("again");
    let said = text(&dlc_in(folder.path(), &["train", "m.dl"]));
    assert!(said.contains("\n  1/3 loss") && said.contains("\n  2/3 loss") && !said.contains("/0"), "{said}");
}

#[test]
fn a_training_that_fails_leaves_no_folder() {
    // the label 3 is told before the first step; two examples fill no batch of four
    for (rows, arguments) in
        [("1,2,0\n1,2,3\n", &["train", "m.dl"][..]), ("1,2,0\n1,2,1\n", &["train", "m.dl", "--batch", "4"])]
    {
        let (folder, _) = classifier(rows);
        assert_eq!(dlc_in(folder.path(), arguments).status.code(), Some(1), "{arguments:?}");
        assert!(!folder.path().join("runs").exists(), "{arguments:?}");
    }
}

#[test]
fn going_on_wants_a_checkpoint() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    let (file, runs) = (path.to_str().expect("UTF-8"), folder.path().join("r"));
    let resume = ["train", file, "--folder", runs.to_str().expect("UTF-8"), "--resume"];
    let none = |code: &str| {
        let said = complaint(&folder, &resume);
        assert!(said.contains(&format!("error[{code}]: r has no checkpoint to go on from")), "{said}");
        said
    };
    none("missing-file");
    assert!(!runs.exists(), "asking makes no folder");
    std::fs::create_dir(&runs).expect("it can be made");
    none("missing-file");
    assert!(dlc(&resume[..4]).status.success());
    assert!(dlc(&resume).status.success());
    for entry in std::fs::read_dir(&runs).expect("it is there").flatten() {
        if entry.file_name().to_string_lossy().starts_with("step-") {
            std::fs::write(entry.path(), "damaged").expect("it can be written");
        }
    }
    let said = none("wrong-format");
    assert!(said.contains("help: r/step-"), "{said}");
}

#[test]
fn the_artefact_is_there_whatever_fails_after_the_training() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n");
    let model = std::fs::read_to_string(&path).expect("it was written");
    // runs for one batch size only, so that no predictions can be made for three examples
    std::fs::write(&path, model.replace("[B, 2]", "[B, B]")).expect("again");
    let output = dlc_in(folder.path(), &["train", "m.dl"]);
    assert!(folder.path().join("m.dlx").exists(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text(&output).contains("wrote m.dlx"), "{}", text(&output));
}

#[test]
fn an_artefact_that_cannot_be_written_is_told_before_the_training() {
    let (folder, _) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    for (to, why) in [("no/m.dlx", "there is no folder no"), (".", "it is a folder")] {
        let output = dlc_in(folder.path(), &["train", "m.dl", "-o", to]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), text(&output)), (Some(1), String::new()), "{error}");
        assert_eq!(error, format!("error[cannot-write]: {to} cannot be written: {why}\n"));
        assert!(!folder.path().join("runs").exists());
    }
}
