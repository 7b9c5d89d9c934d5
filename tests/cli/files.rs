//! Errors of files: data, weights and artefacts.

use super::{classifier, complaint};

/// The classifier with a change of its source.
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

/// A tensor whose elements are all the same.
fn tensor(shape: &[usize], x: f32) -> dlc::Tensor {
    dlc::Tensor::new(shape, vec![x; shape.iter().product()]).expect("it fits")
}

/// A classifier whose initial weights are those of a setting; `w.safetensors` has those of `linear_1` and what else is given.
fn with_weights(setting: &str, more: &[(&str, dlc::Tensor)]) -> (tempfile::TempDir, String) {
    let (folder, file) = changed("  epochs", &format!("  weights   = {setting}\n  epochs"));
    let own = [("linear_1.weight", tensor(&[3, 2], 0.5)), ("linear_1.bias", tensor(&[3], 0.5))];
    let tensors: dlc::Tensors = own.into_iter().chain(more.iter().cloned()).collect();
    tensors.save(folder.path().join("w.safetensors")).expect("it can be written");
    (folder, file)
}

const ALL: &str = "safetensors(\"w.safetensors\")";

#[test]
fn weights_that_do_not_match_are_all_reported_at_once() {
    let refused = |setting: &str, more: &[(&str, dlc::Tensor)]| {
        let (folder, file) = with_weights(setting, more);
        complaint(&folder, &["check", &file])
    };
    let six = || tensor(&[3, 2], 0.0);
    let cases = [
        (ALL, vec![("fc.weight", six()), ("linear_1.bias", tensor(&[4], 0.0))]),
        ("{ \"*.bias\": safetensors(\"w.safetensors\")[\"*.bais\"] }", vec![]),
        ("{ \"**\": safetensors(\"w.safetensors\"), \"zz.*\": none }", vec![]),
        ("{ \"**\": safetensors(\"w.safetensors\"), \"linear_1.wieght\": safetensors(\"w.safetensors\") }", vec![]),
        ("{ \"linear_1.bias\": none, \"**\": safetensors(\"w.safetensors\") }", vec![]),
        ("{ \"**\": safetensors(\"w.safetensors\")[\"**.*\"] }", vec![]),
        ("{ \"**\": safetensors(\"w.safetensors\"), \"linear_1.bias\": 3 }", vec![]),
        ("{ \"**\": safetensors(\"w.safetensors\"), \"linear_1.bias\": uniform(0, 1, shape: [3]) }", vec![]),
        (
            "{ \"**\": safetensors(\"w.safetensors\"), \"linear_1.weight\": safetensors(\"w.safetensors\")[\"linear_1.weight\"].T }",
            vec![],
        ),
    ];
    let said: Vec<String> =
        cases.into_iter().map(|(setting, more)| format!("{setting}\n{}", refused(setting, &more))).collect();
    insta::assert_snapshot!("weights_that_do_not_fit", said.join("\n"));
}

#[test]
fn arguments_that_the_map_replaces_are_refused_with_the_remedy() {
    let arguments = ["skip: [\"fc.*\"]", "prefix: \"net.\"", "transpose: [\"a\"]"];
    let said = arguments.map(|argument| {
        let (folder, file) = with_weights(&format!("safetensors(\"w.safetensors\", {argument})"), &[]);
        complaint(&folder, &["check", &file])
    });
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn tensors_that_are_ignored_and_counters_need_not_be_read() {
    for (setting, more) in [
        ("{ \"**\": safetensors(\"w.safetensors\"), \"fc.*\": none }", ("fc.weight", tensor(&[3, 2], 0.0))),
        (
            "{ \"**\": safetensors(\"w.safetensors\"), \"linear_1.bias\": none, \"*.scale\": none }",
            ("linear_1.scale", tensor(&[7], 0.0)),
        ),
        (ALL, ("bn.num_batches_tracked", dlc::Tensor::scalar(7i64))),
    ] {
        let (_folder, file) = with_weights(setting, &[more]);
        let output = super::dlc(&["check", &file]);
        assert!(output.status.success(), "{setting}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_verb_that_needs_initial_weights_reports_missing_and_mismatched_files() {
    let verbs = |file: &str, to: &str| {
        [vec!["check", file], vec!["compile", file, "-o", to], vec!["train", file, "--folder", to]]
            .map(|verb| verb.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let fits_not = with_weights(ALL, &[("fc.weight", dlc::Tensor::scalar(0f32))]);
    let missing = with_weights(ALL, &[]);
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

/// Settings of `weights`, each with the first element of each initial weight.
#[test]
fn weights_are_read_by_a_map_of_expressions() {
    let model = "model m(x: [B, 2], named: string = \"b\") -> p: [B, 1] {
  let h = x
  repeat 2 { h = linear(h, 2) as h }
  return linear(h, 1) as head
}
dataset d {
  x = csv(\"points.csv\", skip: [\"y\"])
  t = csv(\"points.csv\", skip: [\"x1\", \"x2\"])
}
";
    let two = |a: f32| dlc::Tensor::new([2, 2], vec![a, a + 0.25, a + 0.5, a + 0.75]).expect("four");
    let own: Vec<(&str, dlc::Tensor)> = vec![
        ("h.0.weight", two(1.0)),
        ("h.0.bias", tensor(&[2], 2.0)),
        ("h.1.weight", two(3.0)),
        ("h.1.bias", tensor(&[2], 4.0)),
        ("head.weight", tensor(&[1, 2], 5.0)),
        ("head.bias", tensor(&[1], 6.0)),
    ];
    let renamed = own.iter().map(|(name, t)| (format!("net.{}", name.replace("h.", "layers.")), t.clone()));
    let halves = [("h.0", 1.0), ("h.1", 3.0)].into_iter().flat_map(|(h, x)| {
        ["q", "k"].map(|part| (format!("{h}.{part}"), tensor(&[1, 2], if part == "q" { x } else { x + 10.0 })))
    });
    let rest =
        own.iter().filter(|(name, _)| !name.ends_with(".weight")).map(|(name, t)| ((*name).to_owned(), t.clone()));
    let files: [(&str, dlc::Tensors); 3] = [
        ("a.safetensors", own.iter().map(|(name, t)| ((*name).to_owned(), t.clone())).collect()),
        ("b.safetensors", renamed.collect()),
        ("c.safetensors", halves.chain(rest).chain([("head.weight".to_owned(), tensor(&[2, 1], 5.0))]).collect()),
    ];
    for (setting, expected) in [
        ("weights = safetensors(\"a.safetensors\")", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ("let f = safetensors(\"a.safetensors\")\n  weights = f", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        (
            "weights = { \"**\": safetensors(\"{named}.safetensors\")[\"net.**\"], \"h.*.*\": safetensors(\"{named}.safetensors\")[\"net.layers.*.*\"] }",
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        ),
        // the last that matches decides
        (
            "let f = safetensors(\"a.safetensors\")\n  weights = { \"**\": f, \"h.**\": -f[\"h.**\"], \"h.1.*\": f[\"h.1.*\"] * 2 }",
            [-1.0, -2.0, 6.0, 8.0, 5.0, 6.0],
        ),
        // what is computed of several tensors, and transposed
        (
            "let f = safetensors(\"c.safetensors\")
  weights = {
    \"**\": f,
    \"h.*.weight\": concat([f[\"h.*.q\"], f[\"h.*.k\"]], axis: 0).T,
    \"head.weight\": f[\"head.weight\"].T,
  }",
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for (name, tensors) in &files {
            tensors.save(at(name)).expect("it can be written");
        }
        std::fs::write(at("points.csv"), "x1,x2,y\n1,2,3\n").expect("it can be written");
        let train = format!(
            "train m {{\n  data = d()\n  epochs = 1\n  batch = 1\n  {setting}\n  loss = mse(p, t)\n  optimizer = sgd(lr: 0.0)\n}}\n"
        );
        std::fs::write(at("m.dl"), format!("{model}{train}")).expect("it can be written");
        let output =
            super::dlc(&["compile", at("m.dl").to_str().expect("UTF-8"), "-o", at("m.dlx").to_str().expect("UTF-8")]);
        assert!(output.status.success(), "{setting}: {}", String::from_utf8_lossy(&output.stderr));
        let shipped = dlc::artefact::Artefact::read(&at("m.dlx")).expect("it was written").weights;
        let first = own.iter().map(|(name, _)| shipped[*name].to_f64s()[0]).collect::<Vec<_>>();
        assert_eq!(first, expected, "{setting}");
        if setting.contains("concat") {
            assert_eq!(shipped["h.0.weight"].to_f64s(), [1.0, 11.0, 1.0, 11.0]);
        }
    }
}
