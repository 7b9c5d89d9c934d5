//! `dlc compile`: stages and stops; the options that verbs which show programs share.

use super::{dlc, json, scratch, text};

fn refused(arguments: &[&str], code: i32) -> String {
    let output = dlc(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

#[test]
fn the_differentiated_stage_is_that_of_the_training_step() {
    let stages = |more: &[&str]| text(&dlc(&[&["compile", "examples/mnist.dl"], more].concat()));
    let grad = stages(&["--emit=grad"]);
    assert_eq!(grad, stages(&["--emit=grad", "--mode=train"]));
    assert!(grad.contains(" update %") && !grad.contains(" = gradient "), "{grad}");
    assert!(stages(&["--emit=ir,grad"]).contains(" = gradient "), "both are of one program");
    let said = refused(&["compile", "examples/mnist.dl", "--emit=grad", "--mode=infer"], 2);
    assert!(said.contains("`--mode=infer` has no gradients"), "{said}");
    let (_folder, path) = scratch("m.dl", "model m(x: [B, 2]) -> y: [B, 2] = linear(x, 2)\n");
    let said = refused(&["compile", path.to_str().expect("UTF-8"), "--emit=grad"], 1);
    assert!(said.contains("the model has no `train` section"), "{said}");
}

#[test]
fn a_stop_after_the_tree_looks_no_further() {
    let (_folder, path) = scratch("m.dl", "model m(x: [B, 2]) -> y: [B, 3] = x + ones([B, 3])\n");
    let file = path.to_str().expect("UTF-8");
    assert!(dlc(&["compile", file, "--stop-after=ast"]).status.success());
    refused(&["compile", file, "--stop-after=ir"], 1);
}

#[test]
fn an_artefact_is_written_beside_a_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("m.dlx");
    let to = to.to_str().expect("UTF-8");
    let alone = text(&dlc(&["compile", "examples/mnist.dl", "--emit=opt"]));
    assert_eq!(text(&dlc(&["compile", "examples/mnist.dl", "--emit=opt", "-o", to])), alone);
    assert!(dlc::artefact::Artefact::read(to.as_ref()).is_ok_and(|a| a.graphs.len() == 1));
}

#[test]
fn the_requested_program_is_compiled() {
    for mode in ["infer", "eval", "train", "init"] {
        let report = json(&dlc(&["compile", "examples/mnist.dl", "--mode", mode, "--json"]));
        let programs = report["programs"].as_array().expect("a list");
        assert!(programs.len() == 1 && programs[0]["mode"] == mode, "{report}");
    }
}

#[test]
fn conflicting_options_are_usage_errors() {
    for more in [
        &["--emit=ir", "--stop-after=ir"][..],
        &["--stop-after=ir", "-o", "m.dlx"],
        &["--emit=ir", "--timings"],
        &["--train=nobody"],
        &["--mode=fly"],
    ] {
        refused(&[&["compile", "examples/mnist.dl"], more].concat(), 2);
    }
}

#[test]
fn every_verb_that_shows_a_program_takes_the_same_options() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("m.svg");
    let settings = ["--set", "hidden=8", "--size", "B=4", "--float=f64", "--model=perceptron", "--train=perceptron"];
    for verb in [&["compile"][..], &["explain"], &["verify"], &["graph", "-o", picture.to_str().expect("UTF-8")]] {
        let shown = |mode: &str| {
            let output = dlc(&[verb, &["examples/mnist.dl", mode], &settings].concat());
            assert!(output.status.success(), "{verb:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        shown("--mode=eval");
        shown("--mode=train");
    }
}

#[test]
fn nodes_have_one_name_wherever_they_are_shown() {
    let optimised = text(&dlc(&["compile", "examples/mnist.dl", "--emit=opt"]));
    let report = json(&dlc(&["verify", "examples/mnist.dl", "--json"]));
    let values = report["values"].as_array().expect("a list").iter().map(|v| v["value"].as_str().expect("a text"));
    let nodes: Vec<&str> = values.filter(|name| name.starts_with('%') && !name.contains(" in @")).collect();
    assert!(nodes.iter().any(|name| name.contains("call @dot_bias_relu")), "{nodes:?}");
    for name in nodes {
        let (number, op) = name.split_once(" = ").expect("a number and what computes it");
        let (mnemonic, callee) = op.split_once(' ').unwrap_or((op, ""));
        let is_it = |line: &str| line.starts_with(&format!("  {number} = {mnemonic} ")) && line.contains(callee);
        let entry = optimised.rsplit("func ").next().expect("the entry");
        assert!(entry.lines().any(is_it), "{name} in {entry}");
        let story = text(&dlc(&["explain", "examples/mnist.dl", number]));
        assert!(story.starts_with(name), "{name}: {story}");
    }
}

#[test]
fn every_verb_takes_the_maths() {
    let (folder, path) = scratch("m.dl", "model m(x: [B, 3]) -> y: [B, 3] = floor(x / 41)\n");
    let file = path.to_str().expect("UTF-8");
    let emitted = |math: &str| text(&dlc(&["compile", file, "--emit=opt", math]));
    // A division by a number that is not a power of two is kept, except with fast maths.
    assert!(emitted("--math=strict").contains(" = div ") && emitted("--math=safe").contains(" = div "));
    assert!(!emitted("--math=fast").contains(" = div "), "{}", emitted("--math=fast"));
    assert_eq!(text(&dlc(&["compile", file, "--emit=opt"])), emitted("--math=safe"));
    let picture = folder.path().join("m.svg");
    let picture = picture.to_str().expect("UTF-8");
    for verb in [
        &["check", file][..],
        &["summary", file],
        &["verify", file],
        &["explain", file],
        &["graph", file, "-o", picture],
    ] {
        for math in ["strict", "safe", "fast"] {
            let output = dlc(&[verb, &["--math", math]].concat());
            assert!(output.status.success(), "{verb:?} {math}: {}", String::from_utf8_lossy(&output.stderr));
        }
        refused(&[verb, &["--math=loose"]].concat(), 2);
    }
    for verb in ["train", "eval", "run", "opt"] {
        let said = refused(&[verb, "no-such-file.dl", "--math=loose"], 2);
        assert!(said.contains("loose"), "{said}");
    }
    // An artefact's graph is used only with its math mode; for others the source is compiled.
    let to = folder.path().join("m.dlx");
    let to = to.to_str().expect("UTF-8");
    assert!(dlc(&["compile", file, "--size", "B=1", "--math=fast", "-o", to]).status.success());
    let artefact = dlc::artefact::Artefact::read(std::path::Path::new(to)).expect("it was written");
    assert_eq!(artefact.graphs[0].0.math, "fast");
    let x = dlc::Tensor::new([1, 3], vec![41f32, 82.0, 40.0]).expect("three");
    for (math, exact) in [(dlc::Math::Safe, true), (dlc::Math::Fast, false)] {
        let program = artefact.program(&dlc::Compiler::new().math(math), &[("B".to_owned(), 1)]).expect("compiles");
        let outputs = program.session().run([("x", &x)]).expect("runs");
        let y = outputs.get("y").expect("it is an output").to_f64s();
        assert_eq!(y == [1.0, 2.0, 0.0], exact, "{math}: {y:?}");
    }
}
