//! Training from an embedding program: bounds of its settings, and resuming.

use dlc::{Compiler, Error, Model, TrainOverrides, Training};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/breast_cancer.dl");

fn training(overrides: &TrainOverrides) -> Result<Training, Error> {
    Training::new(&Model::open(MODEL)?, &Compiler::new().threads(1), overrides)
}

#[test]
fn overrides_have_the_bounds_of_the_settings() {
    let batch = |n| TrainOverrides { batch: Some(n), ..TrainOverrides::default() };
    let epochs = |n| TrainOverrides { epochs: Some(n), ..TrainOverrides::default() };
    for (overrides, message) in [
        (batch(0), "`batch` is 0; expected at least 1"),
        (epochs(0), "`epochs` is 0; expected at least 1"),
        (batch(usize::MAX), "expected less than"),
        (epochs(usize::MAX), "expected less than"),
        (batch(456), "a batch has 456 examples, but the training set has 455"),
    ] {
        let error = training(&overrides).map(|_| ()).expect_err("it is refused").to_string();
        assert!(error.contains(message), "{error}");
    }
    let model = Model::open(MODEL).expect("it is right");
    let error = Compiler::new().threads(1).trainer(&model, [("B", 0)]).map(|_| ()).expect_err("it is refused");
    assert_eq!(error.code(), "number-out-of-range");
}

/// A project that learns from half of its four examples, by a schedule, from weights of a file where there is one.
fn halved(more: &str) -> (tempfile::TempDir, Model) {
    let text = format!(
        "model m(x: [B, 1]) -> y: [B] = squeeze(linear(x, 1), axis: 1)
dataset points {{
  x      = csv(\"points.csv\")[[\"x\"]]
  actual = csv(\"points.csv\")[\"actual\"]
}}
train m {{
  data       = points()
  validation = last(0.5)
  batch      = 1
  epochs     = 3
  loss       = mean((y - actual) ** 2)
  optimizer  = sgd(lr: cosine(0.1))
{more}}}
"
    );
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("points.csv"), "x,actual\n1,2\n3,4\n5,6\n7,8\n").expect("written");
    std::fs::write(folder.path().join("m.dl"), text).expect("written");
    let model = Model::open(folder.path().join("m.dl")).expect("it is right");
    (folder, model)
}

#[test]
fn the_shown_step_is_the_trained_one() {
    let (_folder, model) = halved("");
    let compiler = Compiler::new().threads(1);
    let trained = Training::new(&model, &compiler, &TrainOverrides::default()).expect("it compiles");
    let mut request = dlc::inspect::request_for(&model, dlc::Mode::Train, &[], &compiler).expect("it is right");
    // A training also returns the parts of loss and metrics.
    request.measure = dlc::inspect::Measure::Parts;
    let shown = dlc::inspect::lower(&model, &request).expect("it is right");
    assert_eq!(shown.to_string(), trained.lowered().graph.to_string(), "two steps an epoch, not four");
}

#[test]
fn every_training_starts_with_the_weights_of_the_section() {
    let (folder, model) = halved("  weights    = safetensors(\"w.safetensors\")\n");
    let one = |shape: &[usize]| dlc::Tensor::new(shape, vec![0.25f32]).expect("one");
    let file: dlc::Tensors = [("linear_1.weight", one(&[1, 1])), ("linear_1.bias", one(&[1]))].into_iter().collect();
    file.save(folder.path().join("w.safetensors")).expect("written");
    let compiler = Compiler::new().threads(1);
    let training = Training::new(&model, &compiler, &TrainOverrides::default()).expect("the weights fit");
    let trainer = compiler.trainer(&model, []).expect("the weights fit");
    let first = compiler.initial_weights(&model, [], 0).expect("the weights fit");
    for weights in [training.weights(), trainer.weights(), first] {
        assert_eq!(weights.names().count(), 2);
        assert!(file.iter().all(|(name, tensor)| weights.get(name) == Some(tensor)), "{weights:?}");
    }
}

#[test]
fn an_unknown_argument_is_refused_at_once() {
    let model = Model::open(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/mnist.dl")).expect("it is right");
    assert!(model.clone().with("hidden", 8).is_ok());
    let error = model.with("hiden", 8).expect_err("there is none");
    assert!(error.code() == "unknown-argument" && error.to_string().contains("do you mean `hidden`?"), "{error}");
}

/// A project of ten numbers, whose one weight moves by the number of examples of each batch.
fn ten(model: &str, settings: &str) -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: String = (1..=10).map(|i| format!("{i},{}\n", i % 3)).collect();
    std::fs::write(folder.path().join("ten.csv"), format!("x,label\n{rows}")).expect("written");
    let text = format!(
        "{model}
dataset d {{
  x     = csv(\"ten.csv\")[\"x\"]
  label = i64(csv(\"ten.csv\")[\"label\"])
}}
train m {{
  data      = d()
  shuffle   = false
{settings}}}
"
    );
    std::fs::write(folder.path().join("m.dl"), text).expect("written");
    let model = Model::open(folder.path().join("m.dl")).expect("it is right");
    (folder, model)
}

const LINE: &str = "model m(x: [B]) -> (p: [B], v: []) {\n  param w: [] = 0\n  return (x * w, w)\n}";

fn run(training: &mut Training) -> dlc::runtime::train::Summary {
    training.run(std::sync::Arc::default(), &mut |_| {}).expect("it trains")
}

#[test]
fn every_example_is_trained_on_in_each_epoch() {
    for (batch, steps) in [(1, 10), (3, 4), (4, 3), (5, 2), (7, 2), (9, 2), (10, 1)] {
        let settings =
            format!("  epochs    = 2\n  batch     = {batch}\n  loss      = sum(p)\n  optimizer = sgd(lr: 1.0)\n");
        let (_folder, model) = ten(LINE, &settings);
        let mut training =
            Training::new(&model, &Compiler::new().threads(1), &TrainOverrides::default()).expect("it is right");
        let summary = run(&mut training);
        assert_eq!((summary.step, summary.examples, training.left_out()), (2 * steps, 20, None), "{batch}");
        // the gradient of the sum is the sum of the examples
        assert_eq!(training.weights()["w"].to_f64s(), [-110.0], "{batch}");
    }
}

#[test]
fn examples_that_are_left_out_are_reported() {
    let fixed = "model m(x: [4]) -> (p: [4], v: []) {\n  param w: [] = 0\n  return (x * w, w)\n}";
    let settings = "  epochs    = 1\n  batch     = 4\n  loss      = mean(p)\n  optimizer = sgd(lr: 1.0)\n";
    let depends = "model m(x: [B]) -> (p: [B], v: [B]) {\n  param w: [B] = 0\n  return (x * w, w)\n}";
    for (model, why) in [(fixed, ""), (depends, "its weights depend on the batch size")] {
        let (_folder, model) = ten(model, settings);
        let mut training =
            Training::new(&model, &Compiler::new().threads(1), &TrainOverrides::default()).expect("it is right");
        let (count, said) = training.left_out().expect("two fill no batch");
        assert!(count == 2 && said.contains(why) && !said.is_empty(), "{said}");
        let summary = run(&mut training);
        assert_eq!((summary.step, summary.examples), (2, 8));
    }
    let (_folder, model) = ten(fixed, &settings.replace("mean(p)", "sum(p)"));
    let refused = Training::new(&model, &Compiler::new().threads(1), &TrainOverrides::default());
    assert_eq!(refused.expect_err("a sum of 8 is none of 4").code(), "one-batch-size", "and before any step");
}

#[test]
fn the_artefact_has_the_weights_that_keep_names() {
    // it passes the best value
    let model = "model m(x: [B]) -> (p: [B], v: []) {\n  param w: [] = 0\n  return (x * 0 + w, w)\n}";
    let settings = |keep: &str| {
        format!(
            "  epochs    = 6\n  batch     = 5\n  validation = last(0.5)\n  loss      = mean((p - 2) ** 2)
  metrics   = [mae(p, p * 0 + 2)]\n  optimizer = sgd(lr: where(step == 2, 2.0, 0.25))\n{keep}"
        )
    };
    let trained = |keep: &str| {
        let (_folder, model) = ten(model, &settings(keep));
        let mut training =
            Training::new(&model, &Compiler::new().threads(1), &TrainOverrides::default()).expect("it is right");
        assert!(training.kept().is_none());
        run(&mut training);
        (training.kept().expect("it has run").to_string(), training.weights()["w"].to_f64s()[0])
    };
    // w: 1, 1.5, then over the mark to 3.0 … and back by halves
    let w = [1.0, 1.5, 3.5, 2.75, 2.375, 2.1875];
    assert_eq!(trained(""), ("the last weights, of step 6".to_owned(), w[5]));
    assert_eq!(trained("  keep      = last\n"), ("the last weights, of step 6".to_owned(), w[5]));
    let best = |by: &str| format!("the weights of epoch 6, the best by {by}");
    let (said, kept) = trained("  keep      = best(\"loss\")\n");
    assert!(said.starts_with(&best("validation.loss")) && kept == w[5], "{said} {kept}");
    let (said, kept) = trained("  keep      = best(\"mae\", better: \"higher\")\n");
    assert!(said == "the weights of epoch 3, the best by validation.mae: 1.5000" && kept == w[2], "{said} {kept}");
    // the loss of the training is taken before each update
    let (said, kept) = trained("  keep      = best(\"train.loss\", better: \"higher\")\n");
    assert!(said.starts_with("the weights of epoch 1, the best by train.loss: 4.0") && kept == w[0], "{said} {kept}");
}

#[test]
fn a_schedule_may_be_made_longer() {
    let settings = "  epochs    = 2\n  batch     = 4\n  loss      = sum(p)\n  optimizer = sgd(lr: cosine(1.0))\n";
    let (folder, model) = ten(LINE, settings);
    let runs = folder.path().join("runs");
    let training = |epochs: usize, resume: bool, model: &Model| {
        let (epochs, folder) = (Some(epochs), Some(runs.clone()));
        let overrides = TrainOverrides { epochs, folder, resume, ..TrainOverrides::default() };
        Training::new(model, &Compiler::new().threads(1), &overrides).expect("it is right")
    };
    run(&mut training(2, false, &model));
    let mut events = vec![];
    let mut longer = training(4, true, &model);
    let summary = longer.run(std::sync::Arc::default(), &mut |event| {
        if let dlc::runtime::train::Event::Length { was, is, scheduled, step } = event {
            events.push(format!("{was}; {is}; {scheduled}; {step}"));
        }
    });
    assert_eq!(summary.expect("it resumes").step, 12);
    assert_eq!(events, ["epochs = 2; epochs = 4; true; 6"]);
    // the rate of the second half is that of a schedule of twelve steps
    let rate = |step: f64, steps: f64| 0.5 * (1.0 + (std::f64::consts::PI * step / steps).cos());
    let sums = [10.0, 26.0, 19.0];
    let moved: f64 = (0..12).map(|i| sums[i % 3] * rate(i as f64, if i < 6 { 6.0 } else { 12.0 })).sum();
    let found = longer.weights()["w"].to_f64s()[0];
    assert!((found + moved).abs() < 1e-4, "{found} {moved}");
    // another source is another training, which is reported
    let text = std::fs::read_to_string(folder.path().join("m.dl")).expect("it was written");
    std::fs::write(folder.path().join("m.dl"), text.replace("cosine(1.0)", "cosine(0.5)")).expect("again");
    let other = Model::open(folder.path().join("m.dl")).expect("it is right");
    let error = training(8, true, &other).run(std::sync::Arc::default(), &mut |_| {}).expect_err("it is another");
    let expected = "another run: optimizer was sgd(lr: cosine(1.0)), is sgd(lr: cosine(0.5))";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn steps_below_one_epoch_are_one_epoch_of_a_schedule() {
    let settings =
        "  steps     = 2\n  batch     = 4\n  loss      = sum(p)\n  optimizer = sgd(lr: 1 - epoch / epochs)\n";
    let (_folder, model) = ten(LINE, settings);
    let train = |overrides: &TrainOverrides| {
        let mut training = Training::new(&model, &Compiler::new().threads(1), overrides).expect("it is right");
        let step = run(&mut training).step;
        (step, training.weights()["w"].to_f64s()[0])
    };
    assert_eq!(train(&TrainOverrides::default()), (2, -36.0));
    // 36 = 1 + … + 8, and then 9 + 10; in the second epoch half of all
    let two = TrainOverrides { epochs: Some(2), ..TrainOverrides::default() };
    assert_eq!(train(&two), (6, -55.0 - 27.5));
    let ten_at_once = TrainOverrides { batch: Some(10), ..TrainOverrides::default() };
    assert_eq!(train(&ten_at_once), (2, -55.0 - 27.5));
}

#[test]
fn a_trainer_takes_batches_of_any_size_and_survives_bad_ones() {
    let text = "model m(x: [B]) -> (p: [B], s: [B, 3]) {\n  param w: [] = 0\n  param t: [3] = 0\n  return (x * w, x[:, _] * t)\n}";
    let settings =
        "  batch     = 4\n  loss      = sum(p) + sum(pick(s, label))\n  optimizer = sgd(lr: 1.0, momentum: 0.5)\n";
    let (_folder, model) = ten(text, settings);
    let compiler = Compiler::new().threads(1);
    let mut trainer = compiler.trainer(&model, [("B", 2)]).expect("it is right");
    let numbers = |n: usize| dlc::Tensor::new([n], (1..=n).map(|i| i as f32).collect()).expect("so many");
    let labels = |n: usize, l: i64| dlc::Tensor::new([n], vec![l; n]).expect("so many");
    let mut w = (0.0, 0.0);
    for n in [2usize, 4, 1, 4, 2] {
        let (x, label) = (numbers(n), labels(n, 2));
        let batch = [("x", &x), ("label", &label)];
        let sum = (n * (n + 1)) as f64 / 2.0;
        assert_eq!(trainer.gradients(batch).expect("they are there")["w"].to_f64s(), [sum]);
        trainer.step(batch).expect("any size will do");
        w.1 = 0.5 * w.1 + sum;
        w.0 -= w.1;
        assert_eq!(trainer.weights()["w"].to_f64s(), [w.0]);
    }
    let before = trainer.snapshot();
    let (x, good, bad) = (numbers(3), labels(3, 0), labels(3, 3));
    let nan = dlc::Tensor::new([3], vec![1.0, f32::NAN, 2.0]).expect("three");
    for (batch, code) in [
        (vec![("x", &x)], "missing-argument"),
        (vec![("x", &nan), ("label", &good)], "not-finite"),
        (vec![("x", &x), ("label", &bad)], "label-out-of-range"),
        (vec![("x", &x), ("label", &x)], "shape-mismatch"),
        (vec![("x", &x), ("label", &good), ("z", &x)], "unknown-argument"),
    ] {
        let error = trainer.step(batch).expect_err(code);
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(trainer.snapshot(), before, "{code}");
    }
    let error = trainer.gradients([("x", &x), ("label", &good), ("z", &x)]).expect_err("there is no z");
    assert_eq!(error.code(), "unknown-argument");
    let error = trainer.gradients([("label", &good)]).expect_err("x is not what it was");
    assert_eq!(error.code(), "missing-argument");
    trainer.step([("x", &x), ("label", &good)]).expect("nothing is poisoned");
    trainer.restore(&before).expect("it is its own");
    assert_eq!(trainer.weights()["w"].to_f64s(), [w.0]);
}
