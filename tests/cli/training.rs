//! Reports of a training: its end, its interruption, and errors before it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{classifier, complaint, dlc, json, scratch, text};

/// Runs `dlc` in a folder, so that `runs/` is created there.
fn dlc_in(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    command.current_dir(folder).args(arguments).output().expect("dlc starts")
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_reports_its_position_and_how_to_resume() {
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
            assert_eq!(end[0], "resume with: dlc train m.dl --epochs 1000000 --folder runs/m-2 --resume");
        } else {
            let end = json(&output);
            assert_eq!((&end["interrupted"], &end["artefact"]), (&true.into(), &serde_json::Value::Null), "{end}");
            assert_eq!(end["folder"], runs);
        }
    }
    assert!(!folder.path().join("m.dlx").exists());
}

#[test]
fn epochs_are_counted_also_with_steps() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    let model = std::fs::read_to_string(&path).expect("it was written");
    std::fs::write(&path, model.replace("epochs    = 1", "steps     = 5")).expect("again");
    let said = text(&dlc_in(folder.path(), &["train", "m.dl"]));
    assert!(said.contains("\n  1/3 loss") && said.contains("\n  2/3 loss") && !said.contains("/0"), "{said}");
}

#[test]
fn a_training_that_fails_leaves_no_folder() {
    // the label 3 is reported before the first step; two examples do not fill a batch of four
    for (rows, arguments) in
        [("1,2,0\n1,2,3\n", &["train", "m.dl"][..]), ("1,2,0\n1,2,1\n", &["train", "m.dl", "--batch", "4"])]
    {
        let (folder, _) = classifier(rows);
        assert_eq!(dlc_in(folder.path(), arguments).status.code(), Some(1), "{arguments:?}");
        assert!(!folder.path().join("runs").exists(), "{arguments:?}");
    }
}

#[test]
fn resuming_needs_a_checkpoint() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    let (file, runs) = (path.to_str().expect("UTF-8"), folder.path().join("r"));
    let resume = ["train", file, "--folder", runs.to_str().expect("UTF-8"), "--resume"];
    let none = |code: &str| {
        let said = complaint(&folder, &resume);
        assert!(said.contains(&format!("error[{code}]: r has no checkpoint to resume from")), "{said}");
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
fn the_artefact_is_written_before_anything_that_may_fail() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n");
    let model = std::fs::read_to_string(&path).expect("it was written");
    // runs for one batch size only, so that no predictions can be made for three examples
    std::fs::write(&path, model.replace("[B, 2]", "[B, B]")).expect("again");
    let output = dlc_in(folder.path(), &["train", "m.dl"]);
    assert!(folder.path().join("m.dlx").exists(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text(&output).contains("wrote m.dlx"), "{}", text(&output));
}

#[test]
fn an_artefact_that_cannot_be_written_is_reported_before_the_training() {
    let (folder, _) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    for (to, why) in [("no/m.dlx", "there is no folder no"), (".", "it is a folder")] {
        let output = dlc_in(folder.path(), &["train", "m.dl", "-o", to]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), text(&output)), (Some(1), String::new()), "{error}");
        assert_eq!(error, format!("error[cannot-write]: {to} cannot be written: {why}\n"));
        assert!(!folder.path().join("runs").exists());
    }
}

#[test]
fn trainings_at_the_same_time_have_folders_of_their_own() {
    let (folder, _) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    let start = |i: usize| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
        command.current_dir(folder.path()).args(["train", "m.dl", "--epochs", "20", "-o", &format!("{i}.dlx")]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("dlc starts")
    };
    let running: Vec<_> = (1..=6).map(start).collect();
    for child in running {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // the assignment of folders is not deterministic
    for i in 1..=6 {
        assert!(folder.path().join(format!("runs/m-{i}/best.safetensors")).exists(), "{i}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_training_does_not_need_a_reader_of_its_output() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    let run = |arguments: &[&str], to: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
        let command = command.current_dir(folder.path()).args(arguments).stdout(to).stderr(Stdio::piped());
        command.spawn().expect("dlc starts")
    };
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("it is there").into();
    let mut unread = run(&["train", "m.dl", "--epochs", "50", "-o", "a.dlx"], Stdio::piped());
    drop(unread.stdout.take());
    let output = unread.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "who went away is no error");
    assert!(folder.path().join("a.dlx").exists());
    let output = run(&["train", "m.dl", "-o", "b.dlx"], full()).wait_with_output().expect("it ends");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && error.matches("cannot be written").count() == 1, "{error}");
    assert!(folder.path().join("b.dlx").exists());
    let unformatted = std::fs::read_to_string(&path).expect("it was written").replace("= ", "=  ");
    std::fs::write(&path, unformatted).expect("again");
    let output = run(&["fmt", "--check"], full()).wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn predictions_are_shown_of_classes_only() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    assert!(text(&dlc_in(folder.path(), &["train", "m.dl"])).contains('→'));
    // an integer that is not an index
    let model = std::fs::read_to_string(&path).expect("it was written");
    let regression = "mse(logits, broadcast(float(label)[:, _], shape(logits)))";
    std::fs::write(&path, model.replace("cross_entropy(logits, label)", regression)).expect("again");
    let output = dlc_in(folder.path(), &["train", "m.dl"]);
    assert!(output.status.success() && !text(&output).contains('→'), "{output:?}");
}

#[test]
fn a_finished_training_that_is_resumed_reports_its_test() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    let model = std::fs::read_to_string(&path).expect("it was written");
    std::fs::write(&path, model.replace("  epochs", "  test      = table(\"data.csv\")\n  epochs")).expect("again");
    let first = text(&dlc_in(folder.path(), &["train", "m.dl", "--folder", "r"]));
    let again = text(&dlc_in(folder.path(), &["train", "m.dl", "--folder", "r", "--resume"]));
    let test =
        |text: &str| text.split("test: ").nth(1).map(|t| t.chars().take("loss 0.1234".len()).collect::<String>());
    assert!(test(&first).is_some() && test(&first) == test(&again), "{first}{again}");
    assert!(again.contains("   no steps were left to train\n"), "{again}");
}

#[cfg(unix)]
#[test]
fn interrupting_the_test_does_not_interrupt_the_training() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    let model = std::fs::read_to_string(&path).expect("it was written");
    // a test of some seconds
    let model = model.replace("= linear(x, 3)", "= x |> linear(1024) |> linear(1024) |> linear(3)");
    std::fs::write(&path, model.replace("  epochs", "  test      = table(\"test.csv\")\n  epochs")).expect("again");
    let rows = format!("a,b,label\n{}", "1,2,0\n3,4,2\n".repeat(30_000));
    std::fs::write(folder.path().join("test.csv"), rows).expect("it can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    let child = command.current_dir(folder.path()).args(["train", "m.dl"]).stdout(Stdio::piped()).spawn();
    let child = child.expect("dlc starts");
    while !folder.path().join("m.dlx").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("it is there").success());
    let output = child.wait_with_output().expect("it ends");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.ends_with("\nwrote m.dlx, runs/m-1/\n") && !said.contains("test: "), "{said}");
}

#[test]
fn the_end_reports_the_kept_weights_and_the_times() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n2,1,0\n");
    let model = std::fs::read_to_string(&path).expect("it was written");
    let keep = "  validation = last(0.4)\n  keep = best(\"validation.loss\")\n  epochs";
    std::fs::write(&path, model.replace("  epochs", keep)).expect("again");
    let said = text(&dlc_in(folder.path(), &["train", "m.dl", "--folder", "r", "--epochs", "4"]));
    let kept = said.lines().find(|line| line.starts_with("kept ")).unwrap_or_else(|| panic!("{said}"));
    assert!(
        kept.starts_with("kept the weights of epoch ") && kept.contains(", the best by validation.loss: "),
        "{kept}"
    );
    let [steps, validation, writing] = ["steps 0.", "validation 0.", "writing 0."].map(|words| said.contains(words));
    assert!(steps && validation && writing, "{said}");
    let weights =
        |name: &str| dlc::artefact::Artefact::read(&folder.path().join(name)).expect("it was written").weights;
    let best = dlc::Tensors::load(folder.path().join("r/best.safetensors")).expect("it was written");
    assert!(weights("m.dlx").iter().all(|(name, tensor)| best.get(name) == Some(tensor)));
    let more = ["train", "m.dl", "--folder", "r", "--resume", "--epochs", "6", "-o", "b.dlx", "--json"];
    let output = dlc_in(folder.path(), &more);
    let end = json(&output);
    assert_eq!(
        (&end["weights"]["kept"], &end["weights"]["score"]),
        (&"best".into(), &"validation.loss".into()),
        "{end}"
    );
    assert_eq!(end["weights"]["value"], end["best"]["value"]);
    assert!(["steps", "validation", "writing"].iter().all(|part| end["times"][part].is_number()), "{end}");
    assert!(text(&output).contains(r#""event":"length""#), "{}", text(&output));
    // the default
    std::fs::write(&path, &model).expect("again");
    let end = json(&dlc_in(folder.path(), &["train", "m.dl", "--json"]));
    assert_eq!((&end["weights"]["kept"], &end["weights"]["step"]), (&"last".into(), &3.into()), "{end}");
}

#[test]
fn settings_are_explained() {
    let all = text(&dlc(&["explain", "train"]));
    assert!(all.contains("validation") && all.contains("best(\"validation.loss\")"), "{all}");
    assert!(all.lines().all(|line| line.chars().count() <= 80), "{all}");
    assert!(text(&dlc(&["explain", "keep"])).starts_with("keep"));
    for setting in dlc::inspect::train_settings() {
        let said = text(&dlc(&["explain", setting.name]));
        for part in [setting.values, setting.default, setting.example] {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
            assert!(words(&said).contains(&words(part)), "{part}: {said}");
            assert!(words(&all).contains(&words(part)), "{part}");
        }
    }
}

/// A line through four points that is optimal initially: no epoch improves it.
#[test]
fn a_training_without_improvement_stops_early_and_reports_it() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("ten.csv"), "x,t\n1,1\n2,2\n3,3\n4,4\n5,5\n6,6\n").expect("written");
    let model = "model m(x: [B], limit: int = 3) -> p: [B] {
  param w: [] = 1
  return x * w
}
dataset d {
  x = csv(\"ten.csv\")[\"x\"]
  t = csv(\"ten.csv\")[\"t\"]
}
train m {
  data       = d()
  validation = last(2)
  epochs     = 50
  batch      = 4
  patience   = limit
  loss       = mse(p, t)
  optimizer  = sgd(lr: 0.1)
}
";
    std::fs::write(folder.path().join("m.dl"), model).expect("written");
    let run = |more: &[&str]| {
        let output = dlc_in(folder.path(), &[&["train", "m.dl", "--folder", "runs"], more].concat());
        assert!(output.status.success(), "{output:?}");
        text(&output)
    };
    let said = run(&[]);
    let words: Vec<&str> = said.split_whitespace().collect();
    let said = words.join(" ");
    let why = "stopped after epoch 4: no improvement for 3 epochs; validation.loss was best in epoch 1: 0.0000";
    assert!(said.contains(why) && said.contains("4 examples, 2 for validation"), "{said}");
    // an argument of the model, which --set reaches; a resumed training stops in the same epoch
    let events = |said: &str| -> Vec<serde_json::Value> {
        said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let lines = events(&run(&["--resume", "--set", "limit=6", "--json"]));
    let stop = lines.iter().find(|line| line["event"] == "early_stop").expect("it stops");
    let best = serde_json::json!({ "epoch": 1, "value": 0.0 });
    let fields = [("epoch", 7.into()), ("patience", 6.into()), ("score", "validation.loss".into()), ("best", best)];
    fields.iter().for_each(|(name, value)| assert_eq!(&stop[name], value, "{stop}"));
    let end = lines.last().expect("an end");
    assert_eq!((&end["stopped_early"], &end["interrupted"], &end["epoch"]), (&true.into(), &false.into(), &7.into()));
    assert_eq!(lines.iter().filter(|line| line["event"] == "epoch").count(), 3, "epochs 5 to 7");
    let lines = events(&run(&["--resume", "--set", "limit=6", "--json"]));
    assert_eq!(lines.iter().filter(|line| line["event"] == "epoch").count(), 0);
    assert_eq!(lines.last().expect("an end")["epoch"], 7);
    // the length comes first
    let end = run(&["--set", "limit=3", "--epochs", "4", "--json"]);
    assert_eq!(events(&end).last().expect("an end")["stopped_early"], false);
}

#[test]
fn a_number_of_examples_for_the_validation_leaves_some_to_train_on() {
    for (validation, expected) in [("last(7)", 43), ("random(49)", 1)] {
        let (folder, _) = fifty(LINE, &format!("  batch      = 1\n  validation = {validation}\n"));
        let output = dlc_in(folder.path(), &["train", "m.dl", "--json", "--folder", "runs"]);
        let first = text(&output).lines().next().unwrap_or_default().to_owned();
        let compiled: serde_json::Value = serde_json::from_str(&first).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!(compiled["examples"]["train"], expected, "{validation}");
    }
    let (folder, path) = fifty(LINE, "  validation = last(50)\n");
    let said = complaint(&folder, &["check", path.to_str().expect("UTF-8")]);
    assert!(said.contains("`validation` takes all examples") && said.contains("50 of 50 examples"), "{said}");
}

/// A training section of 50 examples of one number.
fn fifty(model: &str, settings: &str) -> (tempfile::TempDir, PathBuf) {
    let text = format!(
        "{model}
dataset points {{
  x = csv(\"data.csv\", skip: [\"t\"])
  t = csv(\"data.csv\")[\"t\"]
}}
train m {{
  data      = points()
  epochs    = 1
  loss      = mean((p - t) ** 2)
  optimizer = adam(lr: 0.1)
{settings}}}
"
    );
    let (folder, path) = scratch("m.dl", &text);
    let rows: Vec<String> = (0..50).map(|i| format!("{i},{}", i % 7)).collect();
    std::fs::write(folder.path().join("data.csv"), format!("a,t\n{}\n", rows.join("\n"))).expect("it can be written");
    (folder, path)
}

const LINE: &str = "model m(x: [B, 1]) -> p: [B] = squeeze(linear(x, 1), axis: 1)";

#[test]
fn a_metric_has_the_name_that_it_is_given_everywhere() {
    let settings = "  metrics   = [mae(p, t) as off, mae(p, t), mae(p, t) as mae]\n  keep      = best(\"train.off\")\n";
    let (folder, _) = fifty(LINE, settings);
    let end = json(&dlc_in(folder.path(), &["train", "m.dl", "--json", "--folder", "runs"]));
    let metrics = &end["train"]["metrics"];
    let names: Vec<&str> = metrics.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names, ["mae", "mae_2", "off"], "{end}");
    assert!(metrics.as_object().expect("an object").values().all(|value| *value == metrics["off"]), "{end}");
    let history = std::fs::read_to_string(folder.path().join("runs/history.csv")).expect("it was written");
    assert!(history.lines().next().is_some_and(|line| line.contains("train.off,train.mae_2,train.mae")), "{history}");
    let said = text(&dlc_in(folder.path(), &["eval", "m.dlx", "--data=train"]));
    assert!(said.contains("off "), "{said}");
}

#[test]
fn a_weight_may_have_any_name_that_a_text_can_give() {
    let model = "model m(x: [B, 1]) -> p: [B] {
  param step: [] = 1
  param epoch: [] = 1
  return squeeze(linear(x, 1) as \"step/m\", axis: 1) * step * epoch
}";
    let (folder, _) = fifty(model, "  metrics   = [mean(p) as part_0_]\n");
    let end = json(&dlc_in(folder.path(), &["train", "m.dl", "--json", "--folder", "runs"]));
    assert!(end["train"]["loss"].is_f64(), "{end}");
    let weights = dlc::Tensors::load(folder.path().join("runs/best.safetensors")).expect("it was written");
    assert!(weights.get("step").is_some() && weights.get("step/m.weight").is_some(), "{weights}");
    assert!(!weights.names().any(|name| name.starts_with('@')), "{weights}");
}

#[test]
fn warnings_are_reported_by_check_and_train_and_can_be_denied() {
    let (folder, _) = fifty(LINE, "  validation = last(0.005)\n  batch      = 10\n");
    let run = |arguments: &[&str]| dlc_in(folder.path(), arguments);
    let codes = |object: &serde_json::Value| {
        let all = object["diagnostics"].as_array().expect("a list").iter();
        all.map(|d| (d["severity"].clone(), d["code"].clone())).collect::<Vec<_>>()
    };
    let checked = run(&["check", "m.dl"]);
    assert_eq!(checked.status.code(), Some(0));
    assert!(text(&checked).contains("; 1 warning "), "{}", text(&checked));
    insta::assert_snapshot!("a_validation_of_nothing", String::from_utf8_lossy(&checked.stderr));
    let object = json(&run(&["check", "m.dl", "--json"]));
    assert_eq!((&object["ok"], codes(&object)), (&true.into(), vec![("warning".into(), "empty-validation".into())]));
    let denied = run(&["check", "m.dl", "--json", "--deny-warnings"]);
    assert_eq!((denied.status.code(), &json(&denied)["ok"]), (Some(3), &false.into()));
    let trained = run(&["train", "m.dl", "--folder", "runs"]);
    assert_eq!(trained.stderr, checked.stderr);
    // warnings about the source are reported by every verb that compiles it
    let text_of = std::fs::read_to_string(folder.path().join("m.dl")).expect("it was written");
    let divided = text_of.replace("squeeze(linear(x, 1), axis: 1)", "squeeze(linear(x, 1), axis: 1) * B // B");
    std::fs::write(folder.path().join("m.dl"), &divided).expect("again");
    assert!(run(&["train", "m.dl", "-o", "m.dlx", "--folder", "runs"]).status.success());
    let tensor = dlc::Tensor::new([1, 1], vec![1f32]).expect("one");
    [("x", tensor)].into_iter().collect::<dlc::Tensors>().save(folder.path().join("x.npz")).expect("written");
    for verb in [
        &["check", "m.dl"][..],
        &["compile", "m.dl"],
        &["compile", "m.dl", "--emit=ir"],
        &["compile", "m.dl", "--stop-after=ir"],
        &["run", "m.dl", "x.npz"],
        &["run", "m.dlx", "x.npz"],
        &["eval", "m.dlx", "--data=train"],
        &["train", "m.dl", "--folder", "runs"],
    ] {
        let said = run(verb);
        let errors = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success() && errors.contains("warning[division-comment]"), "{verb:?}: {errors}");
        let said = run(&[verb, &["--json"]].concat());
        let lines: Vec<serde_json::Value> =
            text(&said).lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        let of_text = |line: &serde_json::Value| {
            line["diagnostics"].is_array() && codes(line).iter().any(|(_, code)| code == "division-comment")
        };
        assert!(lines.iter().any(of_text), "{verb:?}: {lines:?}");
    }
    // silenced, there is nothing to deny
    std::fs::write(folder.path().join("m.dl"), &text_of).expect("again");
    let silenced = text_of.replace("  validation =", "  @allow(empty_validation)\n  validation =");
    std::fs::write(folder.path().join("m.dl"), &silenced).expect("again");
    assert_eq!(run(&["check", "m.dl", "--deny-warnings"]).status.code(), Some(0));
    // one that takes everything is an error
    std::fs::write(folder.path().join("m.dl"), text_of.replace("0.005", "0.995")).expect("again");
    let path = folder.path().join("m.dl");
    insta::assert_snapshot!(
        "a_validation_of_everything",
        complaint(&folder, &["check", path.to_str().expect("UTF-8")])
    );
}

#[test]
fn examples_that_are_never_trained_on_are_a_warning() {
    let model = "model m(x: [8, 1]) -> p: [8] = squeeze(linear(x, 1), axis: 1)";
    let (folder, _) = fifty(model, "  batch     = 8\n");
    let checked = dlc_in(folder.path(), &["check", "m.dl"]);
    insta::assert_snapshot!("examples_that_are_left_out", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn inputs_may_have_the_names_of_counters() {
    let model = "model m(x: [B, 1], step: i64[]) -> p: [B] = squeeze(linear(x, 1), axis: 1) * step";
    let (folder, path) = fifty(model, "");
    let runs = folder.path().join("runs");
    let path = path.to_str().expect("UTF-8");
    let said = complaint(&folder, &["train", path, "--folder", runs.to_str().expect("UTF-8")]);
    assert!(said.contains("`step`"), "{said}");
}
