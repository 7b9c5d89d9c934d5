//! Values from files and batches are never changed silently.

use std::process::{Command, Stdio};

use super::{changed, classifier, complaint, dlc, json, scratch, text};

#[test]
fn labels_that_are_not_integers_are_reported() {
    for (label, shown) in [("nan", "NaN"), ("0.9", "0.9"), ("3000000000", "3000000000")] {
        let (folder, path) = classifier(&format!("1,2,0\n1,2,{label}\n3,4,2\n"));
        let file = path.to_str().expect("UTF-8");
        let model = std::fs::read_to_string(&path).expect("it was written");
        std::fs::write(&path, model.replace("i64(", "i32(")).expect("again");
        let said = complaint(&folder, &["check", file]);
        assert!(said.contains("error[bad-number]: 1 of 3 values are not integers of 32 bits"), "{said}");
        assert!(said.contains(&format!("{shown} in example 1")) && said.contains("m.dl:4:"), "{said}");
    }
}

#[test]
fn integers_of_a_table_keep_their_digits() {
    let (folder, path) = classifier("1,2,0\n1,2,16777217\n");
    let said = complaint(&folder, &["check", path.to_str().expect("UTF-8")]);
    assert!(said.contains("16777217 in example 1"), "{said}");
}

/// Runs `dlc run` with inputs on standard input.
fn run(file: &str, inputs: &str) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    let command = command.args(["run", file]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("dlc starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), inputs.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

#[test]
fn inputs_of_another_dtype_are_reported() {
    let (_folder, path) = scratch("m.dl", "model m(x: u8[B]) -> y: u8[B] = x\n");
    let file = path.to_str().expect("UTF-8");
    let said = |dtype: &str, data: &str| {
        let input = format!("{{\"inputs\":{{\"x\":{{\"dtype\":\"{dtype}\",\"shape\":[3],\"data\":{data}}}}}}}");
        let output = run(file, &input);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let refused = said("u8", "[300,-1,1.7]");
    assert_eq!(refused, "error[bad-input]: `x`: 300 is not an integer from 0 to 255\n");
    let refused = said("f32", "[3,1,1.7]");
    assert!(refused.contains("expected u8"), "{refused}");
    assert!(!refused.contains("dataset"), "{refused}");
}

#[test]
fn scores_do_not_depend_on_batches() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n");
    let loss = "rmse(logits[:, 0], float(label))";
    let model = std::fs::read_to_string(&path).expect("it was written");
    let model = model
        .replace("cross_entropy(logits, label)", loss)
        .replace("  epochs", "  test = table(\"data.csv\")\n  epochs");
    std::fs::write(&path, model.replace("lr: 0.1", "lr: 1e-9")).expect("again");
    let score = |batch: &str| {
        let (file, runs) = (path.to_str().expect("UTF-8"), folder.path().join("runs"));
        let arguments = ["train", file, "--json", "--batch", batch, "--folder", runs.to_str().expect("UTF-8")];
        let end = json(&dlc(&arguments));
        (end["train"]["loss"].as_f64().expect("a number"), end["test"]["loss"].as_f64().expect("a number"))
    };
    // one by one the mean of the roots would be another number
    let ((one, test), (three, _)) = (score("1"), score("3"));
    assert!((one - three).abs() < 1e-4 && (one - test).abs() < 1e-4, "{one} {three} {test}");
}

#[test]
fn a_model_for_batches_of_one_size_is_evaluated_in_those() {
    let rows = "1,2,0\n1,2,1\n3,4,2\n5,6,1\n";
    for (from, to) in [("x: [B, 2]", "x: [2, 2]"), ("= linear(x, 3)", "{\n  assert B <= 2\n  return linear(x, 3)\n}")] {
        let (folder, path) = changed(from, to);
        let model = std::fs::read_to_string(&path).expect("it was written");
        let to = model.replace(
            "-> logits: [B, 3]",
            if to.contains("[2, 2]") { "-> logits: [2, 3]" } else { "-> logits: [B, 3]" },
        );
        std::fs::write(&path, to.replace("  epochs", "  test      = table(\"test.csv\")\n  epochs")).expect("again");
        let test = folder.path().join("test.csv");
        let (file, runs) = (path.to_str().expect("UTF-8"), folder.path().join("runs"));
        std::fs::write(&test, format!("a,b,label\n{rows}")).expect("it can be written");
        let output = dlc(&["train", file, "--folder", runs.to_str().expect("UTF-8")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        if to.contains("[2, 2]") {
            // an error of the evaluation is reported before the training
            std::fs::write(&test, format!("a,b,label\n{rows}5,6,1\n")).expect("it can be written");
            let said = complaint(&folder, &["check", file]);
            assert!(said.contains("5 is not divisible by the batch size 2: remainder 1"), "{said}");
        }
    }
}

#[test]
fn a_model_that_exceeds_the_memory_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let (runs, artefact) = (folder.path().join("runs"), folder.path().join("m.dlx"));
    let (runs, artefact) = (runs.to_str().expect("UTF-8"), artefact.to_str().expect("UTF-8"));
    // nearly the whole address space: the allocation fails even with overcommit
    let size = ["--set", "hidden=44000000000"];
    for arguments in [
        &["train", "examples/mnist.dl", "--folder", runs, "-o", artefact][..],
        &["compile", "examples/mnist.dl", "-o", artefact],
        &["verify", "examples/mnist.dl"],
    ] {
        let output = dlc(&[arguments, &size].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("error[out-of-memory]: out of memory"), "{said}");
    }
}
