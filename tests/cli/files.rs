//! Files that do not fit: what is said of data, weights and artefacts.

use super::{classifier, complaint};

/// The classifier with another text in place of one that it has.
fn changed(from: &str, to: &str) -> (tempfile::TempDir, String) {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    let model = std::fs::read_to_string(&path).expect("it was written");
    assert!(model.contains(from), "{model}");
    std::fs::write(&path, model.replace(from, to)).expect("again");
    let file = path.to_str().expect("UTF-8").to_owned();
    (folder, file)
}

#[test]
fn a_column_that_is_left_out_must_be_there() {
    let (folder, file) = changed("skip: [\"label\"]", "skip: [\"Label\"]");
    let said = complaint(&folder, &["check", &file]);
    assert!(said.contains("error[unknown-column]") && said.contains("do you mean `label`?"), "{said}");
    assert!(said.contains("m.dl:3:11"), "{said}");
}

/// A classifier that begins with the weights of a file: `linear_1.weight` and what else is given.
fn with_weights(arguments: &str, more: &[(&str, dlc::Tensor)]) -> (tempfile::TempDir, String) {
    let weights = format!("  weights   = safetensors(\"w.safetensors\"{arguments})\n  epochs");
    let (folder, file) = changed("  epochs", &weights);
    let tensor = |shape: &[usize]| dlc::Tensor::new(shape, vec![0.5f32; shape.iter().product()]).expect("it fits");
    let own = [("linear_1.weight", tensor(&[3, 2])), ("linear_1.bias", tensor(&[3]))];
    let tensors: dlc::Tensors = own.into_iter().chain(more.iter().cloned()).collect();
    tensors.save(folder.path().join("w.safetensors")).expect("it can be written");
    (folder, file)
}

/// What a training with these arguments of `safetensors` says.
fn refused(arguments: &str, more: &[(&str, dlc::Tensor)]) -> String {
    let (folder, file) = with_weights(arguments, more);
    complaint(&folder, &["train", &file, "--folder", folder.path().join("runs").to_str().expect("UTF-8")])
}

#[test]
fn words_about_a_file_of_weights_that_fit_nothing_are_told() {
    for (arguments, word) in [
        ("skip: [\"zz.*\"]", "zz.*"),
        ("rename: { \"zz\": \"yy\" }", "yy"),
        ("transpose: [\"zz\"]", "zz"),
        ("prefix: \"zz.\"", "zz."),
        ("skip: [\"linear_1.wieght\", \"linear_1.bias\"]", "linear_1.wieght"),
    ] {
        let said = refused(&format!(", {arguments}"), &[]);
        assert!(said.contains("error[bad-pattern]") && said.contains("m.dl:8:"), "{said}");
        assert!(said.contains(&format!("`{word}`")) && said.contains("the names are linear_1."), "{said}");
    }
}

#[test]
fn tensors_that_the_model_has_not_are_told_unless_skipped() {
    let other = || dlc::Tensor::new([3, 2], vec![0f32; 6]).expect("six");
    let said = refused("", &[("fc.weight", other())]);
    insta::assert_snapshot!("weights_that_do_not_fit", said);
    for (arguments, more) in [
        (", skip: [\"fc.*\"]", ("fc.weight", other())),
        ("", ("bn.num_batches_tracked", dlc::Tensor::scalar(7i64))),
        (", rename: { \"fc\": \"linear_1\" }, skip: [\"linear_1.bias\", \"linear_1.weight\"]", ("fc.weight", other())),
    ] {
        let (folder, file) = with_weights(arguments, &[more]);
        let runs = folder.path().join("runs");
        let output = super::dlc(&["train", &file, "--folder", runs.to_str().expect("UTF-8")]);
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_verb_that_needs_the_first_weights_tells_of_a_file_that_is_missing_or_does_not_fit() {
    let verbs = |file: &str, to: &str| {
        [vec!["check", file], vec!["compile", file, "-o", to], vec!["train", file, "--folder", to]]
            .map(|verb| verb.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let fits_not = with_weights("", &[("fc.weight", dlc::Tensor::scalar(0f32))]);
    let missing = with_weights("", &[]);
    std::fs::remove_file(missing.0.path().join("w.safetensors")).expect("it is there");
    for ((folder, file), code) in [(fits_not, "weights-mismatch"), (missing, "missing-file")] {
        let to = folder.path().join("out").display().to_string();
        for verb in verbs(&file, &to) {
            let said = complaint(&folder, &verb.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(said.contains(&format!("error[{code}]")) && said.contains("m.dl:8:"), "{verb:?}: {said}");
        }
        assert!(!folder.path().join("out").exists(), "nothing is written");
    }
}

#[test]
fn names_of_weights_are_renamed_by_whole_levels() {
    let tensor = |shape: &[usize], x: f32| dlc::Tensor::new(shape, vec![x; shape.iter().product()]).expect("it fits");
    let model = "model m(x: [B, 2]) -> p: [B, 1] = x |> linear(2) as h |> linear(1) as head\n";
    let dataset =
        "dataset d {\n  x = csv(\"points.csv\", skip: [\"y\"])\n  t = csv(\"points.csv\", skip: [\"x1\", \"x2\"])\n}\n";
    for (arguments, prefix, h) in [
        ("rename: { \"encoder\": \"h\" }", "", "encoder"),
        ("rename: { \"encoder.\": \"h.\" }", "", "encoder"),
        ("prefix: \"net\", rename: { \"encoder\": \"h\" }", "net.", "encoder"),
        ("prefix: \"net.\", rename: { \"en.coder\": \"h\", \"other\": \"\", \"head\": \"head\" }", "net.", "en.coder"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let tensors: dlc::Tensors = [
            (format!("{prefix}{h}.weight"), tensor(&[2, 2], 1.0)),
            (format!("{prefix}{h}.bias"), tensor(&[2], 0.5)),
            (format!("{prefix}head.weight"), tensor(&[1, 2], 3.0)),
            (format!("{prefix}head.bias"), tensor(&[1], 4.0)),
        ]
        .into_iter()
        .collect();
        tensors.save(at("w.safetensors")).expect("it can be written");
        std::fs::write(at("points.csv"), "x1,x2,y\n1,2,3\n").expect("it can be written");
        let train = format!(
            "train m {{\n  data = d()\n  epochs = 1\n  batch = 1\n  weights = safetensors(\"w.safetensors\", {arguments})\n  \
             loss = mse(p, t)\n  optimizer = sgd(lr: 0.0)\n}}\n"
        );
        std::fs::write(at("m.dl"), format!("{model}{dataset}{train}")).expect("it can be written");
        let output =
            super::dlc(&["compile", at("m.dl").to_str().expect("UTF-8"), "-o", at("m.dlx").to_str().expect("UTF-8")]);
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        let shipped = dlc::artefact::Artefact::read(&at("m.dlx")).expect("it was written").weights;
        let first = |name: &str| shipped[name].to_f64s()[0];
        let found = ["h.weight", "h.bias", "head.weight", "head.bias"].map(first);
        assert_eq!(found, [1.0, 0.5, 3.0, 4.0], "{arguments}");
    }
}
