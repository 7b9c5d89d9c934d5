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
