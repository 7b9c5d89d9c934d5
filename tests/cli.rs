//! The command line: text and JSON output, and exit codes.

use std::path::PathBuf;
use std::process::{Command, Output};

#[path = "cli/artefacts.rs"]
mod artefacts;
#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/compile.rs"]
mod compile;
#[path = "cli/files.rs"]
mod files;
#[path = "cli/mistakes.rs"]
mod mistakes;
#[path = "cli/outputs.rs"]
mod outputs;
#[path = "cli/summary.rs"]
mod summary;
#[path = "cli/training.rs"]
mod training;
#[path = "cli/trainings.rs"]
mod trainings;
#[path = "cli/values.rs"]
mod values;
#[path = "cli/version.rs"]
mod version;

fn dlc(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().expect("dlc starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(output: &Output) -> serde_json::Value {
    let text = text(output);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

fn scratch(name: &str, content: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("it can be written");
    (folder, path)
}

#[test]
fn the_perceptron_shows_one_kernel_for_product_bias_and_activation() {
    let output = dlc(&["compile", "examples/mnist.dl", "--emit=opt", "--size", "B=64"]);
    assert!(output.status.success());
    let text = text(&output);
    let kernel = text.split("kernel ").find(|k| k.contains("relu")).expect("a kernel with relu");
    assert!(kernel.contains("dot") && kernel.contains("add"), "{text}");
}

#[test]
fn every_stage_is_shown() {
    for stage in ["ast", "ir", "grad", "opt", "kernels", "clif", "asm"] {
        let output = dlc(&["compile", "examples/lenet.ron", "--emit", stage]);
        assert!(output.status.success(), "{stage}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(text(&output).lines().count() > 5, "{stage}");
    }
}

#[test]
fn timings_are_reported_by_stage_and_in_total() {
    let report = json(&dlc(&["compile", "examples/lenet.ron", "--timings", "--json"]));
    assert!(report["total_ms"].as_f64().is_some_and(|ms| ms > 0.0));
    for stage in ["parse", "lower", "differentiate", "optimize", "schedule", "emit"] {
        assert!(report["programs"][0]["ms"][stage].is_number(), "{stage} in {report}");
    }
}

#[test]
fn the_summary_counts_weights() {
    let output = dlc(&["summary", "examples/lenet.ron"]);
    assert!(output.status.success());
    let text = text(&output);
    assert!(text.contains("c1") && text.contains("conv2d") && text.contains("total"), "{text}");
    assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
}

#[test]
fn the_summary_of_a_deep_model_fits_80_columns() {
    let text = text(&dlc(&["summary", "examples/resnet18.dl"]));
    assert!(text.contains("MFLOP at B = 1, H = 1, W = 1"), "{text}");
    assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
}

#[test]
fn errors_go_to_standard_error_with_exit_code_1() {
    let (_folder, path) = scratch("wrong.dl", "model m(x: [B, 4]) -> y: [B, 2] {\n  return x |> linera(2)\n}\n");
    let output = dlc(&["check", path.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("error[unknown-name]") && error.contains("do you mean `linear`?"), "{error}");
    let report = json(&dlc(&["check", path.to_str().expect("UTF-8"), "--json"]));
    assert_eq!(report["ok"], false);
    assert_eq!(report["diagnostics"][0]["code"], "unknown-name");
    assert_eq!(report["diagnostics"][0]["spans"][0]["line"], 2);
    assert_eq!(report["diagnostics"][0]["fixes"][0]["text"], "linear");
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    assert_eq!(dlc(&["train"]).status.code(), Some(2));
    assert_eq!(dlc(&["fly", "examples/mnist.dl"]).status.code(), Some(2));
    assert_eq!(dlc(&["check", "examples/mnist.dl", "--size", "B=many"]).status.code(), Some(2));
}

#[test]
fn a_count_of_zero_is_a_usage_error() {
    let too_many = dlc::inspect::MAX_COUNT.to_string();
    for (option, value) in [("--batch", "0"), ("--epochs", "0"), ("--size", "B=0"), ("--batch", &too_many)] {
        let output = dlc(&["train", "examples/breast_cancer.dl", option, value]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{option} {value}: {error}");
        let bounds = if value == too_many { "is too large" } else { "at least 1" };
        assert!(error.contains(option) && error.contains(bounds), "{error}");
    }
}

#[test]
fn more_threads_than_a_system_has_train_as_well() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n");
    let runs = folder.path().join("runs");
    let (file, runs) = (path.to_str().expect("UTF-8"), runs.to_str().expect("UTF-8"));
    let output = dlc(&["train", file, "--folder", runs, "--threads", "1000000"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_training_by_steps_reports_the_incomplete_epoch_and_resumes_from_it() {
    let (folder, path) = classifier(&"1,2,0\n1,2,1\n3,4,2\n5,6,1\n".repeat(2));
    let model = std::fs::read_to_string(&path).expect("it was written");
    std::fs::write(&path, model.replace("epochs    = 1", "steps = 6")).expect("again");
    let runs = folder.path().join("runs");
    let (file, runs_text) = (path.to_str().expect("UTF-8"), runs.to_str().expect("UTF-8"));
    let counts = || {
        let history = std::fs::read_to_string(runs.join("history.csv")).expect("it was written");
        let counts = history.lines().skip(1).map(|l| l.split(',').take(2).collect::<Vec<_>>().join(","));
        counts.collect::<Vec<_>>()
    };
    let output = dlc(&["train", file, "--folder", runs_text]);
    assert!(text(&output).contains("  2/2 loss"), "{}", text(&output));
    assert_eq!(counts(), ["1,4", "2,6"]);
    let again = ["train", file, "--folder", runs_text, "--resume"];
    assert!(dlc(&again).status.success());
    assert_eq!(counts(), ["1,4", "2,6"], "nothing is left to do");
    assert!(dlc(&[&again[..], &["--epochs", "4"]].concat()).status.success());
    assert_eq!(counts(), ["1,4", "2,8", "3,12", "4,16"]);
}

#[test]
fn a_training_is_not_resumed_with_other_data_or_settings() {
    let rows = "1,2,0\n1,2,1\n3,4,2\n5,6,1\n";
    let (folder, path) = classifier(rows);
    let (runs, data) = (folder.path().join("runs"), folder.path().join("data.csv"));
    let (file, runs) = (path.to_str().expect("UTF-8"), runs.to_str().expect("UTF-8"));
    assert!(dlc(&["train", file, "--folder", runs]).status.success());
    let again = ["train", file, "--folder", runs, "--resume", "--epochs", "2"];
    let model = std::fs::read_to_string(&path).expect("it was written");
    let refused = |expected: &str| {
        let said = complaint(&folder, &again);
        assert!(said.contains("error[other-training]") && said.contains(expected), "{said}");
    };
    for (setting, expected) in [
        ("  validation = last(0.25)\n  epochs", "another run: validation was none, is last(0.25): 1 example ("),
        ("  shuffle = false\n  epochs", "another run: shuffle was true (seed 0), is false\n"),
        ("  seed = 7\n  epochs", "another run: seed was 0, is 7\n"),
        (
            "  metrics = [accuracy(logits, label)]\n  epochs",
            "another run: metrics was not set, is [accuracy(logits, label)]\n",
        ),
    ] {
        std::fs::write(&path, model.replace("  epochs", setting)).expect("again");
        refused(expected);
    }
    std::fs::write(&path, model.replace("lr: 0.1", "lr: 0.2")).expect("again");
    refused("another run: optimizer was sgd(lr: 0.1), is sgd(lr: 0.2)\n");
    std::fs::write(&path, &model).expect("again");
    std::fs::write(&data, format!("a,b,label\n{}", rows.replace("5,6", "5,7"))).expect("again");
    refused("another run: data was table(\"data.csv\"): x f32[4,2], label i64[4] (content ");
    std::fs::write(&data, format!("a,b,label\n{rows}")).expect("again");
    assert!(dlc(&again).status.success(), "it resumes with the same settings, for more epochs");
}

#[test]
fn a_batch_of_more_examples_than_there_are_removes_no_checkpoint() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n");
    let runs = folder.path().join("runs");
    let (file, runs_text) = (path.to_str().expect("UTF-8"), runs.to_str().expect("UTF-8"));
    assert!(dlc(&["train", file, "--folder", runs_text]).status.success());
    let said = complaint(&folder, &["train", file, "--folder", runs_text, "--batch", "4"]);
    assert!(said.contains("error[too-few-examples]: a batch has 4 examples, but the training set has 3"), "{said}");
    assert!(runs.join("step-0000000002.safetensors").exists(), "what was trained before is still there");
}

#[test]
fn unknown_names_are_usage_errors() {
    let said = |arguments: &[&str]| {
        let output = dlc(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let error = said(&["check", "examples/mnist.dl", "--size", "Batch=2"]);
    assert!(error.contains("no dimension `Batch`") && error.contains("available: B"), "{error}");
    let error = said(&["compile", "examples/mnist.dl", "--set", "hiden=2"]);
    assert!(error.contains("no argument `hiden`") && error.contains("do you mean `hidden`?"), "{error}");
    let error = said(&["explain", "examples/mnist.dl", "--size", "b=2"]);
    assert!(error.contains("do you mean `B`?"), "{error}");
    let report = json(&dlc(&["summary", "examples/mnist.dl", "--size", "N=1", "--json"]));
    assert_eq!(report["diagnostics"][0]["code"], "unknown-argument");
}

/// A project with a classifier of three classes on a table of `rows`.
fn classifier(rows: &str) -> (tempfile::TempDir, PathBuf) {
    let text = "model m(x: [B, 2]) -> logits: [B, 3] = linear(x, 3)
dataset table(file: string) {
  x     = csv(file, skip: [\"label\"])
  label = i64(csv(file)[\"label\"])
}
train m {
  data      = table(\"data.csv\")
  epochs    = 1
  batch     = 2
  loss      = cross_entropy(logits, label)
  optimizer = sgd(lr: 0.1)
}
";
    let (folder, path) = scratch("m.dl", text);
    std::fs::write(folder.path().join("data.csv"), format!("a,b,label\n{rows}")).expect("it can be written");
    (folder, path)
}

/// Standard error, without the path of the project's folder.
fn complaint(folder: &tempfile::TempDir, arguments: &[&str]) -> String {
    let output = dlc(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output));
    let folder = format!("{}/", folder.path().display());
    String::from_utf8_lossy(&output.stderr).replace(&folder, "")
}

#[test]
fn labels_beyond_the_classes_are_reported_with_their_examples() {
    let (folder, path) = classifier("1,2,0\n1,2,3\n3,4,2\n5,6,-1\n5,6,7\n5,6,1\n5,6,9\n");
    let file = path.to_str().expect("UTF-8");
    let said = complaint(&folder, &["check", file]);
    insta::assert_snapshot!("labels_beyond_the_classes", said);
    let runs = folder.path().join("runs");
    assert_eq!(complaint(&folder, &["train", file, "--folder", runs.to_str().expect("UTF-8")]), said);
}

#[test]
fn values_that_are_not_finite_are_reported_with_their_examples() {
    let (folder, path) = classifier("1,2,0\n1,nan,2\n3,4,2\ninf,6,1\n");
    let file = path.to_str().expect("UTF-8");
    let said = complaint(&folder, &["check", file]);
    insta::assert_snapshot!("numbers_that_are_none", said);
    assert_eq!(complaint(&folder, &["train", file]), said);
}

#[test]
fn test_data_is_checked_as_well() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    std::fs::write(folder.path().join("test.csv"), "a,b,label\n1,2,0\n1,2,3\n").expect("it can be written");
    let file = path.to_str().expect("UTF-8");
    let model = std::fs::read_to_string(&path).expect("it was written");
    std::fs::write(&path, model.replace("  epochs", "  test      = table(\"test.csv\")\n  epochs")).expect("again");
    let said = complaint(&folder, &["check", file]);
    assert!(said.contains("1 of 2 labels") && said.contains("test.csv: 3 in example 1"), "{said}");
}

#[test]
fn stopped_gradients_are_shown_with_the_weight_and_its_end() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n");
    let file = path.to_str().expect("UTF-8");
    let model = std::fs::read_to_string(&path).expect("it was written");
    let stopped = "{\n  let h = linear(x, 4) as body\n  return linear(stop_gradient(h), 3) as head\n}";
    std::fs::write(&path, model.replace("= linear(x, 3)", stopped)).expect("again");
    insta::assert_snapshot!("stopped_gradient", complaint(&folder, &["check", file]));
}

/// The classifier's project with a change of its source.
fn changed(from: &str, to: &str) -> (tempfile::TempDir, PathBuf) {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    let model = std::fs::read_to_string(&path).expect("it was written");
    assert!(model.contains(from), "{from}");
    std::fs::write(&path, model.replace(from, to)).expect("again");
    (folder, path)
}

#[test]
fn all_weights_without_a_gradient_are_named() {
    let (folder, path) = changed("cross_entropy(logits, label)", "float(sum(i64(logits)) + sum(label))");
    insta::assert_snapshot!("no_gradients", complaint(&folder, &["check", path.to_str().expect("UTF-8")]));
}

#[test]
fn check_finds_what_would_stop_a_training() {
    for (from, to, code, label) in [
        ("linear(x, 3)", "linear(x, 3, init: zeros([2]))", "shape-mismatch", "wrong shape"),
        ("batch     = 2", "batch     = 5", "too-few-examples", "at most `batch = 4`"),
        ("epochs    = 1", "epochs    = 1\n  validation = last(0.75)", "too-few-examples", "at most `batch = 1`"),
        ("epochs    = 1", "", "missing-setting", "has no length"),
        ("x: [B, 2]", "x: [B, 2], q: [B]", "field-mismatch", "the fields are x, label"),
        (
            "epochs    = 1",
            "epochs    = 1\n  metrics = [reshape(logits, [-1])]",
            "shape-mismatch",
            "one for each example",
        ),
        (
            "loss      = ",
            "validation = last(0.5)\n  loss      = step * ",
            "unknown-name",
            "`step` is not available in an evaluation",
        ),
    ] {
        let (folder, path) = changed(from, to);
        let file = path.to_str().expect("UTF-8");
        let runs = folder.path().join("runs");
        let train = ["train", file, "--folder", runs.to_str().expect("UTF-8")];
        for arguments in [&["check", file][..], &train] {
            let said = complaint(&folder, arguments);
            let place = said.contains(" --> m.dl:");
            assert!(place && said.contains(&format!("error[{code}]")) && said.contains(label), "{arguments:?}: {said}");
        }
    }
}

#[test]
fn a_loss_may_know_the_step() {
    let (folder, path) = changed("loss      = ", "loss      = (1 + epoch / 10) * ");
    let runs = folder.path().join("runs");
    let folder = runs.to_str().expect("UTF-8");
    let output = dlc(&["train", path.to_str().expect("UTF-8"), "--epochs", "2", "--folder", folder]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn check_reports_several_errors_at_once_in_both_forms() {
    let dl = "model m(x: [B, 4], hidden: int = 8) -> y: [B, 2] {
  let h = x |> linera(hidden) |> relu
  let k = x |> linear(hidden, biass: false)
  let z = missing + k
  return h |> linear(2) |> sofmax
}
dataset d {
  x = csv(\"a.csv\")
}
train m {
  data      = d()
  epoch     = 3
  loss      = mse(y, target)
  optimizer = adamm(lr: 0.1)
}
";
    let ron = "(
  model: (
    name: \"m\", args: { \"hidden\": \"int = 8\" }, inputs: { \"x\": \"[B, 4]\" }, outputs: { \"y\": \"[B, 2]\" },
    body: [
      linera(out: \"hidden\"), relu(), linear(out: 2, biass: false),
      \"missing + 1\",
      sofmax(),
    ],
  ),
  datasets: { \"d\": (fields: { \"x\": [csv(file: \"a.csv\")] }) },
  train: (model: \"m\", data: d(), epoch: 3, loss: \"mse(y, target)\", optimizer: adamm(lr: 0.1)),
)
";
    for (name, content) in [("m.dl", dl), ("m.ron", ron)] {
        let (folder, path) = scratch(name, content);
        let said = complaint(&folder, &["check", path.to_str().expect("UTF-8")]);
        assert!(said.matches("error[").count() >= 4, "{said}");
        insta::assert_snapshot!(format!("several_mistakes_{}", name.replace('.', "_")), said);
    }
}

#[test]
fn fmt_checks_formats_and_converts() {
    let (_folder, path) = scratch("m.dl", "model m( x:[B,4] )->y:[B,2]{return x|>linear(2)}\n");
    let file = path.to_str().expect("UTF-8");
    assert_eq!(dlc(&["fmt", "--check", file]).status.code(), Some(3));
    assert!(dlc(&["fmt", file]).status.success());
    assert_eq!(dlc(&["fmt", "--check", file]).status.code(), Some(0));
    let ron = text(&dlc(&["fmt", "--to=ron", file]));
    assert!(ron.contains("linear"), "{ron}");
    let (_folder, path) = scratch("m.ron", &ron);
    let graph = |file: &str| text(&dlc(&["compile", file, "--emit=ir"]));
    assert_eq!(graph(path.to_str().expect("UTF-8")), graph(file));
}

#[test]
fn pictures_are_written() {
    let folder = tempfile::tempdir().expect("a folder");
    for ending in ["svg", "dot"] {
        let path = folder.path().join(format!("m.{ending}"));
        let output = dlc(&["graph", "examples/lenet.dl", "-o", path.to_str().expect("UTF-8")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let picture = std::fs::read_to_string(&path).expect("it was written");
        assert!(picture.len() > 500);
        let (last_edge, first_box) = (picture.rfind("url(#tip)"), picture.find("rx=\"6\""));
        assert!(ending == "dot" || last_edge < first_box, "edges are drawn below boxes");
    }
}

#[test]
fn codes_and_nodes_are_explained() {
    let code = dlc(&["explain", "shape-mismatch"]);
    assert!(code.status.success() && text(&code).contains("for example"));
    for (name, signature, doc) in
        [("conv2d", "block conv2d(", "convol"), ("csv", "csv(file: string, skip:", "a CSV file")]
    {
        let entry = dlc(&["explain", name]);
        assert!(
            text(&entry).starts_with(signature) && text(&entry).to_lowercase().contains(&doc.to_lowercase()),
            "{}",
            text(&entry)
        );
    }
    let unknown = dlc(&["explain", "conv2"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.status.code() == Some(2) && said.contains("do you mean `conv2d`?"), "{said}");
    let nodes = dlc(&["explain", "examples/mnist.dl"]);
    assert!(nodes.status.success());
    let nodes = text(&nodes);
    assert!(nodes.contains("mnist.dl:"), "{nodes}");
}

#[test]
fn compiled_numbers_are_those_of_the_reference() {
    for model in ["examples/mnist.dl", "examples/breast_cancer.dl"] {
        let output = dlc(&["verify", model, "--json"]);
        let report = json(&output);
        assert_eq!(report["ok"], true, "{report}");
        assert!(report["values"].as_array().is_some_and(|v| !v.is_empty()));
    }
}

#[test]
fn a_project_trains_evaluates_and_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let project = folder.path().join("digits");
    let project = project.to_str().expect("UTF-8");
    assert!(dlc(&["init", project]).status.success());
    assert_eq!(dlc(&["init", project]).status.code(), Some(1), "it exists now");
    let model = format!("{project}/mnist.dl");
    let runs = format!("{project}/runs/1");
    let trained = dlc(&["train", &model, "--epochs", "1", "--folder", &runs, "--json"]);
    let accuracy = json(&trained)["test"]["metrics"]["accuracy"].as_f64().expect("a number");
    assert!(accuracy > 0.5, "{accuracy}");
    let artefact = format!("{project}/mnist.dlx");
    let evaluated = json(&dlc(&["eval", &artefact, "--json"]));
    assert_eq!(evaluated["scores"]["metrics"]["accuracy"].as_f64(), Some(accuracy));
    let image = format!("{project}/image.npz");
    let tensor = dlc::Tensor::new([1, 28, 28], vec![0f32; 784]).expect("784");
    let tensors: dlc::Tensors = [("image", tensor)].into_iter().collect();
    tensors.save(&image).expect("it can be written");
    let out = json(&dlc(&["run", &artefact, &image, "--json"]));
    assert_eq!(out["outputs"]["logits"]["shape"], serde_json::json!([1, 10]));
    std::fs::write(&artefact, b"broken").expect("it can be written");
    let refused = dlc(&["eval", &artefact]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not a .dlx file"));
}
