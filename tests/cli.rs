//! The command line: what people and machines see, and the exit codes.

use std::path::PathBuf;
use std::process::{Command, Output};

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
fn timings_are_told_by_stage_and_in_all() {
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
        assert!(std::fs::read_to_string(&path).expect("it was written").len() > 500);
    }
}

#[test]
fn codes_and_nodes_are_explained() {
    let code = dlc(&["explain", "shape-mismatch"]);
    assert!(code.status.success() && text(&code).contains("for example"));
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
