//! Artefacts: they are complete, and independent of their location.

use std::path::Path;
use std::process::{Command, Output};

use super::{changed, classifier, dlc, json, scratch, text};

fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Trains a project; the artefact is beside the model.
fn train(folder: &tempfile::TempDir, path: &Path) {
    done(&dlc(&["train", utf8(path), "--folder", utf8(&folder.path().join("runs"))]));
}

#[test]
fn states_of_a_layer_with_a_slash_in_its_name_are_shipped() {
    let (folder, path) = changed("linear(x, 3)", "x |> batch_norm as \"enc/bn\" |> linear(3)");
    train(&folder, &path);
    done(&dlc(&["eval", utf8(&folder.path().join("m.dlx")), "--data=train"]));
    let best = dlc::Tensors::load(folder.path().join("runs/best.safetensors")).expect("it was written");
    assert!(best.get("enc/bn.running_mean").is_some(), "{best}");
    let own = |name: &str| name.starts_with('@');
    assert!(!best.names().any(own), "{best}");
}

#[test]
fn dimensions_that_the_data_determines_are_taken_from_it() {
    let (folder, path) = changed("x: [B, 2]", "x: [B, F]");
    let weights = |verb: &str| json(&dlc(&[verb, utf8(&path), "--json"]))["weights"].as_u64();
    assert_eq!((weights("check"), weights("summary")), (Some(9), Some(9)));
    train(&folder, &path);
    let program = dlc::Program::open(folder.path().join("m.dlx")).expect("it is whole");
    let x = dlc::Tensor::new([1, 2], vec![1f32, 2.0]).expect("two");
    let out = program.session().run([("x", &x)]).expect("it has all weights");
    assert_eq!(out["logits"].shape()[..], [1, 3]);
}

#[test]
fn dimensions_that_the_inputs_determine_are_taken_from_them() {
    let (folder, path) = scratch("f.dl", "model m(x: [B, F]) -> y: [B, 2] = linear(x, 2)\n");
    let (input, artefact) = (folder.path().join("x.npz"), folder.path().join("f.dlx"));
    let x = dlc::Tensor::new([4, 3], vec![1f32; 12]).expect("twelve");
    [("x", x)].into_iter().collect::<dlc::Tensors>().save(&input).expect("it can be written");
    done(&dlc(&["run", utf8(&path), utf8(&input)]));
    done(&dlc(&["compile", utf8(&path), "--size", "F=3", "-o", utf8(&artefact)]));
    done(&dlc(&["run", utf8(&artefact), utf8(&input)]));
    // weights for another size are reported, not left out
    done(&dlc(&["compile", utf8(&path), "--size", "F=5", "-o", utf8(&artefact)]));
    let refused = dlc(&["run", utf8(&artefact), utf8(&input)]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said.contains("error[weights-mismatch]")
            && said.contains("linear_1.weight  checkpoint f32[2,5], model f32[2,3]"),
        "{said}"
    );
}

#[test]
fn an_artefact_finds_its_data_from_everywhere() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    std::fs::write(folder.path().join("lib.dl"), "block head(x: [B, D]) { return linear(x, 3) }\n").expect("written");
    let model = std::fs::read_to_string(&path).expect("it was written");
    let model = format!("from \"lib.dl\" import head\n{}", model.replace("linear(x, 3)", "head(x)"));
    std::fs::create_dir_all(folder.path().join("sub/out")).expect("it can be made");
    let eval = |artefact: &str, from: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
        let output = command.current_dir(folder.path().join(from)).args(["eval", artefact, "--data=train"]).output();
        done(&output.expect("dlc starts"));
    };
    std::fs::write(&path, &model).expect("again");
    train(&folder, &path);
    eval("m.dlx", "");
    eval("../m.dlx", "sub");
    let elsewhere = folder.path().join("sub/out/x.dlx");
    done(&dlc(&["train", utf8(&path), "--folder", utf8(&folder.path().join("runs")), "-o", utf8(&elsewhere)]));
    eval("sub/out/x.dlx", "");
    eval("out/x.dlx", "sub");
}

#[test]
fn equal_trainings_give_equal_artefacts() {
    let rows = "1,2,0\n1,2,1\n3,4,2\n5,6,1\n";
    let ((one, a), (other, b)) = (classifier(rows), classifier(rows));
    train(&one, &a);
    train(&other, &b);
    let bytes = |folder: &tempfile::TempDir| std::fs::read(folder.path().join("m.dlx")).expect("it was written");
    assert!(bytes(&one) == bytes(&other));
}

#[test]
fn arguments_are_read_by_their_types_and_shipped_as_they_are() {
    let model = "model m(x: [B, 2], name: string = \"a\", hs: list(int) = [3], tags: list(string) = []) -> y: [B, 2] {
  let h = x
  repeat size in hs { h = linear(h, size) }
  assert name == \"7\"
  repeat tag in tags { assert tag == \"a,b\" }
  return linear(h, 2)
}
";
    let (folder, path) = scratch("m.dl", model);
    let (input, artefact) = (folder.path().join("x.npz"), folder.path().join("m.dlx"));
    let x = dlc::Tensor::new([1, 2], vec![1f32; 2]).expect("two");
    [("x", x)].into_iter().collect::<dlc::Tensors>().save(&input).expect("it can be written");
    let set = ["--set", "name=7", "--set", "hs=[]", "--set", "tags=[\"a,b\"]"];
    done(&dlc(&[&["compile", utf8(&path), "-o", utf8(&artefact)][..], &set].concat()));
    done(&dlc(&["run", utf8(&artefact), utf8(&input)]));
}

#[test]
fn a_target_of_another_machine_is_a_usage_error() {
    let other = if cfg!(target_arch = "x86_64") { "aarch64" } else { "x86-64-v4" };
    let output = dlc(&["compile", "examples/mnist.dl", "--target", other]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("error[wrong-target]") && said.contains("the targets are x86-64, x86-64-v3, x86-64-v4"),
        "{said}"
    );
}

#[test]
fn an_artefact_for_another_instruction_set_is_compiled_again_of_its_source() {
    let (folder, path) = scratch("m.dl", "model m(x: [B, 2]) -> y: [B, 8] = linear(x, 8)\n");
    let (input, artefact) = (folder.path().join("x.npz"), folder.path().join("m.dlx"));
    let x = dlc::Tensor::new([3, 2], vec![1f32; 6]).expect("six");
    [("x", x)].into_iter().collect::<dlc::Tensors>().save(&input).expect("it can be written");
    let mut results = vec![];
    for target in ["native", "portable"] {
        done(&dlc(&["compile", utf8(&path), "--force", "--target", target, "-o", utf8(&artefact)]));
        results.push(text(&dlc(&["run", utf8(&artefact), utf8(&input)])));
    }
    assert_eq!(results[0], results[1], "both run as code for this machine");
}

#[test]
fn portable_and_native_name_targets_of_this_machine() {
    for target in ["portable", "native"] {
        done(&dlc(&["compile", "examples/mnist.dl", "--emit=asm", "--target", target]));
    }
    let output = dlc(&["compile", "examples/mnist.dl", "--target", "v4"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("error[unknown-target]") && said.contains("portable or native"), "{said}");
}
