//! Several trainings of one file: selection, names of outputs, and what an artefact stores.

use std::path::Path;
use std::process::{Command, Output};

use super::{dlc, json, scratch, text};

/// Two trainings of one model, which differ in their data, metrics and an argument, and one of another model.
const TEXT: &str = "dlc 1
model m(x: [B, 2], hidden: int = 2) -> logits: [B, 3] {
  return x |> linear(hidden) |> relu |> linear(3)
}
model other(x: [B, 2]) -> logits: [B, 3] = linear(x, 3)
dataset d(file: string) {
  x     = csv(\"{file}.csv\", skip: [\"label\"])
  label = i32(csv(\"{file}.csv\")[\"label\"])
}
train fine = m(hidden: 5) {
  data      = d(\"few\")
  test      = d(\"few\")
  epochs    = 2
  batch     = 2
  loss      = cross_entropy(logits, label)
  optimizer = adam(lr: 1e-3)
  metrics   = [mean(logits) as level]
}
train m {
  data      = d(\"many\")
  test      = d(\"many\")
  epochs    = 1
  batch     = 2
  loss      = cross_entropy(logits, label)
  optimizer = adam(lr: 1e-3)
  metrics   = [accuracy(logits, label)]
}
train other {
  data      = d(\"many\")
  epochs    = 1
  batch     = 2
  loss      = cross_entropy(logits, label)
  optimizer = adam(lr: 1e-3)
}
";

fn project() -> tempfile::TempDir {
    let (folder, _) = scratch("file.dl", TEXT);
    std::fs::write(folder.path().join("few.csv"), "a,b,label\n1,2,0\n3,4,1\n").expect("written");
    std::fs::write(folder.path().join("many.csv"), "a,b,label\n1,2,0\n3,4,1\n5,6,2\n7,8,0\n").expect("written");
    folder
}

fn dlc_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    command.current_dir(folder).args(arguments).output().expect("dlc starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_training_is_chosen_by_its_name_and_its_artefact_remembers_it() {
    let folder = project();
    let folder = folder.path();
    let trained = dlc_in(folder, &["train", "file.dl", "--train=fine", "--json"]);
    assert!(trained.status.success(), "{}", said(&trained));
    assert!(!said(&trained).contains("using training"), "{}", said(&trained));
    let end = json(&trained);
    assert_eq!((&end["folder"], &end["artefact"]), (&"runs/fine-1".into(), &"fine.dlx".into()), "{end}");
    assert_eq!(end["epoch"], 2);
    let evaluated = json(&dlc_in(folder, &["eval", "fine.dlx", "--json"]));
    assert_eq!(evaluated["examples"], 2);
    assert!(evaluated["scores"]["metrics"]["level"].is_number(), "{evaluated}");
    let weights = dlc::artefact::Artefact::read(&folder.join("fine.dlx")).expect("it is whole").weights;
    assert_eq!(weights["linear_1.weight"].shape()[..], [5, 2]);
}

#[test]
fn the_unnamed_training_is_the_default() {
    let folder = project();
    let folder = folder.path();
    let trained = dlc_in(folder, &["train", "file.dl", "--json"]);
    assert!(trained.status.success(), "{}", said(&trained));
    assert!(said(&trained).contains("using training `m` of 2; choose another with --train"), "{}", said(&trained));
    let end = json(&trained);
    assert_eq!((&end["folder"], &end["artefact"]), (&"runs/file-1".into(), &"file.dlx".into()), "{end}");
    let evaluated = json(&dlc_in(folder, &["eval", "file.dlx", "--json"]));
    assert_eq!(evaluated["examples"], 4);
    assert!(evaluated["scores"]["metrics"]["accuracy"].is_number(), "{evaluated}");
    // a model has trainings of its own
    let trained = dlc_in(folder, &["train", "file.dl", "--model=other", "--json"]);
    assert!(trained.status.success() && !said(&trained).contains("using training"), "{}", said(&trained));
}

#[test]
fn an_unknown_training_is_a_usage_error() {
    let folder = project();
    for (arguments, message) in [
        (&["--train=fien"][..], "there is no training `fien`"),
        (&["--train=fien"], "do you mean `fine`?"),
        (&["--train=zzz"], "trainings: fine, m, other"),
        (&["--train=fine", "--model=other"], "`fine` trains `m`, not `other`"),
        (&["--train=zzz", "--model=other"], "trainings: other"),
    ] {
        for verb in ["train", "check", "compile", "summary"] {
            let output = dlc_in(folder.path(), &[&[verb, "file.dl"], arguments].concat());
            assert_eq!(output.status.code(), Some(2), "{verb} {arguments:?}: {}", said(&output));
            assert!(said(&output).contains("error[no-training]"), "{}", said(&output));
            assert!(said(&output).contains(message), "{}", said(&output));
        }
    }
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn every_training_of_a_file_is_checked() {
    let folder = project();
    let checked = dlc_in(folder.path(), &["check", "file.dl"]);
    let line = "file.dl is fine: fine = m, 33 weights; m, 15 weights; other, 9 weights";
    assert!(text(&checked).starts_with(line), "{}{}", text(&checked), said(&checked));
    let report = json(&dlc_in(folder.path(), &["check", "file.dl", "--json"]));
    let models = report["models"].as_array().expect("a list");
    let trainings: Vec<_> = models.iter().map(|m| (m["training"].as_str(), m["model"].as_str())).collect();
    assert_eq!(trainings, [("fine", "m"), ("m", "m"), ("other", "other")].map(|(t, m)| (Some(t), Some(m))));
    let wrong = TEXT.replacen("epochs    = 2", "epochs    = 2\n  clip      = norm(0)", 1);
    std::fs::write(folder.path().join("file.dl"), wrong).expect("written");
    let checked = dlc_in(folder.path(), &["check", "file.dl"]);
    assert_eq!(checked.status.code(), Some(1), "a model that is not the default has an error");
    assert_eq!(dlc_in(folder.path(), &["check", "file.dl", "--train=m"]).status.code(), Some(0));
}

#[test]
fn a_training_starts_with_the_weights_of_another_one() {
    let folder = project();
    let tuned = "train tuned = m {
  data      = d(\"many\")
  epochs    = 1
  batch     = 2
  weights   = safetensors(\"runs/file-1/best.safetensors\")
  trainable = \"linear_2.**\"
  loss      = cross_entropy(logits, label)
  optimizer = sgd(lr: 0.1)
}
";
    std::fs::write(folder.path().join("file.dl"), format!("{TEXT}{tuned}")).expect("written");
    let weights = |arguments: &[&str], artefact: &str| {
        let trained = dlc_in(folder.path(), &[&["train", "file.dl"], arguments].concat());
        assert!(trained.status.success(), "{}", said(&trained));
        dlc::artefact::Artefact::read(&folder.path().join(artefact)).expect("it is whole").weights
    };
    let before = weights(&[], "file.dlx");
    let after = weights(&["--train=tuned"], "tuned.dlx");
    assert_eq!(before["linear_1.weight"], after["linear_1.weight"]);
    assert_ne!(before["linear_2.weight"], after["linear_2.weight"]);
}

/// `--train` alone is short for `--mode=train` if the verb has `--mode`.
#[test]
fn train_without_a_name_is_short_for_the_mode() {
    let emitted = |flag: &str| text(&dlc(&["compile", "examples/two_trainings.dl", flag, "--emit=ir"]));
    assert_eq!(emitted("--train"), emitted("--mode=train"));
    assert_ne!(emitted("--train"), emitted("--mode=infer"));
    for verb in ["check", "summary", "train"] {
        let refused = dlc(&[verb, "examples/two_trainings.dl", "--train"]);
        assert_eq!(refused.status.code(), Some(2), "{verb}");
        assert!(said(&refused).contains("write `--train=NAME`"), "{verb}: {}", said(&refused));
    }
}
