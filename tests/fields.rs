//! Fields of datasets: computed batch by batch, with draws that are fresh in each epoch, and with `fit`s of the training examples.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dlc::artefact::Artefact;
use dlc::inspect::Part;
use dlc::runtime::train::{Event, Scores};
use dlc::{Compiler, Error, Model, Tensors, TrainOverrides, Training, inspect};

/// A project with a source and tables of numbers, `part.csv` with a column `x` each.
fn project(text: &str, tables: &[(&str, &[f64])]) -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, numbers) in tables {
        write_table(folder.path(), name, numbers);
    }
    std::fs::write(folder.path().join("m.dl"), text).expect("written");
    let model = Model::open(folder.path().join("m.dl")).unwrap_or_else(|e| panic!("{e}\n{text}"));
    (folder, model)
}

fn write_table(folder: &Path, name: &str, numbers: &[f64]) {
    let rows: String = numbers.iter().map(|x| format!("{x}\n")).collect();
    std::fs::write(folder.join(format!("{name}.csv")), format!("x\n{rows}")).expect("written");
}

/// The reports of a training: training and validation scores of each epoch, and those of the test.
#[derive(Clone, Debug, PartialEq)]
struct Reports {
    epochs: Vec<(Scores, Option<Scores>)>,
    test: Option<Scores>,
    weights: Tensors,
}

fn train(model: &Model, overrides: &TrainOverrides, threads: usize, stop_after: Option<u64>) -> Result<Reports, Error> {
    let mut training = Training::new(model, &Compiler::new().threads(threads), overrides)?;
    let mut epochs = vec![];
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    let observer = &mut |event: &Event<'_>| match event {
        Event::Epoch(report) => epochs.push((report.train.clone(), report.validation.clone())),
        Event::Step { step, .. } if stop_after == Some(*step) => raised.store(true, Ordering::Relaxed),
        _ => {}
    };
    training.run(stop, observer).map_err(|e| training.explain(e))?;
    Ok(Reports { epochs, test: training.test()?, weights: training.weights() })
}

fn trained(model: &Model) -> Reports {
    train(model, &TrainOverrides::default(), 1, None).unwrap_or_else(|e| panic!("{e}"))
}

/// A model that exposes its data: the means of `x` over the examples are metrics, and training changes nothing.
const STANDARD: &str = "dlc 1
model m(x: [B]) -> y: [B] {
  param w: [] = 1
  return x * w
}
dataset d(part: string) {
  let raw = csv(\"{part}.csv\")[\"x\"]
  fit m = mean(raw, axis: 0)
  fit s = sqrt(mean((raw - m) ** 2, axis: 0))
  x = (raw - m) / s
}
train m {
  data       = d(\"train\")
  validation = VALIDATION
  test       = d(\"test\")
  epochs     = 1
  batch      = 2
  shuffle    = false
  loss       = mean(y ** 2)
  optimizer  = sgd(lr: 0.0)
  metrics    = [mean(x) as center, mean(x ** 2) as square]
}
";

const TRAIN: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 100.0, 200.0, 300.0];
const TEST: &[f64] = &[4.0, 6.0, 8.0];

fn standard(validation: &str) -> (tempfile::TempDir, Model) {
    let text = STANDARD.replace("VALIDATION", validation);
    project(&text, &[("train", TRAIN), ("validation", &[5.0, 7.0]), ("test", TEST)])
}

/// The means of numbers, and of their squares, standardised by the mean and deviation of others.
fn standardised(numbers: &[f64], by: &[f64]) -> (f64, f64) {
    let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
    let center = mean(by);
    let deviation = mean(&by.iter().map(|x| (x - center).powi(2)).collect::<Vec<_>>()).sqrt();
    let of: Vec<f64> = numbers.iter().map(|x| (x - center) / deviation).collect();
    (mean(&of), mean(&of.iter().map(|x| x * x).collect::<Vec<_>>()))
}

fn assert_close(scores: &Scores, (center, square): (f64, f64)) {
    for (name, expected) in [("center", center), ("square", square)] {
        let found = scores.metrics[name];
        assert!((found - expected).abs() <= 1e-4 * expected.abs().max(1.0), "{name}: {found}, not {expected}");
    }
}

#[test]
fn a_fit_is_of_the_training_examples_alone_and_the_same_everywhere() {
    let (_folder, model) = standard("last(0.3)");
    let reports = trained(&model);
    let (training, validation) = TRAIN.split_at(7);
    let (trained, validated) = &reports.epochs[0];
    assert_close(trained, standardised(training, training));
    assert_close(validated.as_ref().expect("it validates"), standardised(validation, training));
    assert_close(reports.test.as_ref().expect("it tests"), standardised(TEST, training));
}

#[test]
fn a_dataset_of_its_own_validates_with_the_fits_of_the_training_examples() {
    let (_folder, model) = standard("d(\"validation\")");
    let reports = trained(&model);
    let (trained, validated) = &reports.epochs[0];
    assert_close(trained, standardised(TRAIN, TRAIN));
    assert_close(validated.as_ref().expect("it validates"), standardised(&[5.0, 7.0], TRAIN));
    let training = Training::new(&model, &Compiler::new(), &TrainOverrides::default()).expect("it compiles");
    assert_eq!(training.examples(), (10, 2, 3));
}

#[test]
fn an_artefact_keeps_the_fits_that_it_was_trained_with() {
    let (folder, model) = standard("last(0.3)");
    let reports = trained(&model);
    let names: Vec<&str> = reports.weights.names().filter(|name| name.starts_with('@')).collect();
    assert_eq!(names, ["@fit/d.m", "@fit/d.s"]);
    assert_eq!(reports.weights["@fit/d.m"].to_f64s(), [4.0]);
    let path = folder.path().join("m.dlx");
    Artefact::of(&model, reports.weights.clone(), &[], "any").write(&path).expect("written");
    // Later changes of the data do not affect the fit.
    write_table(folder.path(), "train", &[7.0; 10]);
    let artefact = Artefact::read(&path).expect("it is whole");
    let (test, count) = inspect::evaluate(&artefact, &Compiler::new(), Part::Test).expect("it fits");
    assert_eq!((&test, count), (reports.test.as_ref().expect("it tests"), 3));
    // Without stored values, the fits are computed from the current data.
    write_table(folder.path(), "train", TRAIN);
    let weights: Tensors = reports.weights.into_iter().filter(|(name, _)| !name.starts_with('@')).collect();
    let artefact = Artefact { weights, ..artefact };
    let (again, _) = inspect::evaluate(&artefact, &Compiler::new(), Part::Test).expect("it fits");
    assert_eq!(again, test);
}

#[test]
fn what_the_dataset_reads_is_prepared_with_the_fits_of_the_training() {
    let (folder, model) = standard("last(0.3)");
    let reports = trained(&model);
    // The dataset is not read again.
    std::fs::remove_file(folder.path().join("train.csv")).expect("it is there");
    let new = dlc::Tensor::new([2], vec![6f32, 0.0]).expect("two");
    let given: Tensors = [("raw", new.clone())].into_iter().collect();
    let compiler = Compiler::new();
    let inputs = inspect::prepare(&compiler, &model, &reports.weights, given).expect("it follows from `raw`");
    assert_eq!(inputs.names().collect::<Vec<_>>(), ["x"]);
    assert_eq!(inputs["x"].to_f64s(), [1.0, -2.0]);
    // Inputs of the model are as they are.
    let ready: Tensors = [("x", new)].into_iter().collect();
    assert_eq!(inspect::prepare(&compiler, &model, &reports.weights, ready.clone()).expect("they are inputs"), ready);
}

fn in_folder(folder: &Path, resume: bool) -> TrainOverrides {
    TrainOverrides { folder: Some(folder.to_owned()), resume, epochs: Some(4), ..TrainOverrides::default() }
}

#[test]
fn a_training_resumes_with_the_fits_of_its_checkpoint_only() {
    let (folder, model) = standard("last(0.3)");
    let runs = folder.path().join("runs");
    train(&model, &in_folder(&runs, false), 1, Some(5)).expect("it trains");
    let checkpoint = checkpoints(&runs).pop().expect("there is one");
    let tensors = Tensors::load(&checkpoint).expect("a file of tensors");
    assert_eq!(tensors["@fit/d.m"].to_f64s(), [4.0]);
    let whole = train(&model, &in_folder(&folder.path().join("whole"), false), 1, None).expect("it trains");
    let resumed = train(&model, &in_folder(&runs, true), 1, None).expect("it resumes");
    assert_eq!(resumed.weights, whole.weights);
    assert_eq!(resumed.epochs.last(), whole.epochs.last());
    // Another `fit` is another training.
    let text = STANDARD.replace("VALIDATION", "last(0.3)").replace("** 2, axis: 0)", "** 2, axis: 0) + 1.0");
    std::fs::write(folder.path().join("m.dl"), text).expect("written");
    let other = Model::open(folder.path().join("m.dl")).expect("it is right");
    let error = train(&other, &in_folder(&runs, true), 1, None).expect_err("it is another");
    assert_eq!(error.code(), "other-training", "{error}");
}

fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-"));
    let mut found: Vec<PathBuf> = files.filter(named).collect();
    found.sort();
    found
}

#[test]
fn fits_of_another_dataset_than_that_of_the_training_are_refused() {
    let text = STANDARD.replace("VALIDATION", "last(0.3)").replace("test       = d(\"test\")", "test       = e()")
        + "dataset e {\n  let raw = csv(\"test.csv\")[\"x\"]\n  fit m = max(raw)\n  x = raw / m\n}\n";
    let (_folder, model) = project(&text, &[("train", TRAIN), ("test", TEST)]);
    let error = train(&model, &TrainOverrides::default(), 1, None).expect_err("nothing gives it a value");
    assert_eq!(error.code(), "unfitted");
    let folder = model_folder(&error.to_string());
    insta::assert_snapshot!(error.to_string().replace(&folder, ""));
}

/// The folder in which an error is.
fn model_folder(error: &str) -> String {
    let at = error.split("--> ").nth(1).and_then(|rest| rest.split("m.dl").next());
    at.unwrap_or_default().to_owned()
}

#[test]
fn a_fit_that_is_not_finite_is_reported() {
    let text =
        STANDARD.replace("VALIDATION", "last(0.3)").replace("fit m = mean(raw, axis: 0)", "fit m = log(min(raw))");
    let (_folder, model) = project(&text, &[("train", &[0.0; 10]), ("test", TEST)]);
    let error = train(&model, &TrainOverrides::default(), 1, None).expect_err("it is -inf");
    assert_eq!(error.code(), "not-finite");
    let folder = model_folder(&error.to_string());
    insta::assert_snapshot!(error.to_string().replace(&folder, ""));
}

/// A model that exposes its draws: every metric is the mean of one of them.
const NOISY: &str = "dlc 1
fn noise(x: [...]) = normal(shape: shape(x))
model m(x: [B], n: [B]) -> y: [B] {
  param w: [] = 1
  return x * w + n + noise(x)
}
dataset d(part: string) {
  let raw = csv(\"{part}.csv\")[\"x\"]
  let (a, b) = (uniform(0, 1), noise(raw))
  x = if training { raw + noise(raw) } else { raw }
  n = noise(raw)
  p = a
  q = b
  r = noise(raw) + noise(raw)
  plain = raw
}
train m {
  data       = d(\"train\")
  validation = last(0.4)
  test       = d(\"test\")
  epochs     = 3
  batch      = 3
  seed       = 1
  loss       = mean(y ** 2)
  optimizer  = sgd(lr: 0.01)
  metrics    = [mean(x) as x_, mean(n) as n_, mean(p) as p_, mean(q) as q_, mean(r) as r_, mean(noise(x)) as own, mean(x - plain) as added]
}
";

fn noisy() -> (tempfile::TempDir, Model) {
    project(NOISY, &[("train", TRAIN), ("test", &TRAIN[..4])])
}

#[test]
fn draws_of_fields_are_fresh_in_every_epoch_and_the_same_in_every_evaluation() {
    let (_folder, model) = noisy();
    let reports = trained(&model);
    // The means of draws differ in each epoch, part of the data, and call site.
    let drawn = ["n_", "p_", "q_", "r_", "own"];
    let mut seen: Vec<(f64, String)> = vec![];
    let mut note = |scores: &Scores, of: &str| {
        for name in drawn {
            let value = scores.metrics[name];
            let other = seen.iter().find(|(known, _)| *known == value);
            assert!(other.is_none(), "{name} of {of} draws as {other:?}");
            seen.push((value, format!("{name} of {of}")));
        }
    };
    reports.epochs.iter().enumerate().for_each(|(i, (train, _))| note(train, &format!("epoch {i}")));
    let validation = |epoch: usize| reports.epochs[epoch].1.as_ref().expect("it validates");
    note(validation(0), "the validation");
    note(reports.test.as_ref().expect("it tests"), "the test");
    for name in drawn {
        assert_eq!(validation(0).metrics[name], validation(2).metrics[name], "{name}");
    }
    // What is drawn in training only is not drawn in an evaluation.
    let added = |scores: &Scores| scores.metrics["added"];
    assert!(reports.epochs.iter().all(|(train, _)| added(train).abs() > 1e-3));
    assert_eq!((added(validation(1)), added(reports.test.as_ref().expect("it tests"))), (0.0, 0.0));
}

#[test]
fn draws_of_fields_follow_from_the_seed_and_not_from_threads() {
    let (_folder, model) = noisy();
    let reports = trained(&model);
    assert_eq!(train(&model, &TrainOverrides::default(), 2, None).expect("it trains"), reports);
    let other = TrainOverrides { seed: Some(2), ..TrainOverrides::default() };
    let other = train(&model, &other, 1, None).expect("it trains");
    assert_ne!(other.epochs[0].0.metrics["n_"], reports.epochs[0].0.metrics["n_"]);
    assert_ne!(other.test, reports.test);
}

#[test]
fn a_training_with_draws_of_fields_resumes_to_the_same_bits() {
    let (folder, model) = noisy();
    let whole = train(&model, &in_folder(&folder.path().join("whole"), false), 1, None).expect("it trains");
    for step in 1..=7 {
        let runs = folder.path().join(format!("runs-{step}"));
        train(&model, &in_folder(&runs, false), 1, Some(step)).expect("it trains");
        let resumed = train(&model, &in_folder(&runs, true), 1, None).expect("it resumes");
        assert_eq!(resumed.weights, whole.weights, "stopped after step {step}");
        assert_eq!(resumed.epochs.last(), whole.epochs.last(), "stopped after step {step}");
    }
}

#[test]
fn evaluating_an_artefact_draws_as_the_training_reported() {
    let (folder, model) = noisy();
    let reports = trained(&model);
    let path = folder.path().join("m.dlx");
    let mut artefact = Artefact::of(&model, reports.weights.clone(), &[], "any");
    artefact.manifest.seed = Some(1);
    artefact.write(&path).expect("written");
    let artefact = Artefact::read(&path).expect("it is whole");
    let (test, _) = inspect::evaluate(&artefact, &Compiler::new(), Part::Test).expect("it fits");
    assert_eq!(Some(test), reports.test);
}

/// A table that examples index has no batch axis, and is read whole.
#[test]
fn tables_are_the_same_for_all_examples() {
    let text = "dlc 1
model m(x: [B]) -> y: [B] {
  param w: [] = 1
  return x * w
}
dataset d {
  let index = i32(csv(\"index.csv\")[\"x\"])
  x = take(csv(\"table.csv\")[\"x\"], index)
}
train m {
  data      = d()
  epochs    = 1
  batch     = 2
  loss      = mean(y ** 2)
  optimizer = sgd(lr: 0.0)
  metrics   = [mean(x) as center]
}
";
    let (_folder, model) = project(text, &[("index", &[0.0, 2.0, 2.0, 1.0, 0.0]), ("table", &[10.0, 20.0, 30.0])]);
    let reports = trained(&model);
    assert_eq!(reports.epochs[0].0.metrics["center"], 20.0);
}
